"""Where learning starts: the mask maps live in, the first model, and going on to a larger radius."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from cryoscape.engines.noise import total_power
from cryoscape.engines.subspace.config import SubspaceConfig
from cryoscape.engines.subspace.em import Model, extrapolate_power
from cryoscape.engines.subspace.images import Images
from cryoscape.engines.subspace.mean_map import mean_maps
from cryoscape.engines.subspace.support import Support, box_for, change_box
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.physics.fourier import crop_volume
from cryoscape.physics.fsc import low_pass
from cryoscape.physics.grids import radius_grid_3d
from cryoscape.physics.masks import soft_mask_from_map, soft_sphere
from cryoscape.physics.slices import FourierGrid

OVERSAMPLING = 2
_SPHERE, _EDGE = 0.42, 0.05
"""Radius of the largest sphere the image window leaves, and width of soft edges, as fractions of the box."""
_MASK_RADIUS = 12
"""Frequencies the mean map is reconstructed from for its mask."""
_THRESHOLD, _DILATION = 0.1, 0.05
"""Share of the map's 99.9th percentile that counts as density, and how far maps may differ beyond it."""
_FIRST_SHARE = 0.1
"""Power of each basis at the start, of the mean map's."""


def whole_mask(
    store: FourierStore, config: SubspaceConfig, given: Float[Tensor, "z y x"] | None
) -> Float[Tensor, "z y x"]:
    """Mask in the box of images: the user's, a sphere, or the surroundings of the mean map.

    Where no density stands out of a mean map's noise, the sphere.
    """
    box = store.box_size
    if given is not None:
        return given.to(store.device)
    sphere = soft_sphere(box, (_SPHERE - _EDGE) * box, _EDGE * box, device=store.device)
    if config.mask == "sphere":
        return sphere
    radius = min(_MASK_RADIUS, box // 2 - 1)
    small = box_for(radius, box)
    ball = soft_sphere(small, (_SPHERE - _EDGE) * small, _EDGE * small, device=store.device)
    support = Support(ball, FourierGrid(radius))
    halves, _ = mean_maps(Images(store, radius), support, total_power(store))
    density = low_pass(halves.mean(0), 0.8 * radius)
    outside = radius_grid_3d(small, device=store.device) > _SPHERE * small * 0.9
    noise = float((halves[0] - halves[1])[~outside].std()) / 2
    top = float(torch.quantile(density.flatten()[: 1 << 24], 0.999))
    mask = soft_mask_from_map(density, max(_THRESHOLD * top, 3 * noise), _DILATION * small, _EDGE * small)
    if not bool(mask.any()):
        return sphere
    return (crop_volume(mask, box).clamp(0, 1) * sphere).to(store.device)


def support_at(mask: Float[Tensor, "z y x"], radius: int) -> Support:
    """The mask in the box of a radius, and the grid."""
    box = box_for(radius, mask.shape[-1])
    small = crop_volume(mask, box).clamp(0, 1) if box < mask.shape[-1] else mask
    return Support(small, FourierGrid(radius, OVERSAMPLING))


def first_model(images: Images, support: Support, config: SubspaceConfig) -> Model:
    """Mean maps of the half sets, and random smooth bases within the mask, the same for both."""
    noise = total_power(images.store)
    means, power = mean_maps(images, support, noise)
    generator = torch.Generator().manual_seed(config.seed)
    random = torch.randn(config.n_components, *support.mask.shape, generator=generator)
    random = low_pass(random, images.radius / 2).to(support.mask) * support.mask
    half = slice(1, max(2, images.radius // 2))
    scale = (_FIRST_SHARE * power[half].sum() / support.power(random)[half].sum(0)).sqrt()
    bases = random * scale[:, None, None, None]
    prior = torch.maximum(support.power(bases), _FIRST_SHARE**2 * power[:, None])
    maps = torch.stack([torch.cat([mean[None], bases]) for mean in means])
    spread = 0.1 if config.contrast else 0.0
    return Model(maps, torch.cat([power[:, None], prior], dim=1), noise, spread)


def enlarge(model: Model, images: Images, support: Support) -> Model:
    """The model at a larger radius: new mean maps, bases padded, their prior as steep as the mean's power."""
    means, power = mean_maps(images, support, model.noise)
    maps = in_box_of(support, model).maps
    maps[:, 0] = means
    return replace(model, maps=maps, power=extrapolate_power(model.power, power))


def in_box_of(support: Support, model: Model) -> Model:
    """The model in the box of a larger radius, with nothing beyond its own."""
    maps = [change_box(half, support.box) * support.mask for half in model.maps]
    return replace(model, maps=torch.stack(maps))
