"""Atomic models: PDB and mmCIF files, gzipped or not."""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import gemmi
import numpy as np

from cryoscape.errors import InputError
from cryoscape.typing import PathLikeStr


@dataclass(frozen=True)
class AtomicModel:
    """Atoms of a model, in the order of its file.

    Attributes
    ----------
    coordinates_angstrom : (A, 3) float64, x y z.
    element : (A,) text, "C", "Zn"; "X" where unknown.
    chain : (A,) text, author's chain names.
    residue_name : (A,) text, "ALA", "G".
    residue : (A,) int64, author's residue numbers.
    insertion : (A,) text, insertion codes of the residues, "" mostly.
    atom_name : (A,) text, "CA".
    b_factor : (A,) float64, square angstrom.
    occupancy : (A,) float64.
    """

    coordinates_angstrom: np.ndarray
    element: np.ndarray
    chain: np.ndarray
    residue_name: np.ndarray
    residue: np.ndarray
    insertion: np.ndarray
    atom_name: np.ndarray
    b_factor: np.ndarray
    occupancy: np.ndarray

    def __len__(self) -> int:
        return len(self.element)

    @property
    def atomic_number(self) -> np.ndarray:
        """Electrons of each atom (A,), float64; 0 where the element is unknown."""
        kinds, where = np.unique(self.element, return_inverse=True)
        numbers = [int(gemmi.Element(str(kind)).atomic_number) for kind in kinds]
        return np.array(numbers, dtype=np.float64)[where]

    def select(self, atoms: np.ndarray) -> "AtomicModel":
        """Only some atoms: a boolean mask (A,) or row numbers."""
        return AtomicModel(**{name: values[atoms] for name, values in vars(self).items()})


def read_atomic_model(path: PathLikeStr, waters: bool = True) -> AtomicModel:
    """Read the first model of a PDB or mmCIF file.

    Of alternate conformations the one with the highest occupancy is kept at each place in the chain (of
    equals the first); hydrogens are kept.

    Parameters
    ----------
    path
        ``.pdb``, ``.ent``, ``.cif`` or ``.mmcif``, with or without ``.gz``.
    waters
        Whether to keep water molecules.

    Raises
    ------
    InputError
        If the file cannot be read as a model or holds no atoms.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"cannot read the atomic model {path}: no such file; check the path")
    try:
        structure = gemmi.read_structure(str(path), merge_chain_parts=False)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not an atomic model in PDB or mmCIF format ({reason})") from error
    if not waters:
        structure.remove_waters()
    rows = _rows(structure[0]) if len(structure) else []
    if not rows:
        raise InputError(f"{path} holds no atoms; give a model in PDB or mmCIF format")
    coordinates, element, chain, name, number, insertion, atom, b_factor, occupancy = zip(*rows, strict=True)
    return AtomicModel(
        coordinates_angstrom=np.array(coordinates, dtype=np.float64),
        element=np.array(element),
        chain=np.array(chain),
        residue_name=np.array(name),
        residue=np.array(number, dtype=np.int64),
        insertion=np.array(insertion),
        atom_name=np.array(atom),
        b_factor=np.array(b_factor, dtype=np.float64),
        occupancy=np.array(occupancy, dtype=np.float64),
    )


def _rows(model: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for chain in model:
        # residues of one number are alternatives of each other (a point mutation in part of the molecules)
        for _, alternatives in groupby(chain, key=lambda residue: str(residue.seqid)):
            residues = list(alternatives)
            kept = _kept_conformation(residues)
            for residue in residues:
                common = (chain.name, residue.name, residue.seqid.num, residue.seqid.icode.strip())
                rows += [
                    (atom.pos.tolist(), atom.element.name, *common, atom.name, atom.b_iso, atom.occ)
                    for atom in residue
                    if atom.altloc in ("\0", kept)
                ]
    return rows


def _kept_conformation(residues: list[Any]) -> str:
    """Label of the conformation whose atoms have the highest mean occupancy; "" where there is only one."""
    occupancies: dict[str, list[float]] = {}
    for residue in residues:
        for atom in residue:
            if atom.altloc != "\0":
                occupancies.setdefault(atom.altloc, []).append(atom.occ)
    return max(occupancies, key=lambda label: sum(occupancies[label]) / len(occupancies[label]), default="")
