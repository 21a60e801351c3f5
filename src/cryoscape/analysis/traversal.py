"""Straight paths through latent space: along principal components, and from particle to particle."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from cryoscape.analysis.embedding import PrincipalComponents
from cryoscape.errors import InputError
from cryoscape.typing import Latents

Spacing = Literal["even", "percentile"]
"""Points evenly spaced in latent units, or at evenly spaced percentiles of the particles."""


def pc_path(
    components: PrincipalComponents,
    component: int,
    *,
    n_points: int = 10,
    limits_percentile: tuple[float, float] = (1.0, 99.0),
    spacing: Spacing = "even",
) -> Float[np.ndarray, "p zdim"]:
    """Latent coordinates along one principal component, the others at their mean.

    Parameters
    ----------
    components : PrincipalComponents
        Of the particles' latent coordinates.
    component : int
        1-based number of the component, as in the names of folders and files.
    n_points : int
        Points on the path, both ends included.
    limits_percentile : (float, float)
        The path runs between these percentiles of the particles' scores.

    Returns
    -------
    array (n_points, zdim)

    Raises
    ------
    InputError
        If the component does not exist, or the limits or the number of points make no path.
    """
    n_components = components.scores.shape[1]
    if not 1 <= component <= n_components:
        raise InputError(
            f"--pc: component {component} does not exist; a latent space of {n_components} dimensions has "
            f"components 1 to {n_components}."
        )
    low, high = limits_percentile
    if not 0 <= low < high <= 100:
        raise InputError(f"--lim: expected two rising percentiles within 0 to 100, found {low:g} {high:g}.")
    if n_points < 1:
        raise InputError(f"-n: a path needs at least 1 point, found {n_points}.")
    scores = components.scores[:, component - 1]
    if spacing == "percentile":
        along = np.percentile(scores, np.linspace(low, high, n_points))
    else:
        start, stop = np.percentile(scores, [low, high])
        along = np.linspace(start, stop, n_points)
    path = np.zeros((n_points, n_components))
    path[:, component - 1] = along
    return components.inverse(path)


def direct_path(
    z: Latents, anchors: Sequence[int], n_points: int = 6, *, loop: bool = False
) -> tuple[Float[np.ndarray, "p zdim"], Int[np.ndarray, " a"]]:
    """Straight lines through particles, with evenly spaced points between each and the next.

    Parameters
    ----------
    z : array (n, zdim)
        Latent coordinates.
    anchors : rows of z
        At least two.
    n_points : int
        Points from one anchor to the next, both included; an anchor between two lines is one point.
    loop : bool
        Go back from the last anchor to the first.

    Returns
    -------
    array (p, zdim), array (anchors,)
        Points, and the places of the anchors among them.

    Raises
    ------
    InputError
        If there are fewer than two points on a line.
    """
    if n_points < 2:
        raise InputError(f"-n: a line from one anchor to the next needs at least 2 points, found {n_points}.")
    stops = [*anchors, anchors[0]] if loop else list(anchors)
    along = np.linspace(0.0, 1.0, n_points)[1:, None]
    path = [np.asarray(z[stops[:1]], dtype=np.float64)]
    for start, end in pairwise(stops):
        a, b = (np.asarray(z[row], dtype=np.float64) for row in (start, end))
        path.append((1.0 - along) * a + along * b)
    return np.concatenate(path), np.arange(len(stops), dtype=np.int64) * (n_points - 1)
