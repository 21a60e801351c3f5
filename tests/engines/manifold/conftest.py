"""Evidence of images of a known model, drawn from its exact distribution without making images.

Products of an image a (mean + sum c_j basis_j) + noise with the maps are normal: of mean a G (1, c) and
covariance G.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from cryoscape.engines.states.evidence import Evidence, packed


@dataclass(frozen=True)
class Known:
    """Evidence with its moments (N, q + 2, q + 2) and the true coefficients (N, q)."""

    evidence: Evidence
    moments: Tensor
    coefficients: Tensor


def draw_evidence(coefficients: np.ndarray, power: np.ndarray, spread: float = 0.0, seed: int = 0) -> Known:
    """Images with these coefficients, whose maps have about these powers G_jj (q + 1,)."""
    rng = np.random.default_rng(seed)
    n, q = coefficients.shape
    root = rng.normal(size=(n, q + 1, 4 * (q + 1))) / np.sqrt(4 * (q + 1))
    root *= np.sqrt(power)[:, None]
    gram = root @ root.transpose(0, 2, 1)
    v = np.concatenate([np.ones((n, 1)), coefficients], axis=1)
    contrast = 1 + spread * rng.normal(size=n)
    noise = np.einsum("nij,nj->ni", root, rng.normal(size=(n, root.shape[2])))
    image = contrast[:, None] * np.einsum("nij,nj->ni", gram, v) + noise
    moments = np.zeros((n, q + 2, q + 2))
    moments[:, :-1, :-1] = gram
    moments[:, :-1, -1] = moments[:, -1, :-1] = image
    whole = torch.from_numpy(moments).float()
    return Known(packed(whole, spread), whole, torch.from_numpy(coefficients).float())


def on_a_circle(n: int, power: float = 30.0, seed: int = 0) -> Known:
    """Two coefficients on a circle of radius sqrt 2, which have mean 0 and variance 1 each."""
    angle = np.random.default_rng(seed + 100).uniform(0, 2 * np.pi, n)
    circle = np.sqrt(2) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return draw_evidence(circle, np.array([60.0, power, power]), seed=seed)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
