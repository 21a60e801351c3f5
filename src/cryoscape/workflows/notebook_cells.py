"""What the cells of the notebooks say and call. No cell holds more than calls of `cryoscape.notebooks`."""

from typing import Literal

Kind = Literal["markdown", "code"]
Cell = tuple[Kind, str]

IMPORTS = """\
import pandas as pd
import numpy as np

from cryoscape.notebooks import (
    Lasso,
    analysis,
    dataframe,
    generate_volumes,
    load_run,
    plots,
    save_selection,
    utils,
)"""

SETTINGS = """\
WORKDIR = {workdir!r}  # run folder
EPOCH = {epoch}{epoch_note}
K = {k}  # k-means clusters of the analysis
ANALYSIS = "."  # folder of the analysis: that of this notebook"""

LOAD = """\
run = load_run(WORKDIR, EPOCH, analysis=ANALYSIS)
z = run.z
df = dataframe(run, K)
kmeans_labels = df["labels"].to_numpy()
centers_ind = analysis.center_ind(z, kmeans_labels)
df.head()"""

_COLUMNS = """\
## Load results

`z` holds the latents, one row a particle, and `df` all else that is known, row for row: UMAP and principal \
components, `labels` (k-means), `phi`, `theta`, `psi` (RELION's rot, tilt and psi, degrees), `tx`, `ty` (Å), \
`df1`, `df2` (Å), `dfang`, `phase` (degrees), `znorm` (z-score of the magnitude of z), and what the engine \
says of each image. The index of `df` is the row of `z`; `original_row` is the row of the particle stack."""

VIZ: tuple[Cell, ...] = (
    (
        "markdown",
        """\
# Explore a latent space

Plots of the particles, a lasso, maps at chosen particles, and selections for refinement elsewhere. Run the \
cells from top to bottom; then change what you like and run those again. `cryoDRGN_filtering.ipynb` beside \
this notebook removes junk.""",
    ),
    ("code", IMPORTS),
    ("code", SETTINGS),
    ("markdown", _COLUMNS),
    ("code", LOAD),
    ("markdown", "## Latent space"),
    ("code", "plots.latents(run)"),
    (
        "markdown",
        "Clusters of k-means, each with its number at the particle nearest to its mean; "
        "`kmeans{k}/vol_000.mrc` is the map there of cluster 0.",
    ),
    ("code", 'plots.clusters(run, kmeans_labels, f"k-means, {{K}} clusters")'),
    ("code", "plots.variance(run)"),
    (
        "markdown",
        """\
## Poses and imaging

An even panel is good: latents that know the view or the defocus tell of more than structure.""",
    ),
    ("code", "plots.views(df)"),
    ("code", "plots.imaging(run, df)"),
    (
        "markdown",
        """\
## Interactive plot

Choose the axes and the colour. Press the lasso button, or hold shift, and drag around particles; \
`lasso.selection` are their rows. A double click clears the selection, as does running the cell again.""",
    ),
    ("code", "lasso = Lasso(df)\nlasso"),
    ("code", 'df.loc[lasso.selection].describe() if len(lasso.selection) else "nothing is selected yet"'),
    (
        "markdown",
        """\
## Part of the latent space

More clusters of some of the particles: change the condition and copy this into a new cell.

```python
sub = df[df["UMAP1"] < 10].copy()
sub_z = z[sub.index]
K = 500
kmeans_labels, centers = analysis.cluster_kmeans(sub_z, K)
centers, centers_ind = analysis.get_nearest_point(sub_z, centers)
centers_ind_df = sub.index[centers_ind]
sub.loc[:, "kmeans500"] = kmeans_labels
sub.to_csv("kmeans500_df.csv")
utils.save_pkl(centers_ind_df, "kmeans500_labels.pkl")
```

`centers_ind_df` are rows of `z`, as `vol_ind` below and `--anchors` of `cryoscape graph_traversal` \
take them.""",
    ),
    (
        "markdown",
        """\
## Generate volumes

Maps at particles, into a new folder `reconstruct_000000`, `reconstruct_000001`...""",
    ),
    ("code", "vol_ind = centers_ind[:4]  # rows of z, for example centers_ind_df or lasso.selection[:10]"),
    ("code", "plots.marked(run, vol_ind)"),
    (
        "code",
        """\
Apix = {pixel_size}  # pixel size of the training images (Å); None: as the run knows
flip = {flip}  # the other hand
invert = {invert}  # the other sign
downsample = {downsample}  # box size, None for that of the model""",
    ),
    (
        "code",
        """\
volumes = generate_volumes(run, vol_ind, Apix=Apix, flip=flip, invert=invert, downsample=downsample)
volumes""",
    ),
    ("code", "volumes.show()"),
    (
        "markdown",
        """\
## Look at images

Of the particles drawn around above, and of others.""",
    ),
    ("code", "plots.images(run, lasso.selection)"),
    (
        "markdown",
        """\
## Save the index selection

Set `ind_selected` to rows of `z` (an index of `df`), for example

```python
df_c4 = sub[sub["kmeans500"].isin([270, 283, 284, 285, 286])]
ind_selected = df_c4.index
```

The files hold rows of the original particles, as `--ind`, `cryoscape export` and `cryoscape write_starfile` \
take them.""",
    ),
    ("code", "ind_selected = lasso.selection"),
    (
        "code",
        'save_selection(run, ind_selected) if len(ind_selected) else "nothing is selected or written"',
    ),
)

_CHOSEN = 'f"{{len(selected):,}} of {{len(df):,}} particles are selected"'

FILTERING: tuple[Cell, ...] = (
    (
        "markdown",
        """\
# Filter particles

Find junk by clusters, by the magnitude of z, by ranges of any column or with a lasso, look at it, and save \
what is to be kept. Run all cells once: nothing is filtered until you make a choice. Then change a choice, \
run its cell and the next, and those under **Save selection**. The latest choice holds. `cryoscape filter` \
does the same from the command line.""",
    ),
    ("code", IMPORTS),
    ("code", SETTINGS),
    ("markdown", _COLUMNS),
    ("code", LOAD + "\n"),
    ("code", f"selected = df.index  # rows of z to keep: all, until a choice is made\n{_CHOSEN}"),
    ("markdown", "## Training"),
    ("code", "plots.training(run)"),
    ("markdown", "## Poses and imaging"),
    ("code", "plots.views(df)"),
    ("code", "plots.imaging(run, df)"),
    ("markdown", "## Latent space"),
    ("code", 'plots.latents(run, "points")'),
    ("code", 'plots.latents(run, "hexbin")'),
    ("code", "plots.variance(run)"),
    (
        "markdown",
        """\
## Filter by cluster

### k-means

Open `kmeans{k}/open_maps.cxc` in ChimeraX: junk makes noisy or weak maps. Clusters have the numbers of the \
maps.""",
    ),
    ("code", 'plots.clusters(run, kmeans_labels, f"k-means, {{K}} clusters")'),
    ("code", "analysis.cluster_table(df, kmeans_labels)"),
    ("code", "cluster_ids = []  # k-means clusters to keep, for example [0, 1, 2, 3]; [] for no choice"),
    (
        "code",
        f"""\
if len(cluster_ids):
    selected = analysis.get_ind_for_cluster(kmeans_labels, cluster_ids)
{_CHOSEN}""",
    ),
    (
        "markdown",
        """\
### GMM clustering

A mixture of G Gaussians, which may differ in size and shape. Try other G and seeds until one or two \
clusters hold the junk and nothing else.""",
    ),
    ("code", "G = 5\nSEED = 0\ngmm_labels, gmm_centers = analysis.cluster_gmm(z, G, seed=SEED)"),
    ("code", 'plots.clusters(run, gmm_labels, f"Gaussian mixture, {{G}} clusters")'),
    ("code", "analysis.cluster_table(df, gmm_labels)"),
    ("code", "ind_selected = []  # GMM clusters to keep, for example [0, 1, 2, 4]; [] for no choice"),
    (
        "code",
        f"""\
if len(ind_selected):
    selected = analysis.get_ind_for_cluster(gmm_labels, ind_selected)
{_CHOSEN}""",
    ),
    (
        "markdown",
        """\
## Filter by z-score

By the magnitude of z, in standard deviations from the mean. An autoencoder puts junk far out (a threshold \
above 0 drops what lies above it); an engine with exact posteriors puts images that say nothing near the \
mean (a threshold below 0 drops what lies below).""",
    ),
    ("code", "threshold = None  # for example 2"),
    ("code", 'plots.distribution(df["znorm"], "z-score of the magnitude of z", mark=threshold)'),
    (
        "code",
        f"""\
if threshold is not None:
    selected = df.index.difference(analysis.ind_beyond_zscore(z, threshold))
{_CHOSEN}""",
    ),
    (
        "markdown",
        """\
## Filter by ranges

A condition on columns of `df`, for example `UMAP1 > 10 and PC2 < 0` or `junk_score < 1.5`.""",
    ),
    ("code", 'keep_where = ""'),
    (
        "code",
        f"""\
if keep_where:
    selected = analysis.ind_where(df, keep_where)
{_CHOSEN}""",
    ),
    (
        "markdown",
        """\
## Interactive selection

Choose the axes and the colour. Press the lasso button, or hold shift, and drag around particles; then run \
the cell below. A double click clears the selection, as does running the cell again.""",
    ),
    ("code", "lasso = Lasso(df)\nlasso"),
    (
        "code",
        f"""\
keep_drawn = True  # False: drop the particles drawn around
if len(lasso.selection):
    selected = lasso.selection if keep_drawn else df.index.difference(lasso.selection)
{_CHOSEN}""",
    ),
    ("markdown", "## Look at the selection"),
    ("code", "plots.selection(run, selected)"),
    ("code", "plots.images(run, selected)"),
    (
        "markdown",
        """\
## Save selection

Writes `ind_keep.N_particles.pkl` and `ind_bad.N_particles.pkl` into the run folder: rows of the original \
particles, however often they were filtered before.""",
    ),
    ("code", "ind_keep = selected\nind_bad = df.index.difference(ind_keep)\nlen(ind_keep), len(ind_bad)"),
    (
        "code",
        'save_selection(run, ind_keep) if len(ind_bad) else "all particles are kept, nothing is written"',
    ),
)
