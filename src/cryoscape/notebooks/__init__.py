"""What the notebooks of an analysis import: a run, its table, clusters, plots, a lasso, maps and selections.

Every name here calls the library; nothing is computed in a cell that is not a function of it. ``analysis``
and ``utils`` hold the names that published protocols use.
"""

from cryoscape.notebooks import analysis, plots
from cryoscape.notebooks import pickles as utils
from cryoscape.notebooks.lasso import Lasso
from cryoscape.notebooks.maps import generate_volumes
from cryoscape.notebooks.run import dataframe, load_run
from cryoscape.notebooks.selections import save_selection

__all__ = [
    "Lasso",
    "analysis",
    "dataframe",
    "generate_volumes",
    "load_run",
    "plots",
    "save_selection",
    "utils",
]
