"""The lasso without a browser: menus, colours and the way from points to rows."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.errors import InputError

pytest.importorskip("jscatter")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ImportWarning")

from cryoscape.notebooks import Lasso  # noqa: E402


@pytest.fixture
def df() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = {"PC1": rng.normal(size=30), "PC2": rng.normal(size=30), "labels": np.arange(30) % 3}
    table |= {"gap": np.where(np.arange(30) == 4, np.nan, 1.0)}
    return pd.DataFrame(table, index=np.arange(100, 130)).assign(name="x")


def test_what_the_browser_selects_are_rows_of_the_index(df: pd.DataFrame) -> None:
    lasso = Lasso(df)
    assert len(lasso.selection) == 0
    lasso._scatter.widget.selection = np.array([7, 2], dtype=np.uint32)  # as the page sends it
    assert lasso.selection.tolist() == [102, 107]
    assert "<b>2</b> of 30" in lasso._count.value
    lasso.select([129, 101])
    assert lasso.selection.tolist() == [101, 129]


def test_menus_offer_columns_of_numbers_and_change_the_plot(df: pd.DataFrame) -> None:
    lasso = Lasso(df)
    assert lasso._menus["x"].options == ("PC1", "PC2", "labels")
    assert [menu.value for menu in lasso._menus.values()] == ["PC1", "PC2", "labels"]
    before = np.array(lasso._scatter.widget.points)
    lasso._menus["x"].value = "PC2"
    after = np.array(lasso._scatter.widget.points)
    np.testing.assert_allclose(after[:, 0], before[:, 1], atol=1e-6)
    lasso._menus["colour"].value = "PC1"
    assert len(lasso._scatter.widget.color) == 64


def test_columns_that_are_not_there(df: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'gap': no such column of numbers"):
        Lasso(df, x="gap")


def test_escape_does_not_cost_the_selection(df: pd.DataFrame) -> None:
    assert Lasso(df)._scatter.widget.regl_scatterplot_options["deselectOnEscape"] is False


def test_without_the_packages_it_says_what_to_install(
    df: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jscatter", None)
    with pytest.raises(InputError, match=r"cryoscape\[notebooks\]"):
        Lasso(df)


def test_one_dimension_is_drawn_over_its_magnitude() -> None:
    lasso = Lasso(pd.DataFrame({"z0": np.arange(5.0), "znorm": np.ones(5), "PC1": np.arange(5.0)}))
    assert [menu.value for menu in lasso._menus.values()] == ["z0", "znorm", "z0"]
