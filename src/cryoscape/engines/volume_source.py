"""What every engine answers: the density map at a point of latent space; and who reads whose weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from cryoscape.errors import InputError
from cryoscape.typing import Latents


@runtime_checkable
class VolumeSource(Protocol):
    """Maps at latent coordinates; analysis, traversal, occupancy and pages use nothing else of an engine."""

    @property
    def zdim(self) -> int:
        """Dimension of the latent space."""
        ...

    @property
    def box_size(self) -> int:
        """Voxels a side of the maps."""
        ...

    @property
    def pixel_size_angstrom(self) -> float:
        """Voxel size of the maps in angstrom; 1.0 where it is not known."""
        ...

    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        """Density maps (n, D, D, D) float32, axes [z, y, x], centre at D//2, at latents z (n, zdim)."""
        ...


@runtime_checkable
class ScalableVolumeSource(VolumeSource, Protocol):
    """A source that can make its maps in a smaller box at once, as those of all engines here can."""

    def downsampled(self, box_size: int) -> "ScalableVolumeSource":
        """The same maps in a smaller even box, Fourier cropped: their sums stay, the pixel size grows."""
        ...


SourceReader = Callable[[Path, dict[str, Any], float, str], ScalableVolumeSource]
"""(weights file, configuration, pixel size in angstrom, device) to a source."""


def _vae(weights: Path, config: dict[str, Any], pixel_size: float, device: str) -> ScalableVolumeSource:
    from cryoscape.engines.vae.checkpoint import load_volume_source

    return load_volume_source(weights, config, pixel_size, device)


def _linear(weights: Path, config: dict[str, Any], pixel_size: float, device: str) -> ScalableVolumeSource:
    from cryoscape.engines.linear_maps import read_linear_maps

    return read_linear_maps(weights, pixel_size).maps


def _manifold(weights: Path, config: dict[str, Any], pixel_size: float, device: str) -> ScalableVolumeSource:
    from cryoscape.engines.manifold.source import read_manifold

    return read_manifold(weights, pixel_size)


SOURCE_READERS: dict[str, SourceReader] = {
    "vae": _vae,
    "subspace": _linear,
    "states": _linear,
    "subspace_mlp": _manifold,
}
"""By the name in ``engine`` of a run's config.yaml. A new engine is one line here."""


def engine_name(config: dict[str, Any]) -> str:
    """The engine that made a run; folders of upstream, which do not name one, are of "vae"."""
    return str(config.get("engine", "vae"))


def open_volume_source(
    weights: Path, config: dict[str, Any], pixel_size_angstrom: float, device: str = "auto"
) -> ScalableVolumeSource:
    """Maps of a weights file of any engine.

    Parameters
    ----------
    config : configuration of the run, upstream's layout with ``engine``.
    pixel_size_angstrom : of the training images; 1.0 where not known.
    device : "auto", "cpu", "cuda" or "mps"; sums of maps are made on the CPU whatever it is.

    Raises
    ------
    InputError : an engine that is not known, or weights that are damaged or do not fit.
    """
    name = engine_name(config)
    if name not in SOURCE_READERS:
        known = ", ".join(SOURCE_READERS)
        raise InputError(
            f"{weights.parent}: made by the engine {name!r}, expected one of {known}; "
            "read it with the version of cryoscape that wrote it"
        )
    return SOURCE_READERS[name](weights, config, pixel_size_angstrom, device)
