"""occupancy_analysis.ipynb: written beside the results, run without a screen, and what its cells call."""

import os
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from cryoscape.errors import InputError
from cryoscape.notebooks import occupancy
from cryoscape.particles.selection import read_selection
from cryoscape.workflows.occupancy_cluster import occupancy_cluster
from cryoscape.workflows.occupancy_files import OccupancyTable
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult
from cryoscape.workflows.occupancy_maps import MaskOptions
from cryoscape.workflows.occupancy_model import ModelRequest
from cryoscape.workflows.occupancy_run import OccupancyRequest, occupancy_run
from cryoscape.workflows.occupancy_sampling import SamplingRequest
from occupancy_files import RESOLUTION, write_model, write_run

ROWS = np.arange(20, 80)
"""Particle i of the run, of state i % 3, is row 20 + i of the original input."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClusterResult]:
    place = tmp_path_factory.mktemp("finished")
    write_model(place / "model.pdb")
    write_run(place / "run", rows=ROWS)
    pd.DataFrame({"row": ROWS, "label": np.arange(60) % 3}).to_csv(place / "labels.csv", index=False)
    model = ModelRequest((place / "model.pdb",), RESOLUTION)
    request = OccupancyRequest(
        SamplingRequest(place / "run", n_maps=9), model, place / "out", MaskOptions(),
        ClusterOptions(n_classes=3, n_blocks=2), all_particles=True, labels=place / "labels.csv",
    )  # fmt: skip
    return place / "out", occupancy_run(request)


def test_what_the_cells_call(finished: tuple[Path, ClusterResult]) -> None:
    folder, result = finished
    occ = occupancy.load(folder)
    names = list(result.table.names)
    np.testing.assert_allclose(occ.maps[names], result.scaled)
    np.testing.assert_array_equal(occ.maps["map_class"], result.classes.labels)
    for b in range(2):
        expected = result.scaled[:, result.blocks.labels == b].mean(axis=1)
        np.testing.assert_allclose(occ.maps[f"block{b}"], expected)
    assert set(occ.elements[:2]) == {"model_chainb", "model_chainc"}  # A does not vary
    groups = occupancy.cluster(occ, 3, 2)
    np.testing.assert_array_equal(groups.classes.labels, result.classes.labels)
    assert occupancy.class_table(occ, groups)["particles"].tolist() == [20, 20, 20]
    inside = occupancy.maps_where(occ, "map_class == 1")
    alone = occupancy.cluster(occ, numbers=inside)
    np.testing.assert_allclose(alone.scaled, result.scaled[result.classes.labels == 1])
    assert int(occupancy.class_table(occ, alone)["particles"].sum()) == 20


def test_elements_that_tell_something_new_come_first() -> None:
    there, other = np.array([1.0, 1, 0, 0, 1, 0]), np.array([0.5, 0, 0.5, 0, 0, 0])
    table = OccupancyTable(np.arange(6), ("copy", "there", "other"), np.stack([0.9 * there, there, other], 1))
    maps = pd.DataFrame(table.values, columns=list(table.names))
    occ = occupancy.Occupancies(Path(), table, maps, pd.DataFrame(), None)
    assert occ.elements == ["there", "other", "copy"]


def test_a_minor_state_by_maps_and_by_particles(finished: tuple[Path, ClusterResult], tmp_path: Path) -> None:
    """State 2 has chain C and not B."""
    occ = occupancy.load(finished[0])
    condition = "model_chainc > 0.5 and model_chainb < 0.3"
    expected = ROWS[np.arange(60) % 3 == 2]
    rows = occupancy.particles_of(occ, occupancy.maps_where(occ, condition))
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_array_equal(occupancy.particles_where(occ, condition), expected)
    said = occupancy.save(occ, rows, "minor").text
    path = finished[0] / "minor.20_particles.pkl"
    np.testing.assert_array_equal(read_selection(path).rows, expected)
    assert f"reconstruct s.mrcs --run {occ.members.run} --ind {path}" in said  # type: ignore[union-attr]
    with pytest.raises(InputError, match="is there already with other particles"):
        occupancy.save(occ, expected - 1, "minor")
    path.unlink()


def test_what_cannot_be(finished: tuple[Path, ClusterResult], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; make it with occupancy"):
        occupancy.load(tmp_path)
    occ = occupancy.load(finished[0])
    with pytest.raises(InputError, match="no element 'H68'; there are model_chaina"):
        occupancy.histograms(occ, ["H68"])
    with pytest.raises(InputError, match="nothing is selected"):
        occupancy.save(occ, np.zeros(0, dtype=np.int64), "none")


def test_a_folder_of_one_class_is_complete(finished: tuple[Path, ClusterResult], tmp_path: Path) -> None:
    found = occupancy_cluster(finished[0], tmp_path / "one", ClusterOptions(n_classes=2), within=0)
    occ = occupancy.load(tmp_path / "one")
    np.testing.assert_allclose(occupancy.cluster(occ, 2).scaled, found.scaled)
    with pytest.raises(InputError, match=r"has no particle_occupancies\.parquet"):
        occupancy.particles_where(occ, "model_chaina > 0")


def test_a_notebook_that_was_changed_is_kept(finished: tuple[Path, ClusterResult], tmp_path: Path) -> None:
    folder = tmp_path / "again"
    occupancy_cluster(finished[0], folder, ClusterOptions(n_classes=2))
    path = folder / "occupancy_analysis.ipynb"
    assert "N_CLASSES = 2 " in path.read_text()
    occupancy_cluster(finished[0], folder, ClusterOptions(n_classes=3), force=True)
    assert "N_CLASSES = 3 " in path.read_text()
    book = nbformat.read(path, 4)
    book.cells[2].source = "1 + 1"
    nbformat.write(book, path)
    occupancy_cluster(finished[0], folder, ClusterOptions(n_classes=2), force=True)
    assert nbformat.read(path, 4).cells[2].source == "1 + 1"


@pytest.mark.slow
def test_every_cell_runs(
    finished: tuple[Path, ClusterResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = nbformat.read(finished[0] / "occupancy_analysis.ipynb", 4)
    nbformat.validate(book)
    (cell,) = [cell for cell in book.cells if cell.source.startswith("CONDITION")]
    cell.source = cell.source.replace('CONDITION = ""', 'CONDITION = "model_chainb < 0.3"')
    client = NotebookClient(
        book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(finished[0])}}
    )
    client.execute(env={**os.environ, "PYTHONWARNINGS": "default"})
    outputs = [output for cell in book.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 5
    assert not [output for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    path = finished[0] / "minor_state.20_particles.pkl"
    np.testing.assert_array_equal(read_selection(path).rows, ROWS[np.arange(60) % 3 == 2])
