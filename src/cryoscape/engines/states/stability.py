"""Whether each half of the images finds the same states for itself."""

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Reading
from cryoscape.engines.states.merging import merge_states
from cryoscape.engines.states.mixture import responsibilities
from cryoscape.engines.states.start import first_mixture


def stability(
    reading: Reading, states: Int[np.ndarray, " n"], k: int, config: StatesConfig
) -> Float[np.ndarray, " k"]:
    """Overlap of each state with the states that either half set finds from a start of its own, the smaller.

    Both halves' states place all images; overlap is intersection over union of the best one-to-one match.

    Parameters
    ----------
    reading
        Of maps that know nothing of the states.
    states
        The state of each image, below ``k``.
    """
    evidence, z = reading.evidence, reading.z.cpu().numpy()
    found = []
    for first in (0, 1):
        rows = torch.arange(first, evidence.n, 2, device=evidence.image.device)
        part = evidence.of(rows)
        start = first_mixture(part, z[first::2], config)
        other = merge_states(part, start, k, config.iterations, config.least_nats_a_particle)
        placed = responsibilities(evidence, other)[0].argmax(1).cpu().numpy()
        found.append(matched_overlap(states, placed, k))
    smaller: np.ndarray = np.minimum(*found)
    return smaller


def matched_overlap(a: Int[np.ndarray, " n"], b: Int[np.ndarray, " n"], k: int) -> Float[np.ndarray, " k"]:
    """Intersection over union of each of k classes of ``a`` with the class of ``b`` it is matched with."""
    table = np.zeros((k, k))
    np.add.at(table, (a, b), 1)
    union = table.sum(1)[:, None] + table.sum(0) - table
    overlap = table / np.maximum(union, 1)
    rows, columns = linear_sum_assignment(-overlap)
    matched: np.ndarray = overlap[rows, columns]
    return matched
