"""Maps that are linear in the latents, V(z) = mean + sum_j z_j B_j, and the file they are kept in."""

import pickle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.errors import InputError, TrainingError
from cryoscape.io.atomic import replace_when_done
from cryoscape.physics.fourier import crop_volume
from cryoscape.typing import Latents, Volume, Volumes


@dataclass(frozen=True, eq=False)
class LinearMaps:
    """A mean map and bases (subspace), or a reference and differences (states); satisfies `VolumeSource`.

    Attributes
    ----------
    mean : (D, D, D) float32, axes [z, y, x], centre at D // 2.
    bases : (q, D, D, D) float32; q may be 0.
    pixel_size_angstrom : voxel size; 1.0 where it is not known.
    """

    mean: Volume
    bases: Volumes
    pixel_size_angstrom: float

    @property
    def zdim(self) -> int:
        """Dimension of the latent space, q."""
        return len(self.bases)

    @property
    def box_size(self) -> int:
        """Voxels a side of the maps, D."""
        return len(self.mean)

    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        """Density maps (n, D, D, D) float32 at latents z (n, q).

        Raises
        ------
        InputError : z does not have q columns, or is not finite.
        """
        if z.shape[1] != self.zdim:
            raise InputError(
                f"latents: expected {self.zdim} columns (zdim of the weights), found {z.shape[1]}"
            )
        finite = np.isfinite(z).all(axis=1)
        if not finite.all():
            raise InputError(f"latents: row {int(np.argmin(finite))} is not finite")
        flat = z.astype(np.float32, copy=False) @ self.bases.reshape(self.zdim, self.mean.size)
        maps: np.ndarray = flat.reshape(len(z), *self.mean.shape)
        maps += self.mean
        return maps

    def downsampled(self, box_size: int) -> "LinearMaps":
        """The same maps in a smaller even box, mean and bases Fourier cropped once; the pixel size grows.

        Sums of maps are kept, as where a decoder is evaluated at fewer frequencies (`vae.volumes`): a map
        does not depend on the engine's way to a smaller box.
        """
        if box_size % 2 or not 2 <= box_size <= self.box_size:
            raise InputError(
                f"-d {box_size}: expected an even box of at most {self.box_size} px, the training box"
            )
        if box_size == self.box_size:
            return self
        ratio = self.box_size / box_size
        mean = crop_volume(torch.from_numpy(self.mean), box_size)
        bases = torch.empty(self.zdim, box_size, box_size, box_size)
        for cropped, basis in zip(bases, self.bases, strict=True):
            cropped.copy_(crop_volume(torch.from_numpy(basis), box_size))
        return LinearMaps(
            (mean * ratio**3).numpy(), bases.mul_(ratio**3).numpy(), self.pixel_size_angstrom * ratio
        )


@dataclass(frozen=True, eq=False)
class LinearWeights:
    """What a weights.pkl of a linear engine holds.

    Attributes
    ----------
    noise_variance : (shells,) variance of the noise by Fourier shell.
    state : tensors (and dictionaries of them) from which the engine continues exactly.
    """

    maps: LinearMaps
    noise_variance: Float[Tensor, " shells"]
    state: dict[str, Any] = field(default_factory=dict, repr=False)


def write_linear_maps(path: Path, weights: LinearWeights) -> None:
    """Write a weights.pkl: a torch archive of tensors only, whole or not at all.

    Raises
    ------
    TrainingError : the maps or the noise are not finite; nothing is written.
    """
    content = {
        "mean": torch.from_numpy(np.ascontiguousarray(weights.maps.mean)),
        "bases": torch.from_numpy(np.ascontiguousarray(weights.maps.bases)),
        "noise_variance": weights.noise_variance.detach().cpu(),
    }
    for name, tensor in content.items():
        if not bool(torch.isfinite(tensor).all()):
            raise TrainingError(f"{path}: not written, {name} is not finite")
    write_tensors(path, {**content, "state": weights.state})


def read_linear_maps(path: Path, pixel_size_angstrom: float) -> LinearWeights:
    """Read a weights.pkl of a linear engine; tensors only, nothing is executed.

    Parameters
    ----------
    pixel_size_angstrom : of the training images, which the file does not hold; 1.0 where not known.

    Raises
    ------
    InputError : missing or damaged, or the weights of another engine.
    """
    content = read_tensors(path)
    shapes = {name: tuple(getattr(content.get(name), "shape", ())) for name in ("mean", "bases")}
    mean, bases = shapes["mean"], shapes["bases"]
    if len(mean) != 3 or len(set(mean)) != 1 or len(bases) != 4 or bases[1:] != mean:
        raise InputError(
            f"{path}: expected a mean map (D, D, D) and bases (q, D, D, D), found {mean or 'none'} and "
            f"{bases or 'none'}; give the weights.pkl of a run whose config.yaml lies beside it"
        )
    maps = LinearMaps(content["mean"].numpy(), content["bases"].numpy(), pixel_size_angstrom)
    return LinearWeights(maps, content.get("noise_variance", torch.zeros(0)), content.get("state", {}))


def write_tensors(path: Path, content: dict[str, Any]) -> None:
    """Write tensors and dictionaries of them as a torch archive, whole or not at all."""
    with replace_when_done(path) as temporary:
        torch.save(content, temporary)


def read_tensors(path: Path) -> dict[str, Any]:
    """Content of a torch archive, tensors on the CPU; InputError where it is missing, damaged or unsafe."""
    if not path.is_file():
        raise InputError(f"{path}: no such weights file; give the folder of a training run")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: not a readable weights file, damaged or cut short ({first_line}); train again"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds no weights; give the weights file of a training run")
    return content
