"""How many components the images support."""

from dataclasses import dataclass

import torch

from cryoscape.engines.subspace.em import Model
from cryoscape.engines.subspace.halves import agreement
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.posterior import posterior
from cryoscape.engines.subspace.readable import readable
from cryoscape.engines.subspace.support import Support

_SAMPLE = 2500
_HARMLESS_SHARE = 0.002
"""Of the information, that components may cost: learned from all images, not from half, they cost less."""
_LEAST_TOLD = 0.05
"""Variance of a latent over the images, of a prior variance of 1, below which they say nothing of it."""
_LEAST_AGREEMENT = 0.143
"""Of the half sets' bases: that of all images then correlates by a half with the truth."""
_LEAST_INFORMATION = 0.02
"""Nats an image: what the mean map's own faults can feign where all particles are alike."""


@dataclass(frozen=True)
class Choice:
    """Number of components, and why in words."""

    n_components: int
    reason: str


def choose_components(images: Images, model: Model, support: Support) -> Choice:
    """As many components as explain images of the other half set as well as the best number does.

    The information of a sample of images is computed with the first 0, 1, 2... bases of the half set they
    are not in; its differences are the same images', so small gains show. Bases learned from half of the
    images that just break even gain when learned from all, if the half sets agree on them.
    """
    most = model.maps.shape[1] - 1
    values = [readable(half, support.grid) for half in model.maps]
    sums, count = torch.zeros(most + 1, dtype=torch.float64), 0
    told = torch.zeros(most, dtype=torch.float64)
    sample = images.rows[images.rows % images.regular_sample(_SAMPLE) == 0]
    for which in range(2):
        rows = sample[images.half[sample] == which]
        for part in torch.split(rows, 500):
            data, ctf, rotations = images.read(part)
            variance = model.noise[images.shells]
            moments = image_moments(values[1 - which], data, ctf, rotations, images.k, variance)
            for q in range(1, most + 1):
                found = posterior(moments, n_components=q)  # the contrast changes little here
                sums[q] += float(found.information.double().sum())
            told += found.mean.double().square().sum(0).cpu()
            count += len(part)
    information = (sums / max(count, 1)).tolist()
    best = max(range(most + 1), key=information.__getitem__)
    if information[best] < _LEAST_INFORMATION:
        return Choice(0, f"{most} tried add no more than {information[best]:.3f} nats an image held out")
    real = (told / max(count, 1) >= _LEAST_TOLD) & (agreement(model.maps).cpu() >= _LEAST_AGREEMENT)
    chosen = most_supported(information, real.tolist())
    if chosen == most:
        return Choice(chosen, f"half sets agree on all {most} tried; a larger --zdim may find more")
    return Choice(
        chosen,
        f"{chosen} of {most} tried carry {100 * information[chosen] / max(information[best], 1e-9):.1f} % of "
        f"the best held-out information, {information[best]:.2f} nats an image",
    )


def most_supported(information: list[float], real: list[bool]) -> int:
    """Largest number of components that ends with one that is there and costs next to no information.

    Parameters
    ----------
    information
        Held out, with the first 0, 1, 2... components.
    real
        Of each component, whether images tell of it and half sets agree on it. Where every number that ends
        with such a one costs information, the best of these numbers is taken.
    """
    known = [q for q in range(len(information)) if q == 0 or real[q - 1]]
    least = (1 - _HARMLESS_SHARE) * max(information)
    harmless = [q for q in known if information[q] >= least]
    return max(harmless) if harmless else max(known, key=information.__getitem__)
