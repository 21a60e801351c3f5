"""Maps on a grid, ready to be projected: the mean map by a smooth kernel, its changes by the trilinear one.

What reading errs by at a pose is heterogeneity to all that follows, in proportion to the map that is read.
The mean map outweighs all bases, so it alone is worth the dearer kernel.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from cryoscape.engines.subspace import kernels
from cryoscape.engines.subspace.threads import even_shares, in_threads
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.smooth_reading import extract_smooth_slices, volume_to_smooth_grid
from cryoscape.physics.volume_grid import volume_to_grid


@dataclass(frozen=True)
class ReadableMaps:
    """Mean and q bases on a grid, each corrected for how it is read.

    Attributes
    ----------
    mean : (V, 1, 2).
    packed_bases : (V, 2q), all real parts of a voxel, then all imaginary parts, as the compiled loops want
        them: at large radii this is most of the memory in use.
    """

    mean: Float[Tensor, "v 1 2"]
    packed_bases: Float[Tensor, "v twice"]
    grid: FourierGrid

    @property
    def n(self) -> int:
        """Number of maps, q + 1."""
        return self.packed_bases.shape[1] // 2 + 1

    @property
    def compiled(self) -> bool:
        """Whether the compiled loops can read these."""
        return self.mean.device.type == "cpu" and self.mean.dtype == torch.float32

    def slices(self, rotations: Float[Tensor, "b 3 3"], k: Tensor) -> Complex[Tensor, "b p n"]:
        """Central slices at k (P, 2), mean first."""
        if self.compiled:
            return self._compiled_slices(rotations, k)
        mean = extract_smooth_slices(self.mean, self.grid, rotations, k)[..., None]
        if self.n == 1:
            return mean
        bases = self.packed_bases.view(len(self.mean), 2, -1).transpose(1, 2).contiguous()
        return torch.cat([mean, extract_slices(bases, self.grid, rotations, k)], dim=-1)

    def _compiled_slices(self, rotations: Tensor, k: Tensor) -> Tensor:
        out = torch.empty(len(rotations), len(k), self.n, 2)
        arguments = (
            self.mean[:, 0].contiguous().numpy(),
            self.packed_bases.numpy(),
            rotations.float().contiguous().numpy(),
            k.to(torch.float32).contiguous().numpy(),
            *(self.grid.half, self.grid.oversampling, out.numpy()),
        )
        in_threads(lambda a, b: kernels.project(*arguments, a, b), even_shares(len(rotations)))
        return torch.view_as_complex(out)

    def double(self) -> "ReadableMaps":
        """The same in double precision."""
        return ReadableMaps(self.mean.double(), self.packed_bases.double(), self.grid)


def readable(maps: Float[Tensor, "n z y x"], grid: FourierGrid) -> ReadableMaps:
    """Bring a mean map and its changes, of any box, to a grid."""
    q = len(maps) - 1
    bases = torch.zeros(grid.n_voxels, 2 * q, dtype=maps.dtype, device=maps.device)
    for j, one in enumerate(maps[1:]):
        bases[:, [j, q + j]] = volume_to_grid(one, grid)[:, 0]
    return ReadableMaps(volume_to_smooth_grid(maps[0], grid), bases, grid)
