"""Select particles with a lasso in any plane of the table, up to millions of them."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from cryoscape.errors import InputError
from cryoscape.plotting.style import SEQUENCE, cluster_colors

_FEW = 64
"""Whole numbers of at most so many values are groups, each of its own colour."""


class Lasso:
    """A scatter plot with menus for its axes and colour; what is drawn around is ``selection``.

    Drawn with WebGL (jupyter-scatter): hold shift and drag, or press the lasso button first; a double click
    clears the selection.

    Parameters
    ----------
    df
        Table of particles; columns of numbers are offered.
    x, y, color
        Columns to begin with; by default UMAP, else the first components, else z0 and znorm; labels.
    height
        Of the plot, in pixels.

    Raises
    ------
    InputError
        If jupyter-scatter is not installed, or a column is not there.
    """

    def __init__(
        self,
        df: pd.DataFrame,
        x: str | None = None,
        y: str | None = None,
        color: str | None = None,
        height: int = 520,
    ) -> None:
        jscatter, widgets = _libraries()
        self._table = _numbers(df)
        planes = (("UMAP1", "UMAP2"), ("PC1", "PC2"), ("z0", "znorm"))
        first, second = next(pair for pair in planes if {*pair} <= set(self._table.columns))
        x, y = x or first, y or second
        color = color or ("labels" if "labels" in self._table else x)
        for name in (x, y, color):
            if name not in self._table:
                raise InputError(
                    f"{name!r}: no such column of numbers; there are {', '.join(map(str, self._table))}"
                )
        self._index = df.index
        self._scatter = jscatter.Scatter(
            data=self._table,
            x=x,
            y=y,
            height=height,
            axes_labels=True,
            background_color="#ffffff",
            color_selected="#111111",
        )
        # Jupyter's users press Escape to leave a cell: that must not cost them a selection
        self._scatter.options(
            transition_points_duration=500, regl_scatterplot_options={"deselectOnEscape": False}
        )
        self._color(color)
        self._menus = {
            name: widgets.Dropdown(options=list(self._table), value=value, description=name)
            for name, value in (("x", x), ("y", y), ("colour", color))
        }
        self._count = widgets.HTML(self._said())
        for menu in self._menus.values():
            menu.observe(self._changed, names="value")
        self._scatter.widget.observe(self._selected, names="selection")
        menus = widgets.HBox([*self._menus.values()])
        self.widget = widgets.VBox([menus, self._count, self._scatter.show()])

    @property
    def selection(self) -> pd.Index:
        """Index of the table (rows of z) of the particles selected; empty where there are none."""
        return self._index[np.sort(np.asarray(self._scatter.selection(), dtype=np.int64))]

    def select(self, ind: Any) -> None:
        """Mark particles (rows of the table's index) as if they had been drawn around."""
        places = self._index.get_indexer(pd.Index(ind))
        self._scatter.selection(places[places >= 0])
        self._count.value = self._said()

    def _changed(self, change: dict[str, Any]) -> None:
        if change["owner"] is self._menus["colour"]:
            self._color(change["new"])
        else:
            self._scatter.xy(self._menus["x"].value, self._menus["y"].value)

    def _selected(self, _: dict[str, Any]) -> None:
        self._count.value = self._said()

    def _said(self) -> str:
        n = len(self._scatter.selection())
        return f"<b>{n:,}</b> of {len(self._table):,} particles selected"

    def _color(self, name: str) -> None:
        column = self._table[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            colors = [to_hex(tuple(rgb)) for rgb in cluster_colors(len(column.cat.categories))]
            self._scatter.color(by=name, map=colors, norm=None)
        else:
            low, high = (float(edge) for edge in np.nanpercentile(column, [1, 99]))
            colors = [to_hex(SEQUENCE(share)) for share in np.linspace(0, 1, 64)]
            self._scatter.color(by=name, map=colors, norm=(low, high if high > low else low + 1))

    def _repr_mimebundle_(self, **more: Any) -> Any:
        return self.widget._repr_mimebundle_(**more)


def _libraries() -> tuple[Any, Any]:
    """Imported only here: all other cells work without them."""
    try:
        import ipywidgets
        import jscatter
    except ImportError as error:
        raise InputError("the lasso needs more packages: pip install 'cryoscape[notebooks]'") from error
    return jscatter, ipywidgets


def _numbers(df: pd.DataFrame) -> pd.DataFrame:
    """Columns that can be drawn: finite numbers as float32, whole numbers of few values as groups."""
    kept: dict[str, Any] = {}
    for name in df.columns:
        column = df[name]
        if not pd.api.types.is_numeric_dtype(column.dtype):
            continue
        values = column.to_numpy()
        if values.dtype.kind in "iu" and len(np.unique(values)) <= _FEW:
            kept[name] = pd.Categorical(values)
        elif np.isfinite(values).all():
            kept[name] = values.astype(np.float32)
    return pd.DataFrame(kept)
