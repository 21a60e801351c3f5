"""Files of a comparison of selections."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.errors import InputError
from cryoscape.particles.selection import Selection, write_selection
from cryoscape.workflows.compare_selections import RunToShow, compare_selection_files
from folders import listing
from linear_run import N, write_linear_run
from particle_files import write_pickle


@pytest.fixture
def selections(tmp_path: Path) -> list[Path]:
    """Three, as rows and as a mask, of an input of 2 N rows of which the even ones were trained on."""
    write_pickle(tmp_path / "a.pkl", np.arange(0, 60, 2))
    write_pickle(tmp_path / "b.pkl", np.arange(2 * N) < 40)
    write_selection(tmp_path / "c.pkl", Selection(np.arange(20, 100, 2), 2 * N))
    return [tmp_path / f"{name}.pkl" for name in "abc"]


def test_tables_and_pictures(selections: list[Path], tmp_path: Path) -> None:
    run = RunToShow(write_linear_run(tmp_path / "run"))
    found = compare_selection_files(selections, tmp_path / "out", run=run)
    assert found.sizes.tolist() == [30, 40, 40]
    assert set(listing(tmp_path / "out")) == {"agreement.csv", "regions.csv", "venn.png", "pca.png"}
    pairs = pd.read_csv(tmp_path / "out" / "agreement.csv").set_index(["first", "second"])
    assert pairs.loc[("a", "b"), "shared"] == 20
    assert pairs.loc[("a", "c"), "jaccard"] == pytest.approx(20 / 50)
    regions = pd.read_csv(tmp_path / "out" / "regions.csv").set_index(["a", "b", "c"])["particles"]
    assert regions.loc[(1, 1, 1)] == 10
    assert regions.sum() == len(set(range(0, 60, 2)) | set(range(40)) | set(range(20, 100, 2)))


def test_four_have_no_diagram_and_same_names_get_their_folders(
    selections: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    fourth = write_pickle(tmp_path / "other" / "a.pkl", np.arange(5))
    found = compare_selection_files([*selections, fourth], tmp_path / "out")
    assert found.names[3] == "other/a"
    assert set(listing(tmp_path / "out")) == {"agreement.csv", "regions.csv"}


def test_what_cannot_be_compared(selections: list[Path], tmp_path: Path) -> None:
    write_pickle(tmp_path / "d.pkl", np.zeros(3 * N, bool))
    before = listing(tmp_path)
    with pytest.raises(InputError, match=f"of an input of {3 * N} rows, but .* of one of {2 * N}"):
        compare_selection_files([*selections, tmp_path / "d.pkl"], tmp_path / "out")
    with pytest.raises(InputError, match="2 names for 3 selections"):
        compare_selection_files(selections, tmp_path / "out", names=("a", "b"))
    assert listing(tmp_path) == before
    compare_selection_files(selections, tmp_path / "out")
    with pytest.raises(InputError, match="exists; give another folder"):
        compare_selection_files(selections, tmp_path / "out")
    compare_selection_files(selections, tmp_path / "out", force=True)
