"""Maps of the curved subspace, V(u) = mean + sum_j c_j(u) B_j, read from its run; its table of latents."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import LinearMaps, read_linear_maps
from cryoscape.engines.manifold.bound import Sampled
from cryoscape.engines.manifold.epochs import bases_file, read_epoch
from cryoscape.engines.manifold.likelihood import LinearModel
from cryoscape.engines.manifold.networks import Decoder, Gaussians
from cryoscape.errors import InputError
from cryoscape.typing import Latents


@dataclass(frozen=True, eq=False)
class ManifoldSource:
    """Mean and bases with the decoder of their coefficients; satisfies `VolumeSource`.

    Attributes
    ----------
    maps : mean and bases, linear in the coefficients.
    decoder : coefficients c(u), on the CPU.
    """

    maps: LinearMaps
    decoder: Decoder

    @property
    def zdim(self) -> int:
        """Dimension of u."""
        return self.decoder.linear.in_features

    @property
    def box_size(self) -> int:
        """Voxels a side of the maps."""
        return self.maps.box_size

    @property
    def pixel_size_angstrom(self) -> float:
        """Voxel size of the maps in angstrom; 1.0 where it is not known."""
        return self.maps.pixel_size_angstrom

    def coefficients(self, z: Latents) -> Float[np.ndarray, "n q"]:
        """Coefficients of the bases at latents z (n, zdim).

        Raises
        ------
        InputError : z does not have zdim columns, or is not finite.
        """
        if z.shape[1] != self.zdim:
            raise InputError(
                f"latents: expected {self.zdim} columns (zdim of the weights), found {z.shape[1]}"
            )
        finite = np.isfinite(z).all(axis=1)
        if not finite.all():
            raise InputError(f"latents: row {int(np.argmin(finite))} is not finite")
        with torch.no_grad():
            found: np.ndarray = self.decoder(torch.from_numpy(z.astype(np.float32))).numpy()
        return found

    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        """Density maps (n, D, D, D) float32 at latents z (n, zdim); refuses what `coefficients` refuses."""
        return self.maps.volumes(self.coefficients(z))

    def downsampled(self, box_size: int) -> "ManifoldSource":
        """The same maps in a smaller even box; sums stay, the pixel size grows, see `LinearMaps`."""
        return ManifoldSource(self.maps.downsampled(box_size), self.decoder)


def read_manifold(path: Path, pixel_size_angstrom: float) -> ManifoldSource:
    """Read a weights.E.pkl of this engine and the bases beside it; tensors only, nothing is executed.

    Raises
    ------
    InputError : missing or damaged, or the weights of another engine.
    """
    content = read_epoch(path)
    state = content["decoder"]
    n_bases, zdim = state["linear.weight"].shape
    decoder = Decoder(zdim, n_bases, len(state["network.0.weight"]))
    try:
        decoder.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: damaged, the decoder's tensors do not fit each other") from error
    bases = path.with_name(bases_file(int(content["training"]["round"])))
    if not bases.is_file():
        raise InputError(
            f"{path}: needs {bases.name} beside it, with the maps that epochs share; keep both in one folder"
        )
    maps = read_linear_maps(bases, pixel_size_angstrom).maps
    if n_bases != maps.zdim:
        raise InputError(f"{path}: has {n_bases} coefficients, {bases.name} {maps.zdim} bases: of two runs?")
    return ManifoldSource(maps, decoder.eval())


def latent_table(
    posterior: Gaussians, sampled: Sampled, linear: LinearModel, misfit: Float[Tensor, " n"]
) -> LatentTable:
    """Posteriors of u as a table; likelihood is the gain over the mean map alone."""
    return LatentTable(
        mean=posterior.mean.cpu().numpy(),
        covariance=posterior.covariance.cpu().numpy(),
        log_likelihood=(sampled.log_likelihood - linear.alone).cpu().numpy(),
        contrast=sampled.contrast.cpu().numpy(),
        junk_score=misfit.cpu().numpy(),
    )
