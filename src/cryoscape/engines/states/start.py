"""The first mixture: clusters of the subspace's latents, several times."""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.cluster import KMeans

from cryoscape.engines.states.config import StatesConfig
from cryoscape.engines.states.evidence import Evidence
from cryoscape.engines.states.mixture import Mixture, fit

_SAMPLE = 20_000


def first_mixture(evidence: Evidence, z: Float[np.ndarray, "n q"], config: StatesConfig) -> Mixture:
    """The likeliest of several mixtures that began with clusters.

    Parameters
    ----------
    z
        (N, q) latents in the coordinates of the evidence.
    """
    k = max(1, min(config.first_k, evidence.n // 2))
    sample = z[:: max(1, len(z) // _SAMPLE)]
    best, best_value = None, -float("inf")
    for start in range(config.starts):
        clusters = KMeans(k, n_init=1, random_state=config.seed + start).fit(sample)
        centres = torch.as_tensor(clusters.cluster_centers_, dtype=torch.float32).to(evidence.image)
        mixture = Mixture(centres, torch.full((k,), 1 / k).to(evidence.image))
        mixture, value = fit(evidence, mixture, 2 * config.iterations, config.temperature)
        if best is None or value > best_value:
            best, best_value = mixture, value
    if best is None:
        raise ValueError("expected at least one start")
    return best
