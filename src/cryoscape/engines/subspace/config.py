"""Settings of the subspace engine; the defaults serve every data set."""

from dataclasses import dataclass
from typing import Literal

from cryoscape.errors import InputError

_REACH = 0.75
"""Of the Nyquist frequency: passes at higher ones cost most and add least."""
_FARTHER = 1.2
"""Least factor from there to the Nyquist frequency."""


@dataclass(frozen=True)
class SubspaceConfig:
    """How the subspace is learned.

    Attributes
    ----------
    zdim
        Number of components; None for as many as held-out images support.
    max_zdim
        Components to start from where ``zdim`` is None.
    start_radius, radius_step
        Frequency marching: first radius in cycles per box, and the factor from each radius to the next.
    max_radius
        Largest radius from which maps are learned in turns with latents. Final maps and latents always use
        all frequencies.
    mask
        Where maps may differ: the surroundings of the mean map, or a sphere.
    contrast
        Estimate the contrast (amplitude) of each image.
    max_iterations
        Most passes over the data at each radius; twice as many at the first, where they are cheap.
    tolerance
        A radius has converged when a pass adds less than this share to the held-out information.
    least_gain, least_far_gain
        A larger radius is tried while the last one promises at least this share; the second is for the radius
        beyond three quarters of the Nyquist frequency, which costs most and seldom adds much.
    sample
        Images learned from while the radius grows; all are used at the last one.
    """

    zdim: int | None = None
    max_zdim: int = 12
    start_radius: int = 8
    radius_step: float = 1.4
    max_radius: int | None = None
    mask: Literal["solvent", "sphere"] = "solvent"
    contrast: bool = True
    max_iterations: int = 3
    tolerance: float = 0.02
    least_gain: float = 0.05
    least_far_gain: float = 0.25
    sample: int = 40_000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse settings that cannot be."""
        if self.zdim is not None and self.zdim < 1:
            raise InputError(f"--zdim {self.zdim}: expected at least 1, or auto")
        if self.start_radius < 4 or self.radius_step <= 1:
            raise InputError("frequency marching: expected a first radius of at least 4 and a factor above 1")

    @property
    def n_components(self) -> int:
        """Components carried during training."""
        return self.zdim or self.max_zdim

    def radii(self, box_size: int) -> list[int]:
        """Radii of the frequency marching, ascending; one below the Nyquist frequency at most."""
        most = box_size // 2 - 1 if self.max_radius is None else min(self.max_radius, box_size // 2 - 1)
        near = min(most, self.reach(box_size))
        radii = [min(self.start_radius, near)]
        while radii[-1] < near:
            following = max(radii[-1] + 1, round(radii[-1] * self.radius_step))
            # a last step that gains little is not worth a pass of its own
            radii.append(near if following > 0.85 * near else following)
        return [*radii, most] if most >= _FARTHER * near else radii

    def reach(self, box_size: int) -> int:
        """Radius beyond which a larger one must promise much."""
        return round(_REACH * box_size / 2)
