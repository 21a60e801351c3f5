"""Notebooks as files: valid, filled in, kept when changed, and run from top to bottom without a screen."""

import json
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from cryoscape.analysis.maps import MapOptions
from cryoscape.workflows.analyze import AnalyzeOptions, analyze
from cryoscape.workflows.notebook_files import NOTEBOOKS, write_notebooks
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, N, write_linear_run
from particle_files import noise_images, write_stack

VIZ, FILTERING = NOTEBOOKS


def cells(path: Path) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in nbformat.read(path, 4).cells]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "run" / "analyze.49"
    place.mkdir(parents=True)
    return place


def test_what_the_protocol_refers_to_is_there(folder: Path) -> None:
    maps = MapOptions(flip=True)
    paths = write_notebooks(folder, folder.parent, 49, k=20, maps=maps, pixel_size_angstrom=1.6375)
    assert [path.name for path in paths] == ["cryoDRGN_viz.ipynb", "cryoDRGN_filtering.ipynb"]
    for path in paths:
        nbformat.validate(nbformat.read(path, 4))
        kinds, texts = zip(*cells(path), strict=True)
        assert kinds[2] == "code"
        assert "EPOCH = 49\n" in texts[2]
        assert "WORKDIR = '..'" in texts[2]
        assert "K = 20" in texts[2]
    viz, filtering = ("\n".join(text for _, text in cells(path)) for path in paths)
    for words in (
        "## Generate volumes",
        "vol_ind = ",
        "Apix = 1.6375",
        "flip = True",
        "## Save the index selection",
    ):
        assert words in viz
    assert viz.index("vol_ind = ") < viz.index("Apix = 1.6375") < viz.index("ind_selected = ")
    headers = [
        "## Filter by cluster", "### k-means", "### GMM clustering", "G = 5", "ind_selected = []",
        "## Interactive selection", "## Save selection",
    ]  # fmt: skip
    places = [filtering.index(words) for words in headers]
    assert places == sorted(places)


def test_a_changed_notebook_is_kept_and_another_is_brought_up_to_date(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def write(k: int) -> None:
        write_notebooks(folder, folder.parent, None, k=k)

    write(20)
    viz, filtering = folder / VIZ, folder / FILTERING
    ran = json.loads(viz.read_text())
    ran["cells"][2]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["seen"]}]
    viz.write_text(json.dumps(ran))
    write(20)
    assert "seen" in viz.read_text()
    write(30)
    assert "K = 30" in viz.read_text()
    changed = json.loads(viz.read_text())
    changed["cells"][2]["source"] = ["K = 5"]
    viz.write_text(json.dumps(changed))
    filtering.write_text("not a notebook")
    caplog.set_level("INFO")
    write(40)
    assert json.loads(viz.read_text()) == changed
    assert filtering.read_text() == "not a notebook"
    assert "was changed and is kept" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_cell_runs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a run of three dimensions with an analysis and images, but without poses."""
    pytest.importorskip("jscatter")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    run = write_linear_run(tmp_path / "run")
    write_stack(run / "s.mrcs", noise_images(2 * N, BOX), PIXEL_SIZE_ANGSTROM)
    found = analyze(run, options=AnalyzeOptions(ksample=4, skip_umap=True, pc=1, n_per_pc=2, skip_vol=True))
    book = nbformat.read(found.folder / name, 4)
    choose(book, name)
    client = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(found.folder)}}
    )
    client.execute(env={**os.environ, "PYTHONWARNINGS": "default"})
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 6
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in outputs)
    assert (run / "ind_keep.15_particles.pkl").is_file()
    assert (run / "ind_bad.45_particles.pkl").is_file()
    if name == VIZ:
        assert len(list((found.folder / "reconstruct_000000").glob("vol_*.mrc"))) == 4


def choose(book: nbformat.NotebookNode, name: str) -> None:
    """Make the choices that a user would: a cluster in one, a lasso in the other."""
    before, after = {
        VIZ: ("ind_selected = lasso.selection", "lasso.select(df.index[df['labels'] == 0])\n{}"),
        FILTERING: ("cluster_ids = []", "cluster_ids = [0]"),
    }[name]
    (cell,) = [cell for cell in book.cells if cell.source.startswith(before)]
    cell.source = after.format(cell.source) if "{}" in after else cell.source.replace(before, after)
