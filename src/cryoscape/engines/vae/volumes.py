"""Density maps of a trained decoder at any latent coordinates."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from cryoscape.engines.vae.model import Decoder
from cryoscape.errors import InputError
from cryoscape.typing import Latents

_POINTS_PER_CHUNK = 8192
_GPU_POINTS_PER_CHUNK = 1 << 17
_MAPS_AT_ONCE_BYTES = 1 << 29


@dataclass(frozen=True)
class VaeVolumeSource:
    """Maps of one decoder; satisfies `VolumeSource`.

    Attributes
    ----------
    training_box : D of the training images.
    box_size : of the maps; smaller than training_box for Fourier-cropped ones.
    training_pixel_size_angstrom : of the training images; 1.0 where unknown.
    norm : (mean, standard deviation) that the training images' Hartley transforms were normalised by.
    """

    decoder: Decoder
    training_box: int
    box_size: int
    training_pixel_size_angstrom: float
    norm: tuple[float, float]

    @property
    def zdim(self) -> int:
        """Dimension of the latent space."""
        return self.decoder.zdim

    @property
    def pixel_size_angstrom(self) -> float:
        """Voxel size of the maps in angstrom."""
        return self.training_pixel_size_angstrom * self.training_box / self.box_size

    def downsampled(self, box_size: int) -> "VaeVolumeSource":
        """The same maps in a smaller even box, Fourier cropped; the pixel size grows to match."""
        if box_size % 2 or not 2 <= box_size <= self.training_box:
            raise InputError(
                f"-d {box_size}: expected an even box of at most {self.training_box} px, the training box"
            )
        return VaeVolumeSource(
            self.decoder, self.training_box, box_size, self.training_pixel_size_angstrom, self.norm
        )

    @torch.no_grad()
    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        """Density maps (n, D, D, D) float32, axes [z, y, x], at latents z (n, zdim).

        The Hartley transform of each map is evaluated inside the sphere |k| <= D/2, on half of it where the
        decoder is Hermitian, then denormalised and inverted.

        Raises
        ------
        InputError : z does not have zdim columns, or is not finite.
        """
        z = np.atleast_2d(np.asarray(z, dtype=np.float32))
        if z.shape[1] != self.zdim:
            raise InputError(
                f"latents: expected {self.zdim} columns (zdim of the weights), found {z.shape[1]}"
            )
        if not np.isfinite(z).all():
            raise InputError(f"latents: row {int(np.argmin(np.isfinite(z).all(1)))} is not finite")
        device = next(self.decoder.parameters()).device
        out = np.empty((len(z), self.box_size, self.box_size, self.box_size), dtype=np.float32)
        group = max(1, _MAPS_AT_ONCE_BYTES // (16 * self.box_size**3))
        for start in range(0, len(z), group):
            hartley = self._hartley(torch.as_tensor(z[start : start + group], device=device))
            for i, cube in enumerate(hartley):
                out[start + i] = _inverse_hartley(cube).cpu().numpy()
        return out

    def _hartley(self, z: Tensor) -> Float[Tensor, "n D D D"]:
        """Centred Hartley transforms (n, D, D, D) of the maps, in the units of the raw images."""
        size, mean, std = self.box_size, *self.norm
        k = sphere_points(size, half=self.decoder.domain == "fourier").to(z.device)
        here = ((k[:, 2] + size // 2) * size + k[:, 1] + size // 2) * size + k[:, 0] + size // 2
        mirror = ((size // 2 - k[:, 2]) * size + size // 2 - k[:, 1]) * size + size // 2 - k[:, 0]
        # Points with kz = 0 are evaluated on both sides, as in training: nothing is mirrored there.
        mirrored = k[:, 2] < 0
        inside = mirrored & ((-k < size // 2).all(dim=-1))
        cube = torch.full((len(z), size**3), mean, dtype=torch.float32, device=z.device)
        rows = _POINTS_PER_CHUNK if z.device.type == "cpu" else _GPU_POINTS_PER_CHUNK
        for start in range(0, len(k), rows):
            part = slice(start, start + rows)
            values = _evaluate(self.decoder, k[part].to(torch.float32) / self.training_box, z)  # (n, m, c)
            if self.decoder.domain == "hartley":
                cube[:, here[part]] = values[..., 0] * std + mean
                continue
            re, im = values.unbind(-1)
            cube[:, here[part]] = (re - im) * std + mean
            keep = inside[part]
            cube[:, mirror[part][keep]] = (re + im)[:, keep] * std + mean
        return cube.view(len(z), size, size, size)


def sphere_points(box_size: int, half: bool) -> Int[Tensor, "m 3"]:
    """Integer (kx, ky, kz) with |k| <= D/2 on the grid -D/2..D/2-1; with `half` only those with kz <= 0."""
    axis = torch.arange(-(box_size // 2), box_size // 2)
    z_axis = axis[axis <= 0] if half else axis
    kz, ky, kx = torch.meshgrid(z_axis, axis, axis, indexing="ij")
    inside = kx.square() + ky.square() + kz.square() <= (box_size // 2) ** 2
    return torch.stack([kx[inside], ky[inside], kz[inside]], dim=-1)


def _evaluate(
    decoder: Decoder, points: Float[Tensor, "m 3"], z: Float[Tensor, "n z"]
) -> Float[Tensor, "n m c"]:
    """Network outputs; the encoding and its product with the first layer are shared by all z."""
    first, *rest = decoder.decoder.main
    if not isinstance(first, nn.Linear):
        return torch.cat([decoder(points[None], one[None]) for one in z])
    phase = points @ decoder.frequencies.T
    n_features = len(decoder.order)
    features = torch.cat([phase.sin(), phase.cos()], dim=-1)
    shared = features @ first.weight[:, decoder.order].T  # (m, h)
    bias = z @ first.weight[:, n_features:].T + first.bias  # (n, h)
    network = nn.Sequential(*rest)
    return torch.stack([network(shared + one) for one in bias])


def _inverse_hartley(cube: Float[Tensor, "D D D"]) -> Float[Tensor, "D D D"]:
    """Real-space map of a centred Hartley transform; the Hartley transform is its own inverse up to 1/D^3."""
    transform = torch.fft.fftshift(torch.fft.fftn(torch.fft.ifftshift(cube)))
    real: Tensor = (transform.real - transform.imag) / cube.numel()
    return real
