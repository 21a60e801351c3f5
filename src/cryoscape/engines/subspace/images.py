"""Images of a store as passes over them go: up to a radius, all or a sample, by viewing direction."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from cryoscape.engines.distributed import own_part
from cryoscape.engines.noise import pixel_shells
from cryoscape.particles.fourier_store import FourierStore

_BLOCK_COEFFICIENTS = 1 << 21
_BAND_RADIANS = 0.1


@dataclass(frozen=True)
class Images:
    """Images of a store up to a radius in cycles per box.

    Attributes
    ----------
    most : images looked at; of more, a regular sample with as many of either half set.
    """

    store: FourierStore
    radius: int
    most: int | None = None

    @cached_property
    def n_pixels(self) -> int:
        """Frequencies used: a prefix of the half plane."""
        return self.store.plane.count_within(float(self.radius))

    @cached_property
    def k(self) -> Float[Tensor, "p 2"]:
        """Frequencies in cycles per box."""
        return self.store.plane.k[: self.n_pixels].to(torch.float32)

    @cached_property
    def shells(self) -> Int[Tensor, " p"]:
        """Shell of each pixel."""
        return pixel_shells(self.store)[: self.n_pixels]

    @cached_property
    def half(self) -> Int[Tensor, " n"]:
        """Half set of each image, 0 or 1."""
        return self.store.halves()

    @cached_property
    def rows(self) -> Int[Tensor, " m"]:
        """Positions of the images looked at, ascending."""
        n, device = self.store.n, self.store.device
        if self.most is None or n <= self.most:
            return torch.arange(n, device=device)
        pairs = max(1, self.most // 2)  # neighbours are of different half sets
        first = 2 * (torch.arange(pairs, device=device) * (n // 2) // pairs)
        return torch.stack([first, first + 1], dim=1).flatten()

    def of_half(self, which: int) -> Bool[Tensor, " m"]:
        """Of the images looked at, those of a half set."""
        return self.half[self.rows] == which

    def regular_sample(self, n: int) -> int:
        """Number s such that about n of the images looked at have a position that s divides."""
        return max(1, len(self.rows) // n) | 1  # odd, so that both half sets are seen

    @cached_property
    def order(self) -> Int[Tensor, " m"]:
        """Images by viewing direction, in bands up and down: neighbours read and write the same voxels."""
        direction = self.store.rotations[self.rows, 2]
        direction = direction * torch.where(direction[:, :1] < 0, -1.0, 1.0)
        band = (torch.acos(direction[:, 2].clamp(-1, 1)) / _BAND_RADIANS).floor()
        angle = torch.atan2(direction[:, 1], direction[:, 0]) / 4  # within +-0.4
        return self.rows[torch.argsort(band + torch.where(band % 2 == 0, angle, -angle))]

    def blocks(self) -> Iterator[Int[Tensor, " b"]]:
        """Positions of the images of this process, some at a time, each block of one half set."""
        size = max(32, min(4096, _BLOCK_COEFFICIENTS // self.n_pixels))
        for rows in torch.split(own_part(self.order), 2 * size):
            for which in range(2):
                mine = rows[self.half[rows] == which]
                if len(mine):
                    yield mine

    def read(self, rows: Int[Tensor, " b"]) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients, CTF and rotations of some images."""
        store = self.store
        return store.batch(rows, self.n_pixels), store.ctf(rows, self.n_pixels), store.rotations[rows]
