"""Ways to select particles: how far out they lie, within an outline, in clusters."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from cryoscape.errors import InputError
from cryoscape.typing import Latents


def magnitude_z_score(z: Latents) -> Float[np.ndarray, " n"]:
    """Standard deviations by which the length of each latent lies above the mean length.

    The z-score of the protocol's glossary: (|z| - mean |z|) / standard deviation of |z|, the last with the
    divisor n. Zeros where all lengths are equal.
    """
    length = np.linalg.norm(np.asarray(z, dtype=np.float64), axis=1)
    spread = length.std()
    return np.asarray((length - length.mean()) / spread if spread > 0 else np.zeros_like(length))


def beyond_z_score(score: Float[np.ndarray, " n"], threshold: float) -> Bool[np.ndarray, " n"]:
    """Particles above a threshold, or, where it is negative, below it.

    An autoencoder puts junk far out, at a large magnitude; an engine with exact posteriors puts images that
    say nothing near the mean, at a small one.
    """
    if not np.isfinite(threshold) or threshold == 0:
        raise InputError(
            f"--zscore: give a number above 0, or below 0 for the other side, found {threshold:g}."
        )
    return np.asarray(score > threshold if threshold > 0 else score < threshold)


def in_polygon(points: Float[np.ndarray, "n 2"], corners: Float[np.ndarray, "m 2"]) -> Bool[np.ndarray, " n"]:
    """Points within a closed outline, by the even-odd rule; points without finite coordinates are not.

    Parameters
    ----------
    corners : (m, 2), m > 2, in order; the last is joined to the first.
    """
    from skimage.measure import points_in_poly

    if len(corners) < 3 or not np.isfinite(corners).all():
        raise InputError(f"--polygon: give at least 3 corners as finite numbers, found {len(corners)}.")
    outline = np.asarray(corners, dtype=np.float64)
    inside = np.zeros(len(points), dtype=bool)
    # the outline's own box first: it is cheap and leaves few
    near = ((points >= outline.min(axis=0)) & (points <= outline.max(axis=0))).all(axis=1)
    candidates = np.asarray(points[near], dtype=np.float64)
    inside[near] = points_in_poly(candidates, outline)  # type: ignore[no-untyped-call]
    return inside


def in_clusters(labels: Int[np.ndarray, " n"], numbers: Sequence[int]) -> Bool[np.ndarray, " n"]:
    """Particles of the clusters with these numbers.

    Raises InputError where there is no cluster of a number.
    """
    there = np.unique(labels)
    absent = sorted(set(numbers) - set(there.tolist()))
    if absent:
        raise InputError(
            f"--clusters: there is no cluster {absent[0]}; they are numbered {there.min()} to {there.max()}."
        )
    return np.isin(labels, np.asarray(numbers, dtype=np.int64))
