"""Which atoms an element has: record types, line ends, conformations, insertion codes, long chain names."""

from pathlib import Path

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.atomic_model import AtomicModel, read_atomic_model
from cryoscape.occupancy.elements import (
    chain_elements,
    header_of,
    moved,
    name_of,
    named_elements,
    short_name,
)
from cryoscape.occupancy.selections import parse_selections

PDB = """\
ATOM      1  CA  GLY A  51       1.000   0.000   0.000  0.10 90.00           C
ATOM      2  CA AGLY A  52       2.000   0.000   0.000  0.30 11.00           C
ATOM      3  CA BGLY A  52       2.500   0.000   0.000  0.70 12.00           C
ATOM      4  CA  GLY A  52A      3.000   0.000   0.000  1.00 13.00           C
ATOM      5  CA  GLY A  52B      4.000   0.000   0.000  1.00 13.00           C
ATOM      6  CA  GLY A  53       5.000   0.000   0.000  1.00 13.00           C
ATOM      7  CA  GLY A  -3       6.000   0.000   0.000  1.00 13.00           C
ATOM      8  CA  GLY B   1       7.000   0.000   0.000  1.00 20.00           C
HETATM    9 ZN    ZN B   5       8.000   0.000   0.000  1.00 30.00          ZN
HETATM   10  O   HOH B   6       9.000   0.000   0.000  1.00 40.00           O
ATOM     11  CA  GLY b   1      10.000   0.000   0.000  1.00 20.00           C
ATOM     12  CA  GLY c   1      11.000   0.000   0.000  1.00 20.00           C
END
"""
CIF_HEAD = """\
data_x
loop_
_atom_site.group_PDB
_atom_site.id
_atom_site.type_symbol
_atom_site.label_atom_id
_atom_site.label_alt_id
_atom_site.label_comp_id
_atom_site.label_asym_id
_atom_site.label_seq_id
_atom_site.Cartn_x
_atom_site.Cartn_y
_atom_site.Cartn_z
_atom_site.occupancy
_atom_site.B_iso_or_equiv
_atom_site.pdbx_PDB_ins_code
_atom_site.auth_asym_id
_atom_site.auth_seq_id
"""


@pytest.fixture
def models(tmp_path: Path) -> dict[str, AtomicModel]:
    (tmp_path / "m.pdb").write_bytes(PDB.replace("\n", "\r\n").encode())
    rows = [("X", "AA"), ("Y", "AB"), ("Z", "B")]
    lines = [
        f"ATOM {i} C CA . GLY {label} 1 {i}.0 0.0 0.0 1.0 20.0 ? {author} 7"
        for i, (label, author) in enumerate(rows)
    ]
    (tmp_path / "big.cif").write_text(CIF_HEAD + "\n".join(lines) + "\n")
    return {
        stem: read_atomic_model(tmp_path / f"{stem}{suffix}")
        for stem, suffix in (("m", ".pdb"), ("big", ".cif"))
    }


def x_of(text: str, models: dict[str, AtomicModel]) -> list[float]:
    """The x of the atoms a text selects, sorted."""
    (element,) = named_elements(models, {"e": [text]})
    return sorted(element.coordinates_angstrom[:, 0].tolist())


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("m:A", [1, 2.5, 3, 4, 5, 6]),
        ("m:A:52", [2.5, 3, 4]),
        ("m:A:52A", [3]),
        ("m:A:52A-53", [3, 4, 5]),
        ("m:A:51-52", [1, 2.5, 3, 4]),
        ("m:A:51-52A", [1, 2.5, 3]),
        ("m:A:-3,53", [5, 6]),
        ("m:A:-5--1", [6]),
        ("m:B", [7, 8, 9]),
        ("m:b", [10]),
        ("m:C", [11]),
        ("m:B,c", [7, 8, 9, 11]),
        ("m", [1, 2.5, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
        ("big:AA", [0]),
        ("big:ab", [1]),
        ("big:*:7", [0, 1, 2]),
    ],
)
def test_what_a_text_selects(models: dict[str, AtomicModel], text: str, x: list[float]) -> None:
    assert x_of(text, models) == x


def test_one_model_need_not_be_named(models: dict[str, AtomicModel]) -> None:
    one = {"m": models["m"]}
    assert parse_selections("A:51-52", one) == parse_selections("m:A:51-52", one)
    assert parse_selections("A:51-52", one)[0].text == "m:A:51-52"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("m:Z", "m has no chain 'Z'; it has A B b c"),
        ("n:A", "no model file called 'n'; models: m, big"),
        ("A", "say of which model, MODEL:CHAIN"),
        ("m:A:99", "m:A:99: no atoms there"),
        ("m:A:5-x", "residues '5-x'"),
        ("m:A:53-51", "run backwards"),
        ("m:A:1:2", "expected MODEL:CHAIN"),
        ("m::3", "expected MODEL:CHAIN"),
    ],
)
def test_selections_that_cannot_be(models: dict[str, AtomicModel], text: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_selections(text, models)
    assert words in str(caught.value)


def test_a_name_that_could_be_two_chains(models: dict[str, AtomicModel]) -> None:
    model = models["big"]
    model.chain[:] = ["Ab", "aB", "C"]
    with pytest.raises(InputError, match="'ab' could be Ab or aB"):
        parse_selections("big:ab", models)


def test_an_element_a_chain_with_electrons_and_every_atom(models: dict[str, AtomicModel]) -> None:
    elements = {e.name: e for e in chain_elements({"m": models["m"]})}
    # B and b would be one file where case does not count
    assert list(elements) == ["m_chaina", "m_chainb-1", "m_chainb-2", "m_chainc"]
    assert elements["m_chainb-1"].electrons.tolist() == [6, 30, 8]
    assert elements["m_chainb-1"].parts[0].text == "m:B"
    assert [e.name for e in chain_elements(models, ["aa", "m:A"])] == ["big_chainaa", "m_chaina"]
    assert [e.name for e in chain_elements(models, ["A,C"])] == ["m_chaina", "m_chainc"]
    with pytest.raises(InputError, match="has no chain 'Q'"):
        chain_elements(models, ["Q"])


def test_named_elements_join_parts_and_count_shared_atoms_once(models: dict[str, AtomicModel]) -> None:
    (element,) = named_elements(models, {"H 68+": ["m:A:51-52", "m:A:52-53", "big:AA"]})
    assert element.name == "H 68+"
    assert sorted(element.coordinates_angstrom[:, 0].tolist()) == [0, 1, 2.5, 3, 4, 5]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({}, "list of elements is empty"),
        ({"a/b": ["m:A"]}, "names become file names"),
        ({"a": ["m:A"], "A": ["m:B"]}, "two elements are called 'a'"),
        ({"cp": ["m:Q"]}, "element cp: m has no chain"),
        ({"x_chainy": ["m:A"]}, "names become file names"),
    ],
)
def test_named_elements_that_cannot_be(
    models: dict[str, AtomicModel], wanted: dict[str, list[str]], words: str
) -> None:
    with pytest.raises(InputError) as caught:
        named_elements(models, wanted)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "header", "short"),
    [
        ("prots1_chaina", ("prots1", "a"), "prots1/A"),
        ("x_chain_y_chainab", ("x_chain_y", "ab"), "x_chain_y/ab"),
        ("H68", ("element", "H68"), "H68"),
    ],
)
def test_headers_and_names_are_inverse(name: str, header: tuple[str, str], short: str) -> None:
    assert header_of(name) == header
    assert name_of(header) == name
    assert short_name(name) == short


def test_unknown_elements_are_told(models: dict[str, AtomicModel]) -> None:
    models["big"].element[:] = "X"
    with pytest.raises(InputError, match="unknown elements"):
        chain_elements(models)


def test_a_rigid_motion(models: dict[str, AtomicModel]) -> None:
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    elements = chain_elements({"big": models["big"]}, ["AB"])
    (there,) = moved(elements, turn, np.array([0.0, 0, 5]))
    np.testing.assert_allclose(there.coordinates_angstrom, [[0, 1, 5]])
