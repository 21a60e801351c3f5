"""From classes of maps to the particles that they stand for, and to labels from elsewhere."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cryoscape.engines.run_folder import load_run
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles, write_array_pickle
from cryoscape.io.mrc import read_volume
from cryoscape.particles.selection import read_selection
from cryoscape.workflows.occupancy_cluster import occupancy_cluster
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult
from cryoscape.workflows.occupancy_labels import read_particle_labels
from cryoscape.workflows.occupancy_maps import MaskOptions
from cryoscape.workflows.occupancy_members import members_beside
from cryoscape.workflows.occupancy_model import ModelRequest
from cryoscape.workflows.occupancy_reconstruct import command_of, selection_request
from cryoscape.workflows.occupancy_run import OccupancyRequest, occupancy_run
from cryoscape.workflows.occupancy_sampling import SamplingRequest
from folders import listing
from occupancy_files import BOX, RESOLUTION, write_maps, write_model, write_run
from particle_files import noise_images, random_rotations, write_poses_pickle, write_stack

ROWS = np.delete(np.arange(80), np.arange(0, 80, 4))
"""60 of 80 particles; particle i of the run is of state i % 3."""
STATE = np.arange(60) % 3


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.plot_occupancies", lambda *_: Figure())
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.write_class_maps", lambda *_: None)
    for module in ("occupancy_cluster_files", "occupancy_members"):
        monkeypatch.setattr(f"cryoscape.workflows.{module}.figure_png", lambda _: b"\x89PNG")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_model(tmp_path / "model.pdb")
    write_run(tmp_path / "run", rows=ROWS)
    frame = pd.DataFrame({"row": ROWS[::-1], "label": [f"state {i}" for i in STATE[::-1]]})
    frame.to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def analyse(place: Path, maps: object = None, labels: Path | None = None) -> ClusterResult:
    source = SamplingRequest(place / "run", n_maps=9) if maps is None else maps
    model = ModelRequest((place / "model.pdb",), RESOLUTION)
    cluster = ClusterOptions(n_classes=3)
    request = OccupancyRequest(
        source, model, place / "out", MaskOptions(), cluster, element_files=False, labels=labels, force=True
    )  # type: ignore[arg-type]
    return occupancy_run(request)


def test_particles_of_each_class_as_rows_of_the_original_input(place: Path) -> None:
    result = analyse(place)
    out = place / "out"
    table = pd.read_parquet(out / "particle_classes.parquet")
    assert table["row"].tolist() == ROWS.tolist()
    assert table["map"].tolist() == load_pickles(out / "kmeans" / "labels.pkl")[0].tolist()
    states = set()
    for k in range(3):
        rows = read_selection(out / f"class_{k}.particles.pkl").rows
        np.testing.assert_array_equal(rows, ROWS[table["class"] == k])
        (state,) = set(STATE[np.isin(ROWS, rows)].tolist())
        assert len(rows) == 20
        states.add(state)
    assert states == {0, 1, 2}
    record = json.loads((out / "class_1.particles.json").read_text())["provenance"]
    assert record["maps"] == result.members()[1].tolist()
    assert pd.read_csv(out / "classes.csv")["particles"].tolist() == [20, 20, 20]


def test_fewer_classes_later_leave_no_selection_behind(place: Path) -> None:
    analyse(place)
    occupancy_cluster(place / "out", options=ClusterOptions(n_classes=2), force=True)
    found = sorted(path.name for path in (place / "out").glob("class_*.particles.pkl"))
    assert found == ["class_0.particles.pkl", "class_1.particles.pkl"]
    sizes = [len(read_selection(place / "out" / name)) for name in found]
    assert sorted(sizes) == [20, 40]


def test_central_maps_of_another_cut_are_made_from_the_run(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    analyse(place)
    out = place / "out"
    options = ClusterOptions(n_classes=9)
    occupancy_cluster(out, options=options, force=True)
    assert {path.stem for path in (out / "kmeans").glob("*.mrc")} == {f"vol_{i:03d}" for i in range(9)}
    assert len(list(out.glob("class?.py"))) == 9
    row = int((out / "kmeans" / "centers_ind.txt").read_text().split()[4])
    expected = load_run(place / "run").source.volumes(load_run(place / "run").z[row : row + 1])[0]
    np.testing.assert_allclose(read_volume(out / "kmeans" / "vol_004.mrc").data, expected, atol=1e-5)

    analyse(place)  # maps of another cut go
    assert len(list((out / "kmeans").glob("*.mrc"))) == 3
    write_array_pickle(place / "run" / "z.pkl", np.zeros((60, 2), np.float32))
    (place / "run" / "latents.parquet").unlink()
    occupancy_cluster(out, options=options, force=True)
    assert "maps of some classes are not made" in caplog.text
    assert "clusters of other latents" in caplog.text
    assert len(list(out.glob("class?.py"))) == 3


def test_labels_are_matched_by_row_and_kept(place: Path) -> None:
    analyse(place, labels=place / "labels.csv")
    table = pd.read_csv(place / "out" / "confusion.csv", index_col=0)
    assert list(table) == ["state 0", "state 1", "state 2"]
    np.testing.assert_array_equal(table.to_numpy(), 20 * np.eye(3))
    occupancy_cluster(place / "out", options=ClusterOptions(n_classes=2), force=True)
    again = pd.read_csv(place / "out" / "confusion.csv", index_col=0)
    assert again.to_numpy().sum() == 60
    assert len(again) == 2
    analyse(place)
    assert not (place / "out" / "confusion.csv").exists()


def test_one_class_alone_on_the_scale_of_all(place: Path) -> None:
    whole = analyse(place, labels=place / "labels.csv")
    inside = whole.classes.labels == 1
    found = occupancy_cluster(place / "out", place / "one", ClusterOptions(n_classes=2), within=1)
    np.testing.assert_array_equal(found.table.numbers, whole.table.numbers[inside])
    np.testing.assert_array_equal(found.scaled, whole.scaled[inside])
    parts = [read_selection(place / "one" / f"class_{k}.particles.pkl").rows for k in range(2)]
    of_class = read_selection(place / "out" / "class_1.particles.pkl").rows
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), of_class)
    before = listing(place)
    for options, words in [
        ({"within": 7}, "--within 7: no such class .* there are 0 to 2"),
        ({"within": 1}, "give another folder with -o"),
    ]:
        output = place / "two" if options["within"] == 7 else None
        with pytest.raises(InputError, match=words):
            occupancy_cluster(place / "out", output, force=True, **options)  # type: ignore[arg-type]
    assert listing(place) == before


def test_maps_that_an_analysis_wrote(place: Path) -> None:
    """labels.pkl beside the maps says which particles they stand for."""
    maps = write_maps(place / "run" / "analyze" / "kmeans9")
    write_array_pickle(maps / "labels.pkl", np.arange(60) % 9)
    analyse(place, maps=maps, labels=place / "labels.csv")
    table = pd.read_csv(place / "out" / "confusion.csv", index_col=0)
    np.testing.assert_array_equal(table.to_numpy(), 20 * np.eye(3))
    assert members_beside(maps, np.arange(1, 10)) is None
    other = write_maps(place / "maps")
    with pytest.raises(InputError, match="which particles the maps stand for is not known"):
        analyse(place, maps=other, labels=place / "labels.csv")


def test_the_command_that_reconstructs_a_class_is_told(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    analyse(place)
    assert f"cryoscape reconstruct s.mrcs --run {place}/run --ind {place}/out/class_" in caplog.text


def _images(place: Path) -> None:
    """Images of all rows of the input, beside the run."""
    write_stack(place / "s.mrcs", noise_images(80, BOX))
    write_poses_pickle(place / "poses.pkl", random_rotations(80))
    config = place / "run" / "config.yaml"
    config.write_text(
        config.read_text().replace("particles: s.mrcs", "particles: s.mrcs\n  poses: poses.pkl")
    )


def test_map_of_a_class_from_its_particles(place: Path) -> None:
    analyse(place)
    _images(place)
    occupancy_cluster(place / "out", options=ClusterOptions(n_classes=3), reconstruct=(1,), force=True)
    made = place / "out" / "class_1.20_particles"
    assert pd.read_csv(made / "maps.csv")["n_near"].tolist() == [20]
    assert {f"map_000{end}" for end in (".mrc", "_half_a.mrc", "_half_b.mrc", "_fsc-vals.txt")} <= {
        path.name for path in made.iterdir()
    }


def test_a_run_on_a_subspace_takes_its_predictions(place: Path) -> None:
    """Which lie in its own folder, or where its settings say."""
    write_run(place / "states", engine="states")
    assert selection_request(place / "states", Path("i"), Path("o")).run is None
    write_run(place / "states" / "subspace")
    assert selection_request(place / "states", Path("i"), Path("o")).run == place / "states" / "subspace"
    config = place / "states" / "config.yaml"
    config.write_text(config.read_text().replace("  seed: 0", f"  seed: 0\n  subspace: {place / 'run'}"))
    request = selection_request(place / "states", Path("i"), Path("o"))
    assert request.run == place / "run"
    assert command_of(replace(request, invert=False)) == (
        f"cryoscape reconstruct s.mrcs --run {place}/run --ind i --uninvert-data -o o"
    )


def test_a_class_that_cannot_be_reconstructed_is_refused(place: Path) -> None:
    analyse(place)
    before = listing(place)
    with pytest.raises(InputError, match="--reconstruct 3: no such class; there are 0 to 2"):
        occupancy_cluster(place / "out", options=ClusterOptions(n_classes=3), reconstruct=(3,), force=True)
    with pytest.raises(InputError, match=r"--reconstruct: s.mrcs, the images of .*run, are not there"):
        occupancy_cluster(place / "out", options=ClusterOptions(n_classes=3), reconstruct=(1,), force=True)
    assert listing(place) == before
    write_maps(place / "maps")
    analyse(place, maps=place / "maps")
    with pytest.raises(InputError, match=r"--reconstruct: .*does not tell which particles"):
        occupancy_cluster(place / "out", reconstruct=(0,), force=True)


def test_labels_in_any_form(tmp_path: Path) -> None:
    rows = np.array([1, 2, 5])
    np.save(tmp_path / "all.npy", np.array([7, -1, 8, 7, 7, 9]))
    assert read_particle_labels(tmp_path / "all.npy", rows).tolist() == ["-1", "8", "9"]
    np.save(tmp_path / "run.npy", np.array(["a", "b", "c"]))
    assert read_particle_labels(tmp_path / "run.npy", rows).tolist() == ["a", "b", "c"]
    write_array_pickle(tmp_path / "all.pkl", np.array([0.0, 1, 2, 3, np.nan, 5]))
    assert read_particle_labels(tmp_path / "all.pkl", rows).tolist() == ["1", "2", "5"]
    pd.DataFrame({"original_row": [5, 1], "state": ["x", None]}).to_parquet(tmp_path / "t.parquet")
    assert read_particle_labels(tmp_path / "t.parquet", rows).tolist() == [None, None, "x"]
    star = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnClassNumber #2\n"
    (tmp_path / "p.star").write_text(star + "".join(f"{i + 1}@s.mrcs {i % 2 + 1}\n" for i in range(6)))
    assert read_particle_labels(tmp_path / "p.star", rows).tolist() == ["2", "1", "2"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.npy", "no such file"),
        ("short.npy", "2 labels; expected one for each row of the original input .more than 5."),
        ("flat.npy", "expected one label a particle"),
        ("two.csv", "expected a column 'label', found a, b"),
        ("twice.csv", "names a row more than once"),
        ("other.csv", "none of the 3 particles of the run has a label"),
        ("text.npy", "not readable as an array"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, name: str, words: str) -> None:
    np.save(tmp_path / "short.npy", np.arange(2))
    np.save(tmp_path / "flat.npy", np.ones((2, 2)))
    (tmp_path / "text.npy").write_text("1 2 3")
    (tmp_path / "two.csv").write_text("a,b\n1,2\n")
    (tmp_path / "twice.csv").write_text("row,label\n1,2\n1,2\n")
    (tmp_path / "other.csv").write_text("row,label\n100,2\n")
    with pytest.raises(InputError, match=words):
        read_particle_labels(tmp_path / name, np.array([1, 2, 5]))
