from pathlib import Path

import pytest

from cryoscape.errors import InputError
from cryoscape.io.element_list import read_element_list

WANTED = {"H68": ["RNA3:R"], "L1 stalk": ["prots1:F", "RNA3:X:10-60,71"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.toml", 'H68 = "RNA3:R"\n"L1 stalk" = ["prots1:F", "RNA3:X:10-60,71"]\n'),
        ("e.toml", '[elements]\nH68 = "RNA3:R"\n"L1 stalk" = ["prots1:F", "RNA3:X:10-60,71"]\n'),
        (
            "e.csv",
            "element,model,chain,residues\r\nH68,RNA3,R,\r\nL1 stalk,prots1,F,\r\n"
            'L1 stalk,RNA3,X,"10-60,71"\r\n',
        ),
        (
            "e.csv",
            "\ufeffElement, Chain, Model, Residues\nH68, R, RNA3\nL1 stalk, F, prots1,\n"
            'L1 stalk, X, RNA3, "10-60,71"\n',
        ),
    ],
    ids=["toml", "toml table", "csv", "csv of a spreadsheet"],
)
def test_the_same_list_in_four_ways(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")
    assert read_element_list(tmp_path / name) == WANTED


def test_model_and_residues_may_be_left_out(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("chain,element\nA,one\nB,one\n")
    assert read_element_list(tmp_path / "e.csv") == {"one": ["A", "B"]}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("e.toml", "a = [", "not valid TOML"),
        ("e.toml", "a = 3", "a: expected text or a list of texts"),
        ("e.toml", "a = []", "a: expected text or a list of texts"),
        ("e.csv", "name,chain\na,b\n", "columns name, chain; expected element, chain"),
        ("e.csv", "element,chain,colour\na,b,c\n", "columns element, chain, colour; expected"),
        ("e.csv", "element,chain\na,\n", "e.csv line 2: expected an element and a chain"),
        ("e.csv", "element,chain\na,b,c,d\n", "e.csv line 2: expected an element and a chain"),
        ("e.csv", "", "columns none"),
        ("e.txt", "a", "ends in .toml or .csv"),
    ],
)
def test_lists_that_cannot_be(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_element_list(tmp_path / name)
    assert words in str(caught.value)


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_element_list(tmp_path / "gone.csv")
    (tmp_path / "e.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a text file"):
        read_element_list(tmp_path / "e.csv")
