"""From sums to the correction of one map: Wiener filter a shell, and as many neighbours as pay a shell.

A particle farther away adds signal, but of another map. Which rings to take is asked of images not used: the
correction made from one half set, masked, is held against the nearest images of the other. With D and n the
sums of CTF x residual and CTF^2 over noise of those, a correction X takes 2 Re X* D - n |X|^2 off their
squared residual. It is used, shell by shell, where this is more than its own standard error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from cryoscape.engines.regression import kernels
from cryoscape.engines.regression.voxels import Voxels
from cryoscape.engines.subspace.em import smooth
from cryoscape.engines.subspace.support import Support
from cryoscape.engines.subspace.threads import even_shares, in_threads

_LEAST_IMAGES = 50
"""In each half set, by which a correction may be judged."""
_NEIGHBOURING_SHELLS = 2


@dataclass(frozen=True)
class Correction:
    """Correction of one map.

    Attributes
    ----------
    maps : (3, b, b, b) from all images and from each half set.
    choice : (S,) rings used in each shell, 0 where the prediction stands alone.
    gain : (S,) mean share, 0 to 1, of what all images ask for that the correction grants.
    """

    maps: Float[Tensor, "3 z y x"]
    choice: Int[Tensor, " s"]
    gain: Float[Tensor, " s"]


@dataclass(frozen=True)
class Corrector:
    """From sums to corrections, with what all maps share."""

    support: Support
    voxels: Voxels

    @cached_property
    def _spectrum(self) -> Float[Tensor, "grid 1 2"]:
        """Room for a transform; what lies beyond the voxels stays 0."""
        return self.support.grid.zeros(1)

    def correct(self, sums: Float[Tensor, "2 v r 3"], counts: Float[Tensor, "2 r"]) -> Correction:
        """Compute the correction of one map; its sums are overwritten by those over growing discs.

        Parameters
        ----------
        counts
            Images in each ring of each half set.
        """
        support, n_rings = self.support, sums.shape[2]
        within = counts.cumsum(1).min(0).values
        judges = torch.nonzero(within >= _LEAST_IMAGES)[:, 0]
        if not len(judges):
            nothing = torch.zeros(3, *support.mask.shape)
            none = torch.zeros(support.n_shells)
            return Correction(nothing, none.long(), none)
        first, array = int(judges[0]), sums.numpy()
        self._shared(lambda a, b: kernels.nest(array, a, b))
        precision = self._precision(array)
        gains = [self._held_out_gain(array, disc, first, precision[disc]) for disc in range(first, n_rings)]
        best = torch.stack(gains).max(0)
        choice = torch.where(best.values > 0, best.indices + first, -1)
        taken = precision[choice.clamp(min=0).numpy(), np.arange(len(choice))]
        maps = torch.stack(
            [
                support.from_spectra(self._filtered(half, choice.numpy(), taken))[0]
                for half in (array, array[:1], array[1:])
            ]
        )
        settled = (self.voxels.shell, taken, choice.numpy())
        found = self._per_shell(
            (support.n_shells, 2), lambda out, a, b: kernels.gains(array, *settled, out, a, b)
        )
        return Correction(maps, choice + 1, (found[:, 0] / found[:, 1].clamp(min=1)).float())

    def _shared(self, work: Callable[[int, int], None]) -> None:
        in_threads(work, even_shares(len(self.voxels)))

    def _per_shell(
        self, shape: tuple[int, ...], work: Callable[[np.ndarray, int, int], None]
    ) -> Float[Tensor, "*shape"]:
        """Sum over threads of what each adds to an array of its own."""
        shares = even_shares(len(self.voxels))
        parts = np.zeros((len(shares), *shape))
        number = {share: i for i, share in enumerate(shares)}
        in_threads(lambda a, b: work(parts[number[a, b]], a, b), shares)
        return torch.from_numpy(parts.sum(0))

    def _precision(self, discs: Float[np.ndarray, "2 v r 3"]) -> Float[np.ndarray, "r s"]:
        """Prior precision from the power that half sets have in common: E D_a* D_b = n_a n_b |signal|^2."""
        shape = (discs.shape[2], self.support.n_shells, 2)
        found = self._per_shell(shape, lambda out, a, b: kernels.common(discs, self.voxels.shell, out, a, b))
        common, weight = found.unbind(-1)
        least = 1e-6 * (common / weight.clamp(min=1e-30)).abs().amax(1, keepdim=True).clamp(min=1e-30)
        smoothed = smooth(common.T).T / smooth(weight.T).T.clamp(min=1e-30)
        precision: np.ndarray = (self.support.calibration / torch.maximum(smoothed, least)).float().numpy()
        return precision

    def _filtered(
        self,
        discs: Float[np.ndarray, "h v r 3"],
        choice: Int[np.ndarray, " s"],
        precision: Float[np.ndarray, " s"],
    ) -> Float[Tensor, "grid 1 2"]:
        """Wiener-filtered sums of the half sets given, on the grid; the next ones overwrite them."""
        out, where = self._spectrum[:, 0].numpy(), (self.voxels.shell, self.voxels.position)
        self._shared(lambda a, b: kernels.filtered(discs, *where, precision, choice, out, a, b))
        return self._spectrum

    def _held_out_gain(
        self, discs: Float[np.ndarray, "2 v r 3"], disc: int, near: int, precision: Float[np.ndarray, " s"]
    ) -> Float[Tensor, " s"]:
        """What corrections of each half take off the nearest images of the other, less a standard error.

        Mask and insertion to the nearest voxel both multiply a map; this is what images would see of it.
        """
        support = self.support
        every = np.full(support.n_shells, disc)
        gain = torch.zeros(support.n_shells, dtype=torch.float64)
        variance = torch.zeros_like(gain)
        for own in range(2):
            spectrum = self._filtered(discs[own : own + 1], every, precision)
            found = self._explained(discs[1 - own], near, support.masked(spectrum)[:, 0].numpy())
            gain += 2 * found[:, 0] - found[:, 1]
            variance += 2 * found[:, 1]
        kernel = torch.ones(1, 1, 2 * _NEIGHBOURING_SHELLS + 1, dtype=torch.float64)
        pooled = torch.nn.functional.conv1d(
            torch.stack([gain, variance])[:, None], kernel, padding=_NEIGHBOURING_SHELLS
        )[:, 0]
        return pooled[0] - pooled[1].clamp(min=0).sqrt()

    def _explained(
        self, discs: Float[np.ndarray, "v r 3"], disc: int, correction: Float[np.ndarray, "grid 2"]
    ) -> Float[Tensor, "s 2"]:
        """D* X and n |X|^2 a shell, of a correction X and images with sums D and n."""
        fixed = (discs, disc, self.voxels.shell, self.voxels.position, correction)
        shape = (self.support.n_shells, 2)
        return self._per_shell(shape, lambda out, a, b: kernels.explained(*fixed, out, a, b))
