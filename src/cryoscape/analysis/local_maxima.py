"""Well-populated neighbourhoods of a plane of particles: the UMAP local maxima method of the protocol."""

from dataclasses import dataclass
from string import ascii_uppercase

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from cryoscape.errors import InputError


@dataclass(frozen=True)
class LocalMaximaOptions:
    """Settings of the search; the defaults are those of the protocol's glossary."""

    n_bins: int = 30
    """Bins along each axis of the plane."""
    smooth_width_bins: float = 1.0
    """Standard deviation of the Gaussian that smooths the histogram; 0 for none."""
    radius_bins: float = 5.0
    """Of two maxima within this distance the lower is removed."""
    pruned_maxima: int | None = None
    """Stop removing once so few are left; None: until no two are within the radius."""
    final_maxima: int = 10
    """The highest maxima that are kept."""


@dataclass(frozen=True, eq=False)
class LocalMaxima:
    """Maxima of the particle density, by falling number of particles.

    Attributes
    ----------
    x_edges, y_edges : (n_bins + 1,) of the histogram.
    counts, smoothed : (n_bins, n_bins) histogram [x, y] as counted and as smoothed.
    found : (m, 2) bins of all local maxima, before removal, by falling height.
    bins : (k, 2) bin of each maximum kept.
    members : rows of the particles in the 3 x 3 bins about each.
    """

    x_edges: Float[np.ndarray, " e"]
    y_edges: Float[np.ndarray, " e"]
    counts: Float[np.ndarray, "b b"]
    smoothed: Float[np.ndarray, "b b"]
    found: Int[np.ndarray, "m 2"]
    bins: Int[np.ndarray, "k 2"]
    members: tuple[Int[np.ndarray, " _"], ...]

    def __len__(self) -> int:
        return len(self.members)

    @property
    def labels(self) -> tuple[str, ...]:
        """A for the maximum with most particles, B for the next; after Z come AA, AB..."""
        return tuple(letter_label(i) for i in range(len(self)))

    def centers(self, bins: Int[np.ndarray, "k 2"]) -> Float[np.ndarray, "k 2"]:
        """Coordinates of the middle of bins."""
        x, y = ((edges[1:] + edges[:-1]) / 2 for edges in (self.x_edges, self.y_edges))
        return np.column_stack([x[bins[:, 0]], y[bins[:, 1]]])


def letter_label(i: int) -> str:
    """A, B... Z, AA, AB... for 0, 1..."""
    before, last = divmod(i, 26)
    return (letter_label(before - 1) if before else "") + ascii_uppercase[last]


def check_local_maxima_options(options: LocalMaximaOptions) -> None:
    """Raise InputError for settings without a meaning."""
    for name, value, least in (
        ("--n-bins", options.n_bins, 3),
        ("--final-maxima", options.final_maxima, 1),
        ("--pruned-maxima", 1 if options.pruned_maxima is None else options.pruned_maxima, 1),
    ):
        if value < least:
            raise InputError(f"{name}: expected {least} or more, found {value}; give a larger number.")
    for name, width in (("--radius", options.radius_bins), ("--smooth-width", options.smooth_width_bins)):
        if not (0 <= width < np.inf):
            raise InputError(f"{name}: expected a number of bins, 0 or more, found {width:g}.")


def local_maxima(layout: Float[np.ndarray, "n 2"], options: LocalMaximaOptions | None = None) -> LocalMaxima:
    """Find the maxima of the particle density in a plane and the particles about each.

    The histogram is smoothed; its maxima are bins not lower than their eight neighbours. From the highest
    down, each removes the lower ones within the radius; the highest of those left are kept, and lettered by
    the number of particles in their 3 x 3 bins. A particle in the bins of two goes to the higher.
    """
    options = options or LocalMaximaOptions()
    counts, x_edges, y_edges = np.histogram2d(layout[:, 0], layout[:, 1], bins=options.n_bins)
    smoothed = counts
    if options.smooth_width_bins > 0:
        smoothed = ndimage.gaussian_filter(counts, options.smooth_width_bins, mode="constant")
    found = _peaks(smoothed)
    kept = _prune(found, options.radius_bins, options.pruned_maxima)[: options.final_maxima]
    members = _members(layout, x_edges, y_edges, found[kept])
    filled = [i for i, rows in enumerate(members) if len(rows)]  # smoothing may peak between particles
    order = sorted(filled, key=lambda i: -len(members[i]))
    return LocalMaxima(
        x_edges=x_edges,
        y_edges=y_edges,
        counts=counts,
        smoothed=smoothed,
        found=found,
        bins=found[kept][order],
        members=tuple(members[i] for i in order),
    )


def _peaks(smoothed: Float[np.ndarray, "b b"]) -> Int[np.ndarray, "m 2"]:
    """Bins not lower than their neighbours, by falling height; of a plateau the first bin."""
    around = ndimage.maximum_filter(smoothed, size=3, mode="constant")
    # a tail of the Gaussian is no neighbourhood: less than one particle in its 3 x 3 bins
    worth = ndimage.uniform_filter(smoothed, 3, mode="constant") * 9 >= 0.5
    plateaus, n = ndimage.label((smoothed >= around) & worth, structure=np.ones((3, 3)))
    if n == 0:
        return np.array([np.unravel_index(int(smoothed.argmax()), smoothed.shape)], dtype=np.int64)
    bins = np.array([np.argwhere(plateaus == i)[0] for i in range(1, n + 1)], dtype=np.int64)
    return bins[np.argsort(-smoothed[bins[:, 0], bins[:, 1]], kind="stable")]


def _prune(found: Int[np.ndarray, "m 2"], radius: float, enough: int | None) -> list[int]:
    """Positions of the maxima left after the higher of each close pair removed the lower, highest first."""
    left = list(range(len(found)))
    place = 0
    while place < len(left):
        higher = found[left[place]]
        for lower in reversed(left[place + 1 :]):
            if enough is not None and len(left) <= enough:
                return left
            if np.hypot(*(found[lower] - higher)) <= radius:
                left.remove(lower)
        place += 1
    return left


def _members(
    layout: Float[np.ndarray, "n 2"],
    x_edges: Float[np.ndarray, " e"],
    y_edges: Float[np.ndarray, " e"],
    bins: Int[np.ndarray, "k 2"],
) -> list[Int[np.ndarray, " _"]]:
    n_bins = len(x_edges) - 1
    of_particle = np.column_stack(
        [
            np.clip(np.searchsorted(edges, values, side="right") - 1, 0, n_bins - 1)
            for edges, values in ((x_edges, layout[:, 0]), (y_edges, layout[:, 1]))
        ]
    )
    free = np.ones(len(layout), dtype=bool)
    members = []
    for center in bins:
        rows = np.flatnonzero(free & (np.abs(of_particle - center).max(axis=1) <= 1))
        free[rows] = False
        members.append(rows.astype(np.int64))
    return members
