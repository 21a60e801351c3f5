"""Occupancies: how much density each map has within the mask of each element, one matrix product."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from cryoscape.errors import InputError
from cryoscape.typing import Volume, Volumes


@dataclass(frozen=True, eq=False)
class ElementMasks:
    """Masks of all elements, kept as the few voxels they hold.

    Attributes
    ----------
    names : of the elements, E.
    shape : of the maps, z y x.
    voxels : (U,) flat indices of the voxels that any mask holds, ascending.
    weights : (E, U) values of the masks there, sparse float64.
    references : (E,) sum of the whole reference map of each element; None to leave occupancies undivided.
    """

    names: tuple[str, ...]
    shape: tuple[int, int, int]
    voxels: Int[np.ndarray, " u"]
    weights: csr_array
    references: Float[np.ndarray, " e"] | None

    def __len__(self) -> int:
        return len(self.names)


def gather_masks(
    masks: Iterable[tuple[str, Volume]],
    shape: tuple[int, int, int],
    references: Sequence[float] | None = None,
) -> ElementMasks:
    """Collect masks, taken one at a time, so that they need not all fit in memory.

    Parameters
    ----------
    masks
        Name and mask (z, y, x) of each element.
    shape
        Of the masks and maps.
    references
        Sum of the reference map of each element, in the same order.

    Raises
    ------
    InputError
        For a mask without voxels, or a reference that sums to nothing.
    """
    names, held, values = [], [], []
    for name, mask in masks:
        flat = mask.reshape(-1)
        where = np.flatnonzero(flat)
        if not len(where):
            raise InputError(
                f"the mask of {name} is empty; expected the element within the maps, and a threshold (by "
                "default 0.01) below its density"
            )
        names.append(name)
        held.append(where)
        values.append(flat[where].astype(np.float64))
    if not names:
        raise InputError("no masks given; make them with occupancy masks")
    voxels = np.unique(np.concatenate(held))
    starts = np.concatenate([[0], np.cumsum([len(where) for where in held])])
    columns = np.searchsorted(voxels, np.concatenate(held))
    weights = csr_array((np.concatenate(values), columns, starts), shape=(len(names), len(voxels)))
    sums = None if references is None else np.asarray(references, dtype=np.float64)
    if sums is not None:
        for name, total in zip(names, sums, strict=True):
            if not total > 0:
                raise InputError(f"the reference map of {name} sums to {total:g}; expected density, above 0")
    return ElementMasks(tuple(names), shape, voxels, weights, sums)


def occupancies(
    maps: Volumes, masks: ElementMasks, binarise_at: float | Float[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, "n e"]:
    """O[v, e] = sum_x M_e(x) V_v(x) / sum_x R_e(x), float64 (n, E).

    Nothing is clipped: raw intensities count, negative ones too, so values can lie far from 0 to 1. Linear in
    the maps, unless binarised: those of a mean map and of bases give those of any sum of them.

    Parameters
    ----------
    maps
        (n, z, y, x), of the shape of the masks.
    binarise_at
        Maps become 1 at or above this level (one, or one a map), else 0; the result counts voxels and is not
        divided by the references.
    """
    if maps.shape[1:] != masks.shape:
        raise ValueError(f"maps of {maps.shape[1:]} voxels, masks of {masks.shape}")
    inside = np.asarray(maps.reshape(len(maps), math.prod(masks.shape))[:, masks.voxels], dtype=np.float64)
    if binarise_at is not None:
        levels = np.broadcast_to(np.asarray(binarise_at, dtype=np.float64), (len(maps),))
        return np.asarray((masks.weights @ (inside >= levels[:, None]).T.astype(np.float64)).T)
    sums = np.asarray((masks.weights @ inside.T).T)
    return sums if masks.references is None else sums / masks.references
