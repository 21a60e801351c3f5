"""Structural elements: the parts of a model whose presence is measured, with their atoms and names."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from cryoscape.errors import InputError
from cryoscape.io.atomic_model import AtomicModel
from cryoscape.occupancy.selections import Selection, parse_selections

NAMED = "element"
"""First header of elements with a name of their own, where chains have that of their model."""
_CHAIN_MARK = "_chain"
_SAFE_NAME = re.compile(r"[\w.+' -]+")


@dataclass(frozen=True)
class Element:
    """A part of the model.

    Attributes
    ----------
    name : also the stem of its files, unique whatever the case: ``prots1_chaina``, or a given name, ``H68``.
    parts : what it is made of.
    coordinates_angstrom : (A, 3), x y z.
    electrons : (A,) atomic numbers.
    """

    name: str
    parts: tuple[Selection, ...]
    coordinates_angstrom: Float[np.ndarray, "a 3"]
    electrons: Float[np.ndarray, " a"]


def header_of(name: str) -> tuple[str, str]:
    """The two headers of an element's column: (model, chain in lower case), or ("element", its name).

    >>> header_of("prots1_chaina"), header_of("H68")
    (('prots1', 'a'), ('element', 'H68'))
    """
    stem, mark, chain = name.rpartition(_CHAIN_MARK)
    return (stem, chain) if mark else (NAMED, name)


def name_of(header: tuple[str, str]) -> str:
    """Name of the element of a column; the inverse of `header_of`."""
    return header[1] if header[0] == NAMED else f"{header[0]}{_CHAIN_MARK}{header[1]}"


def short_name(name: str) -> str:
    """An element as plots call it: ``prots1/A``, ``H68``."""
    stem, chain = header_of(name)
    return name if stem == NAMED else f"{stem}/{chain.upper() if len(chain) == 1 else chain}"


def chain_elements(
    models: Mapping[str, AtomicModel], chains: Sequence[str] | None = None
) -> tuple[Element, ...]:
    """One element a chain.

    Parameters
    ----------
    models
        Models by name.
    chains
        Which: selections (``A``, ``prots1:A,B``); a bare name is looked for in every model. All by default.

    Raises
    ------
    InputError
        For chains that are not there.
    """
    texts = [f"{stem}:*" for stem in models] if chains is None else list(chains)
    selections: list[Selection] = []
    for text in texts:
        selections += _anywhere(text, models) if ":" not in text else parse_selections(text, models)
    selections = list(dict.fromkeys(selections))
    shared = Counter(_chain_name(part).lower() for part in selections)
    seen: Counter[str] = Counter()
    found = []
    for part in selections:
        name = _chain_name(part)
        seen[name] += 1
        if shared[name] > 1:  # chains A and a: files must differ where case does not count
            name = f"{name}-{seen[name]}"
        found.append(_element(name, (part,), models))
    return tuple(found)


def _anywhere(text: str, models: Mapping[str, AtomicModel]) -> list[Selection]:
    found: list[Selection] = []
    for name in text.split(","):
        refusals: list[InputError] = []
        here: list[Selection] = []
        for stem in models:
            try:
                here += parse_selections(f"{stem}:{name}", models)
            except InputError as error:
                refusals.append(error)
        if not here:
            raise refusals[0]
        found += here
    return found


def _chain_name(part: Selection) -> str:
    numbers = "".join(f"_{r.text}" for r in part.residues)
    return f"{part.model}{_CHAIN_MARK}{part.chain.lower()}{numbers}"


def named_elements(
    models: Mapping[str, AtomicModel], wanted: Mapping[str, Sequence[str]]
) -> tuple[Element, ...]:
    """Elements as named by the user.

    Parameters
    ----------
    models
        Models by name.
    wanted
        Selections (see `selections.parse_selections`) by the name of the element.

    Raises
    ------
    InputError
        For names that cannot be file names or are given twice, and selections that hold nothing.
    """
    if not wanted:
        raise InputError('the list of elements is empty; name at least one, such as H68 = "RNA3:R"')
    found = []
    for name, texts in wanted.items():
        if not _SAFE_NAME.fullmatch(name) or _CHAIN_MARK in name or name != name.strip():
            raise InputError(
                f"element {name!r}: names become file names; use letters, digits, spaces and . + ' - _ only"
            )
        parts: list[Selection] = []
        for text in texts:
            try:
                parts += parse_selections(text, models)
            except InputError as error:
                raise InputError(f"element {name}: {error}") from error
        found.append(_element(name, tuple(dict.fromkeys(parts)), models))
    counts = Counter(element.name.lower() for element in found)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"two elements are called {twice[0]!r}, case aside; rename one")
    return tuple(found)


def _element(name: str, parts: tuple[Selection, ...], models: Mapping[str, AtomicModel]) -> Element:
    """Atoms of some parts; one that lies in two of them counts once."""
    coordinates, electrons = [], []
    for stem in dict.fromkeys(part.model for part in parts):
        model = models[stem]
        chosen = np.any([part.atoms(model) for part in parts if part.model == stem], axis=0)
        coordinates.append(model.coordinates_angstrom[chosen])
        electrons.append(model.atomic_number[chosen])
    element = Element(name, parts, np.concatenate(coordinates), np.concatenate(electrons))
    if not element.electrons.any():
        raise InputError(f"{name}: its atoms are of unknown elements; give the model's element column")
    return element


def moved(
    elements: Sequence[Element],
    rotation: Float[np.ndarray, "3 3"],
    translation_angstrom: Float[np.ndarray, " 3"],
) -> tuple[Element, ...]:
    """The elements as one rigid body: x -> rotation @ x + translation."""
    return tuple(
        replace(e, coordinates_angstrom=e.coordinates_angstrom @ rotation.T + translation_angstrom)
        for e in elements
    )
