import gzip
from pathlib import Path

import gemmi
import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.atomic_model import AtomicModel, read_atomic_model

PDB = """\
MODEL        1
ATOM      1  N   GLY A   1      11.104   6.134  -6.504  1.00 10.00           N
ATOM      2  CA AGLY A   1      11.639   6.071  -5.147  0.30 11.00           C
ATOM      3  CA BGLY A   1      11.700   6.100  -5.200  0.70 12.00           C
ATOM      4  HA  GLY A   1      12.000   7.000  -5.000  1.00 13.00           H
ATOM      5  N  AALA A   2       1.000   2.000   3.000  0.60 20.00           N
ATOM      6  N  BSER A   2       4.000   5.000   6.000  0.40 21.00           N
TER       7      ALA A   2
HETATM    8 ZN    ZN B   5      -1.000  -2.000  -3.000  1.00 30.00          ZN
HETATM    9  O   HOH B   6       9.000   9.000   9.000  1.00 40.00           O
ENDMDL
MODEL        2
ATOM      1  N   GLY A   1      99.104  99.134 -99.504  1.00 10.00           N
ENDMDL
END
"""


@pytest.fixture
def pdb(tmp_path: Path) -> Path:
    path = tmp_path / "model.pdb"
    path.write_text(PDB)
    return path


def test_atoms_of_the_first_model_with_the_likeliest_conformation(pdb: Path) -> None:
    model = read_atomic_model(pdb)
    assert model.atom_name.tolist() == ["N", "CA", "HA", "N", "ZN", "O"]
    assert model.element.tolist() == ["N", "C", "H", "N", "Zn", "O"]
    assert model.chain.tolist() == ["A", "A", "A", "A", "B", "B"]
    assert model.residue_name.tolist() == ["GLY", "GLY", "GLY", "ALA", "ZN", "HOH"]
    assert model.residue.tolist() == [1, 1, 1, 2, 5, 6]
    assert model.insertion.tolist() == [""] * 6
    assert model.atomic_number.tolist() == [7, 6, 1, 7, 30, 8]
    np.testing.assert_allclose(model.b_factor, [10, 12, 13, 20, 30, 40])
    np.testing.assert_allclose(model.occupancy, [1, 0.7, 1, 0.6, 1, 1], atol=1e-6)
    np.testing.assert_allclose(model.coordinates_angstrom[1], [11.7, 6.1, -5.2])
    assert len(model) == 6


def test_waters_may_be_dropped(pdb: Path) -> None:
    assert read_atomic_model(pdb, waters=False).residue_name.tolist() == ["GLY", "GLY", "GLY", "ALA", "ZN"]


def test_mmcif_and_gzip_give_the_same_atoms(pdb: Path, tmp_path: Path) -> None:
    structure = gemmi.read_structure(str(pdb))
    structure.setup_entities()
    cif = tmp_path / "model.cif"
    structure.make_mmcif_document().write_file(str(cif))
    packed = [tmp_path / "packed.cif.gz", tmp_path / "packed.pdb.gz"]
    for source, target in zip((cif, pdb), packed, strict=True):
        target.write_bytes(gzip.compress(source.read_bytes()))
    expected = read_atomic_model(pdb)
    for path in (cif, *packed):
        model = read_atomic_model(path)
        np.testing.assert_allclose(model.coordinates_angstrom, expected.coordinates_angstrom, atol=1e-4)
        for name in ("element", "chain", "residue", "residue_name", "atom_name"):
            assert getattr(model, name).tolist() == getattr(expected, name).tolist(), name


def test_select_cuts_all_columns_alike(pdb: Path) -> None:
    model = read_atomic_model(pdb)
    chosen = model.select(model.element == "N")
    assert isinstance(chosen, AtomicModel)
    assert chosen.residue.tolist() == [1, 2]
    assert chosen.coordinates_angstrom.shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.pdb", b"hello\n"),
        ("a.pdb", b""),
        ("a.cif", b"hello"),
        ("a.cif", b"data_x\n"),
        ("a.pdb.gz", b"junk"),
    ],
)
def test_files_without_atoms_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="atom") as caught:
        read_atomic_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_atomic_model(tmp_path / "a.pdb")


def test_real_proteins(shared_data: Path) -> None:
    path = shared_data / "50s" / "prots1.pdb"
    model = read_atomic_model(path)
    lines = [line for line in path.read_text().splitlines() if line.startswith(("ATOM", "HETATM"))]
    assert len(model) == len(lines)
    xyz = [[float(line[30:38]), float(line[38:46]), float(line[46:54])] for line in lines]
    np.testing.assert_allclose(model.coordinates_angstrom, xyz, atol=1e-6)
