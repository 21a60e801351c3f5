"""Parts of atomic models in words: ``MODEL:CHAIN:RESIDUES``, as typed in options and element lists."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from cryoscape.errors import InputError
from cryoscape.io.atomic_model import AtomicModel

_RESIDUES = re.compile(r"(-?\d+)([A-Za-z]?)(?:\s*-\s*(-?\d+)([A-Za-z]?))?")
_LAST_CODE = "\x7f"
"""Sorts after every insertion code: an end without a code takes in all insertions at its number."""


@dataclass(frozen=True)
class ResidueRange:
    """Residues from one number to another, both included, each with its insertion code.

    A range without codes takes in all insertions at its ends: 52 to 52 holds 52, 52A and 52B.
    """

    first: tuple[int, str]
    last: tuple[int, str]

    @property
    def text(self) -> str:
        """The range as typed."""
        ends = [f"{number}{code.strip(_LAST_CODE)}" for number, code in (self.first, self.last)]
        return ends[0] if ends[0] == ends[1] else "-".join(ends)


@dataclass(frozen=True)
class Selection:
    """A chain of a model, or some of its residues.

    Attributes
    ----------
    model : name of the model, the stem of its file.
    chain : name as in the file, upper and lower case told apart.
    residues : ranges; none for the whole chain.
    """

    model: str
    chain: str
    residues: tuple[ResidueRange, ...] = ()

    @property
    def text(self) -> str:
        """As it would be typed."""
        numbers = ",".join(part.text for part in self.residues)
        return ":".join(part for part in (self.model, self.chain, numbers) if part)

    def atoms(self, model: AtomicModel) -> Bool[np.ndarray, " a"]:
        """Mask of the atoms of `model` that are selected, HETATM records of the chain included."""
        of_chain: np.ndarray = model.chain == self.chain
        if not self.residues:
            return of_chain
        chosen = np.zeros(len(model), dtype=bool)
        for part in self.residues:
            (low, low_code), (high, high_code) = part.first, part.last
            after = (model.residue > low) | ((model.residue == low) & (model.insertion >= low_code))
            before = (model.residue < high) | ((model.residue == high) & (model.insertion <= high_code))
            chosen |= after & before
        return of_chain & chosen


def parse_selections(text: str, models: Mapping[str, AtomicModel]) -> tuple[Selection, ...]:
    """What a text selects: ``MODEL:CHAINS:RESIDUES``, e.g. ``RNA3:R``, ``prots1:D,M`` or ``A:10-60,71``.

    Parameters
    ----------
    text
        MODEL may be left out where there is one model; CHAINS are names with commas between them, or ``*``
        for all of a model; RESIDUES are numbers and ranges, with insertion codes where needed (``52A``).
    models
        Models by name.

    Raises
    ------
    InputError
        For a model, a chain or residues that are not there, or a text that cannot be read.
    """
    stem, chains, residues = _parts(text, models)
    model = models[stem]
    names = _names(model) if chains == "*" else [part.strip() for part in chains.split(",")]
    ranges = tuple(_range(part, text) for part in residues.split(",")) if residues else ()
    found = tuple(Selection(stem, find_chain(name, model, stem), ranges) for name in names)
    for selection in found:
        if not selection.atoms(model).any():
            raise InputError(f"{selection.text}: no atoms there; check the residue numbers")
    return found


def find_chain(name: str, model: AtomicModel, stem: str) -> str:
    """Name of a chain as the file has it, for one given in either case.

    Raises
    ------
    InputError
        If there is no such chain, or two differ from the name in case only.
    """
    names = _names(model)
    if name in names:
        return name
    alike = [known for known in names if known.lower() == name.lower()]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise InputError(f"{stem}: chain {name!r} could be {' or '.join(alike)}; give it in its own case")
    raise InputError(f"{stem} has no chain {name!r}; it has {' '.join(names)}")


def _names(model: AtomicModel) -> list[str]:
    return sorted(set(model.chain.tolist()))


def _parts(text: str, models: Mapping[str, AtomicModel]) -> tuple[str, str, str]:
    parts = [part.strip() for part in text.split(":")]
    if parts[0] not in models:
        if len(parts) == 3 or (len(parts) == 2 and len(models) > 1):
            raise InputError(f"{text!r}: no model file called {parts[0]!r}; models: {', '.join(models)}")
        if len(models) > 1:
            raise InputError(f"{text!r}: say of which model, MODEL:CHAIN; models: {', '.join(models)}")
        parts = [next(iter(models)), *parts]
    if len(parts) == 1:
        parts.append("*")
    if len(parts) > 3 or not all(parts):
        raise InputError(f"{text!r}: expected MODEL:CHAIN or MODEL:CHAIN:RESIDUES, such as prots1:D:10-60")
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def _range(text: str, where: str) -> ResidueRange:
    match = _RESIDUES.fullmatch(text.strip())
    if match is None:
        raise InputError(
            f"{where!r}: residues {text.strip()!r}; expected numbers and ranges, such as 10-60,71"
        )
    first, first_code, last, last_code = match.groups()
    if last is None:
        last, last_code = first, first_code
    if int(last) < int(first):
        raise InputError(f"{where!r}: residues {text.strip()!r} run backwards; give the lower number first")
    return ResidueRange((int(first), first_code), (int(last), last_code or _LAST_CODE))
