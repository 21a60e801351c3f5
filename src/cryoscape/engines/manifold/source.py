"""Maps of the curved subspace, V(u) = mean + sum_j c_j(u) B_j, and the file they are kept in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.latent_table import LatentTable
from cryoscape.engines.linear_maps import (
    LinearMaps,
    LinearWeights,
    read_linear_maps,
    write_linear_maps,
)
from cryoscape.engines.manifold.bound import Sampled
from cryoscape.engines.manifold.fit import Networks
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


def write_manifold(
    path: Path, maps: LinearMaps, networks: Networks, noise_variance: Float[Tensor, " shells"]
) -> None:
    """Write a weights.pkl: the tensors of linear maps, and in ``state`` those of both networks.

    Raises
    ------
    TrainingError : maps or noise are not finite; nothing is written.
    """
    state = {
        name: {key: value.detach().cpu() for key, value in getattr(networks, name).state_dict().items()}
        for name in ("encoder", "decoder")
    }
    write_linear_maps(path, LinearWeights(maps, noise_variance, state))


def read_manifold(path: Path, pixel_size_angstrom: float) -> ManifoldSource:
    """Read a weights.pkl of this engine; tensors only, nothing is executed.

    Raises
    ------
    InputError : missing or damaged, or the weights of another engine.
    """
    weights = read_linear_maps(path, pixel_size_angstrom)
    state: dict[str, Any] = weights.state.get("decoder", {})
    if "linear.weight" not in state or "network.0.weight" not in state:
        raise InputError(
            f"{path}: no decoder of a curved subspace found; give the weights.pkl of a run of "
            "train_vae --decoder subspace+mlp, with its config.yaml beside it"
        )
    n_bases, zdim = state["linear.weight"].shape
    decoder = Decoder(zdim, n_bases, len(state["network.0.weight"]))
    try:
        decoder.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: damaged, the decoder's tensors do not fit each other") from error
    if n_bases != weights.maps.zdim:
        raise InputError(f"{path}: damaged, {weights.maps.zdim} bases and {n_bases} coefficients")
    return ManifoldSource(weights.maps, decoder.eval())


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
