"""The notebook of an occupancy analysis, written beside its results."""

from pathlib import Path

from cryoscape.workflows.notebook_cells import Cell
from cryoscape.workflows.notebook_files import write_notebook
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult

NOTEBOOK_FILE = "occupancy_analysis.ipynb"

CELLS: tuple[Cell, ...] = (
    (
        "markdown",
        """\
# Occupancy analysis

Which parts of the structure are there in which maps: classes of maps, blocks of parts, minor states within \
classes, and their particles. Run all cells from top to bottom, then change what you like.""",
    ),
    ("code", "from cryoscape.notebooks import occupancy"),
    (
        "code",
        """\
occ = occupancy.load(".")
occ.maps.head()""",
    ),
    (
        "markdown",
        """\
## Classes and blocks

Maps (rows) by parts (columns). None: as many as the trees suggest, where their links become short.""",
    ),
    (
        "code",
        """\
N_CLASSES = {classes}  # of maps
N_BLOCKS = {blocks}  # of parts
LINKAGE = {linkage!r}
groups = occupancy.cluster(occ, classes=N_CLASSES, blocks=N_BLOCKS, linkage=LINKAGE)
occupancy.heatmap(groups)""",
    ),
    ("code", "occupancy.class_table(occ, groups)"),
    ("code", "occupancy.blocks(groups)"),
    (
        "markdown",
        "To keep another cut, run `cryoscape occupancy cluster . --classes N --blocks M --force` here; "
        "classes and blocks below are those of the files.",
    ),
    ("code", "occupancy.confusion(occ)"),
    (
        "markdown",
        """\
## Parts

Two peaks: a part that is there or not. Values are on the scale of the heat map; those of particles hold the \
noise of single images. In `occ.elements` the parts that vary most come first, each beyond what those before \
it tell.""",
    ),
    ("code", "ELEMENTS = occ.elements[:8]\noccupancy.histograms(occ, ELEMENTS)"),
    (
        "markdown",
        """\
## Minor states

Maps for which a condition holds, on parts, blocks (`block0`...) and `map_class`, for example \
`"H68 > 0.5 and CP < 0.3"`. An empty condition chooses none.""",
    ),
    (
        "code",
        """\
CONDITION = ""
X, Y = occ.elements[:2]
chosen = occupancy.maps_where(occ, CONDITION) if CONDITION else []
print(len(chosen), "maps:", *chosen)
occupancy.pair(occ, X, Y, chosen)""",
    ),
    (
        "markdown",
        "One class alone, on the scale of all maps: rows that differ from the rest are minor states.",
    ),
    (
        "code",
        """\
WITHIN = 0  # class to look into
inside = occupancy.maps_where(occ, f"map_class == {{WITHIN}}")
alone = occupancy.cluster(occ, numbers=inside, linkage=LINKAGE) if len(inside) > 1 else None
"a single map" if alone is None else occupancy.heatmap(alone)""",
    ),
    (
        "markdown",
        """\
## Particles

`occupancy.particles_of(occ, chosen)` are those that the chosen maps stand for; \
`occupancy.particles_where(occ, CONDITION)` chooses each particle by itself (after `--all-particles`). Rows \
are those of the original particles.""",
    ),
    ("code", "rows = occupancy.particles_of(occ, chosen) if len(chosen) else []\nlen(rows)"),
    ("code", 'occupancy.save(occ, rows, "minor_state") if len(rows) else "nothing is selected or written"'),
)


def write_occupancy_notebook(folder: Path, result: ClusterResult, options: ClusterOptions) -> Path:
    """Write occupancy_analysis.ipynb with the cuts of a clustering; one whose cells were changed is kept."""
    values = {
        "classes": result.classes.n_groups,
        "blocks": result.blocks.n_groups,
        "linkage": options.linkage,
    }
    write_notebook(folder / NOTEBOOK_FILE, CELLS, values)
    return folder / NOTEBOOK_FILE
