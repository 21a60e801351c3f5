"""Occupancy analysis from files to files."""

import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cryoscape.analysis.clustering import cluster_kmeans
from cryoscape.analysis.maps import mirror_z
from cryoscape.engines.run_folder import load_run
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import load_pickles
from cryoscape.io.mrc import read_mrc_header, read_volume, write_volume
from cryoscape.workflows.occupancy_cluster import occupancy_cluster
from cryoscape.workflows.occupancy_files import find_maps, read_table
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult
from cryoscape.workflows.occupancy_maps import MaskOptions, occupancy_maps, occupancy_masks
from cryoscape.workflows.occupancy_measure import MeasureRequest, occupancy_measure
from cryoscape.workflows.occupancy_model import FitMode, ModelRequest
from cryoscape.workflows.occupancy_run import OccupancyRequest, occupancy_run
from cryoscape.workflows.occupancy_sampling import SamplingRequest
from folders import listing
from occupancy_files import (
    BOX,
    RESOLUTION,
    STATES,
    VOXEL,
    chain_atoms,
    state_map,
    write_maps,
    write_model,
    write_run,
)


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures take longest and are tested for themselves; those of `finished` are drawn."""
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.plot_occupancies", lambda *_: Figure())
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.write_class_maps", lambda *_: None)
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.figure_png", lambda _: b"\x89PNG")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_maps(tmp_path / "maps")
    write_model(tmp_path / "model.pdb")
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ClusterResult]:
    """A finished analysis, to be left as it is: its place (the results are in out) and its result."""
    place = tmp_path_factory.mktemp("finished")
    write_maps(place / "maps")
    write_model(place / "model.pdb")
    return place, occupancy_run(request(place))


def request(place: Path, fit: FitMode = "check", **more: object) -> OccupancyRequest:
    model = ModelRequest((place / "model.pdb",), RESOLUTION, fit=fit)
    found: dict[str, object] = {
        "maps": place / "maps", "model": model, "output": place / "out", "masks": MaskOptions(),
        "cluster": ClusterOptions(),
    }  # fmt: skip
    return OccupancyRequest(**{**found, **more})  # type: ignore[arg-type]


def test_all_in_one_finds_the_states(finished: tuple[Path, ClusterResult]) -> None:
    _, result = finished
    assert result.table.names == ("model_chaina", "model_chainb", "model_chainc")
    there = np.array([[chain in STATES[i % 3] for chain in "ABC"] for i in range(9)])
    np.testing.assert_array_equal(result.table.values > 0.5, there)
    assert result.table.values[there].min() > 0.75
    assert result.table.values[~there].max() < 0.2
    assert {tuple(m.tolist()) for m in result.members().values()} == {(0, 3, 6), (1, 4, 7), (2, 5, 8)}


def test_files_are_those_of_the_published_scripts(finished: tuple[Path, ClusterResult]) -> None:
    place, result = finished
    out = place / "out"
    assert sorted(p.name for p in (out / "01_PDB_mrc").glob("*.mrc")) == [
        "model_chaina.mrc", "model_chainb.mrc", "model_chainc.mrc"
    ]  # fmt: skip
    assert (out / "02_mask" / "Mask_model_chainb.mrc").is_file()
    mask = read_volume(out / "02_mask" / "Mask_model_chainb.mrc")
    density = read_volume(out / "01_PDB_mrc" / "model_chainb.mrc")
    np.testing.assert_array_equal(mask.data, density.data >= np.float32(0.01))
    assert read_mrc_header(out / "02_mask" / "Mask_model_chainb.mrc").mode == 2
    assert (mask.pixel_size_angstrom, mask.data.shape) == (VOXEL, (BOX,) * 3)
    lines = (out / "occupancies.csv").read_text().splitlines()
    assert lines[:2] == ["PDB,model,model,model", "Chain,a,b,c"]
    assert [line.split(",")[0] for line in lines[2:]] == [str(i) for i in range(9)]
    scaled = pd.read_csv(out / "norm_occs.txt", sep="\t", header=[0, 1], index_col=0).to_numpy()
    raw = read_table(out / "occupancies.csv").values
    low, high = np.percentile(raw, [10, 90])
    np.testing.assert_allclose(scaled, (np.clip(raw, low, high) - low) / (high - low))
    (classes,) = load_pickles(out / "vol_classes.pkl")
    assert {k: v.tolist() for k, v in classes.items()} == {k: v.tolist() for k, v in result.members().items()}
    for number in classes[0]:
        assert f'open "{place}/maps/vol_{number:03d}.mrc"' in (out / "class0.py").read_text()
    assert "#1/A" in (out / "blocks.py").read_text()
    summary = pd.read_csv(out / "classes.csv")
    assert summary["maps"].tolist() == [3, 3, 3]
    for name in ("heatmap.png", "cuts.png", "class_maps.png"):
        assert len((out / name).read_bytes()) > 10_000


def test_steps_one_by_one_give_the_same(finished: tuple[Path, ClusterResult], tmp_path: Path) -> None:
    place, _ = finished
    steps = tmp_path / "steps"
    occupancy_maps(place / "maps", request(place).model, steps / "01_PDB_mrc")
    occupancy_masks([steps / "01_PDB_mrc"], steps / "02_mask", MaskOptions())
    occupancy_measure(MeasureRequest(place / "maps", steps / "02_mask", steps / "01_PDB_mrc", steps))
    occupancy_cluster(steps / "occupancies.csv", maps=place / "maps")
    in_one = listing(place / "out")
    assert set(in_one) - set(listing(steps)) == {"occupancy.json", "class_maps.png"}  # not drawn again here
    for name in in_one:
        if name.endswith((".mrc", ".py", ".pkl", "elements.json")):
            assert (steps / name).read_bytes() == (place / "out" / name).read_bytes(), name
    tables = [read_table(folder).values for folder in (steps, place / "out")]
    np.testing.assert_allclose(*tables, rtol=1e-6)


def test_maps_that_are_cropped_or_lie_elsewhere_give_the_same(
    place: Path, finished: tuple[Path, ClusterResult]
) -> None:
    """The origin in the header tells where the voxels lie."""
    whole = finished[1].table.values
    cut = place / "cut"
    cut.mkdir()
    for path in (place / "maps").iterdir():
        data = read_volume(path).data[2:24, 1:23, 2:24]
        write_volume(cut / path.name, data, VOXEL, (2 * VOXEL, VOXEL, 2 * VOXEL))
    found = occupancy_run(request(place, maps=cut, output=place / "out2")).table.values
    np.testing.assert_allclose(found, whole, atol=2e-3)


def test_maps_of_cryodrgn_without_a_machine_stamp_are_read(
    place: Path, finished: tuple[Path, ClusterResult]
) -> None:
    whole = finished[1].table.values
    for path in (place / "maps").iterdir():
        content = bytearray(path.read_bytes())
        content[212:216] = b"\0\0\0\0"
        path.write_bytes(content)
    found = occupancy_run(request(place, output=place / "out2")).table.values
    np.testing.assert_array_equal(found, whole)


def test_elements_with_names_of_their_own(place: Path) -> None:
    (place / "e.toml").write_text('core = "A"\nrest = ["model:B", "model:C:1-150"]\n')
    model = ModelRequest((place / "model.pdb",), RESOLUTION, elements=place / "e.toml")
    result = occupancy_run(request(place, model=model, cluster=ClusterOptions(n_classes=2)))
    assert result.table.names == ("core", "rest")
    assert (
        (place / "out" / "occupancies.csv").read_text().startswith("PDB,element,element\nChain,core,rest\n")
    )
    assert read_table(place / "out" / "occupancies.csv").names == ("core", "rest")
    assert (place / "out" / "02_mask" / "Mask_rest.mrc").is_file()
    assert "#1/C:1-150" in (place / "out" / "blocks.py").read_text()


def test_chains_may_be_chosen(place: Path) -> None:
    model = ModelRequest((place / "model.pdb",), RESOLUTION, chains=("b", "model:A:1-75"))
    names = occupancy_run(request(place, model=model)).table.names
    assert names == ("model_chainb", "model_chaina_1-75")


def test_a_second_run_is_refused_and_replaces_with_force(place: Path) -> None:
    occupancy_run(request(place))
    before = listing(place)
    with pytest.raises(InputError, match="holds an occupancy analysis"):
        occupancy_run(request(place))
    assert listing(place) == before
    model = ModelRequest((place / "model.pdb",), RESOLUTION, chains=("A", "B"))
    occupancy_run(request(place, model=model, force=True, cluster=ClusterOptions(n_classes=2)))
    assert not (place / "out" / "01_PDB_mrc" / "model_chainc.mrc").exists()
    assert not (place / "out" / "02_mask" / "Mask_model_chainc.mrc").exists()
    assert not (place / "out" / "class2.py").exists()
    (place / "mine").mkdir()
    (place / "mine" / "notes.txt").write_text("")
    with pytest.raises(InputError, match="files of something else"):
        occupancy_run(request(place, output=place / "mine", force=True))


def test_clusters_anew_with_another_cut(place: Path) -> None:
    occupancy_run(request(place))
    with pytest.raises(InputError, match=r"norm_occs\.txt: is there already"):
        occupancy_cluster(place / "out")
    result = occupancy_cluster(place / "out", options=ClusterOptions(n_classes=2, n_blocks=2), force=True)
    assert (result.classes.n_groups, result.blocks.n_groups) == (2, 2)
    assert sorted(p.name for p in (place / "out").glob("class*.py")) == ["class0.py", "class1.py"]
    assert json.loads((place / "out" / "cluster.json").read_text())["classes"]["number"] == 2
    threshold = result.classes.threshold
    again = occupancy_cluster(place / "out", place / "other", ClusterOptions(class_threshold=threshold))
    np.testing.assert_array_equal(again.classes.labels, result.classes.labels)


def test_no_element_files_where_not_wanted(place: Path) -> None:
    occupancy_run(request(place, element_files=False))
    assert not list((place / "out").rglob("*.mrc"))
    assert (place / "out" / "blocks.py").is_file()


def shifted(place: Path, shift: tuple[float, float, float]) -> None:
    """Write the model moved."""
    text = (place / "model.pdb").read_text().splitlines()
    moved = []
    for line in text:
        if line.startswith("ATOM"):
            at = [float(line[30 + 8 * i : 38 + 8 * i]) + shift[i] for i in range(3)]
            line = line[:30] + "".join(f"{x:8.3f}" for x in at) + line[54:]
        moved.append(line)
    (place / "model.pdb").write_text("\n".join(moved) + "\n")


def test_a_model_elsewhere_is_refused_or_moved(place: Path, finished: tuple[Path, ClusterResult]) -> None:
    expected = finished[1].table.values
    shifted(place, (15.0, 0.0, -10.0))
    before = listing(place)
    with pytest.raises(InputError, match=r"voxels or more from where it fits .*--fit shift"):
        occupancy_run(request(place))
    assert listing(place) == before
    for fit in ("shift", "rigid"):
        found = occupancy_run(request(place, fit, output=place / fit))
        np.testing.assert_allclose(found.table.values, expected, atol=0.05)
    record = json.loads((place / "shift" / "01_PDB_mrc" / "elements.json").read_text())
    np.testing.assert_allclose(np.array(record["placing"])[:, 3], [-15, 0, 10], atol=0.1 * VOXEL)
    assert "view matrix models #1,1,0,0,-1" in (place / "shift" / "blocks.py").read_text()


def test_the_other_hand_and_sign_are_refused_unless_ignored(
    place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for path in (place / "maps").iterdir():
        write_volume(path, mirror_z(read_volume(path).data), VOXEL)
    with pytest.raises(InputError, match=r"other hand of the model .*--flip"):
        occupancy_run(request(place))
    with caplog.at_level(logging.WARNING, "cryoscape"):
        occupancy_run(request(place, "ignore"))
    assert "other hand" in caplog.text
    for path in (place / "maps").iterdir():
        write_volume(path, -mirror_z(read_volume(path).data), VOXEL)
    with pytest.raises(InputError, match=r"negative of the model .*--invert"):
        occupancy_run(request(place, output=place / "out2"))


def test_a_shift_of_one_plane_is_told(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What cryoDRGN's --flip leaves between boxes."""
    for path in (place / "maps").iterdir():
        write_volume(path, np.roll(read_volume(path).data, 1, axis=0), VOXEL)
    with caplog.at_level(logging.WARNING, "cryoscape"):
        occupancy_run(request(place))
    assert "one voxel along z is what cryoDRGN's --flip leaves" in caplog.text


def test_binarised_and_undivided(
    finished: tuple[Path, ClusterResult], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (source, _), place = finished, tmp_path
    out = source / "out"
    found = occupancy_measure(
        MeasureRequest(source / "maps", out / "02_mask", None, place / "b", bin_at=0.05)
    )
    mask = read_volume(out / "02_mask" / "Mask_model_chainb.mrc").data
    volume = read_volume(source / "maps" / "vol_004.mrc").data
    assert found.values[4, 1] == ((volume >= 0.05) & (mask == 1)).sum()
    (place / "levels.csv").write_text(
        "vol_id,denormalized_predictions\n" + "".join(f"{i},0.05\n" for i in range(8, -1, -1))
    )
    levels = MeasureRequest(
        source / "maps", out / "02_mask", None, place / "c", bin_file=place / "levels.csv"
    )
    np.testing.assert_array_equal(occupancy_measure(levels).values, found.values)
    with caplog.at_level(logging.WARNING, "cryoscape"):
        plain = occupancy_measure(MeasureRequest(source / "maps", out / "02_mask", None, place / "d"))
    assert "no --refdir" in caplog.text
    total = read_volume(out / "01_PDB_mrc" / "model_chainb.mrc").data.sum(dtype=np.float64)
    np.testing.assert_allclose(plain.values[:, 1] / total, read_table(out).values[:, 1], rtol=1e-6)


def test_masks_with_options_in_either_unit(place: Path) -> None:
    occupancy_maps(place / "maps", request(place).model, place / "ref")
    occupancy_masks([place / "ref"], place / "px", MaskOptions(extend_px=1.5, edge_px=2.0))
    occupancy_masks([place / "ref"], place / "a", MaskOptions(extend_angstrom=7.5, edge_angstrom=10.0))
    for path in (place / "px").iterdir():
        assert path.read_bytes() == (place / "a" / path.name).read_bytes()
    soft = read_volume(place / "px" / "Mask_model_chaina.mrc").data
    assert ((soft > 0) & (soft < 1)).any()
    with pytest.raises(InputError, match="--extend-px and --extend-angstrom exclude"):
        occupancy_masks([place / "ref"], place / "x", MaskOptions(extend_px=1.0, extend_angstrom=1.0))


def test_numbers_of_maps_are_in_their_names(place: Path) -> None:
    maps = place / "maps"
    write_volume(maps / "vol_010_half_a.mrc", state_map("A"), VOXEL)
    assert find_maps(maps).numbers.tolist() == list(range(9))
    (maps / "vol_002.mrc").rename(maps / "vol_0102.mrc")
    assert find_maps(maps).numbers.tolist() == [0, 1, 3, 4, 5, 6, 7, 8, 102]
    write_volume(maps / "other_3.mrc", state_map("A"), VOXEL)
    with pytest.raises(InputError, match=r"other_3\.mrc and vol_003\.mrc have one number"):
        find_maps(maps)


def test_the_published_table_with_its_empty_columns_is_read(tmp_path: Path) -> None:
    (tmp_path / "occupancies.csv").write_text(
        "PDB,prots1,prots1,prots1,RNA,RNA\nChain,a,b,c,a,b\n388,1.0,,3.5,-1,\n18,2.0,,0.5,4,\n"
    )
    table = read_table(tmp_path)
    assert table.names == ("prots1_chaina", "prots1_chainc", "RNA_chaina")
    assert table.numbers.tolist() == [18, 388]
    np.testing.assert_array_equal(table.values, [[2, 0.5, 4], [1, 3.5, -1]])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a table of occupancies"),
        ("PDB,a\nChain,b\nx,1\n", "not a table of occupancies"),
        ("PDB,a,a\nChain,b,c\n1,2,3\n2,,4\n", "map 2, a b is not a number"),
        ("PDB,a\nChain,b\n1,2\n1,3\n", "a map is in it twice"),
        ("PDB,a\nChain,b\n1,\n", "holds no occupancies"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "t.csv")
    assert words in str(caught.value)


def test_masks_and_maps_of_different_boxes(finished: tuple[Path, ClusterResult], tmp_path: Path) -> None:
    place, _ = finished
    small = tmp_path / "small"
    small.mkdir()
    write_volume(small / "vol_000.mrc", state_map("A")[2:22, 2:22, 2:22], VOXEL)
    with pytest.raises(InputError, match=r"24 x 24 x 24 voxels, .* has 20 x 20 x 20"):
        occupancy_measure(MeasureRequest(small, place / "out" / "02_mask", None, tmp_path / "b"))
    write_volume(small / "vol_000.mrc", state_map("A"), VOXEL, (50.0, 0.0, 0.0))
    with pytest.raises(InputError, match="were they cropped alike"):
        occupancy_measure(MeasureRequest(small, place / "out" / "02_mask", None, tmp_path / "b"))


def test_an_element_outside_the_maps(place: Path) -> None:
    text = (place / "model.pdb").read_text().replace("\r", "")
    far = "ATOM    999  CA  GLY Z   1     900.000 900.000 900.000  1.00 20.00           C\nEND"
    (place / "model.pdb").write_text(text.replace("END", far))
    with pytest.raises(InputError, match="model_chainz: all its atoms lie outside the maps"):
        occupancy_run(request(place, "ignore"))


@pytest.mark.shared_data
def test_the_real_maps_and_model_of_the_protocol(shared_data: Path, tmp_path: Path) -> None:
    """Figures known of these files: atoms, correlations of the whole model, sizes of masks at 5 A."""
    models = tuple(sorted((shared_data / "50s").glob("*.pdb")))
    maps = shared_data / "occupancy"
    model = ModelRequest(models, 5.0)
    done = occupancy_run(OccupancyRequest(maps, model, tmp_path / "o", MaskOptions(), ClusterOptions()))
    assert done.table.numbers.tolist() == [18, 388]
    assert len(done.table.names) == 136
    masks = [read_volume(path).data for path in sorted((tmp_path / "o" / "02_mask").iterdir())]
    sizes = [int(mask.sum()) for mask in masks]
    assert (min(sizes), max(sizes)) == (11, 220)
    fit = json.loads((tmp_path / "o" / "01_PDB_mrc" / "elements.json").read_text())["fit"]
    assert fit["verdict"] == "good"
    assert fit["correlation"] > 0.75
    assert fit["detail"] > 0.6
    assert np.linalg.norm(fit["best_shift_angstrom"]) < 0.16 * 6.55
    assert fit["mirrored_detail"] < 0.1
    densities = [read_volume(path).data for path in (tmp_path / "o" / "01_PDB_mrc").glob("*.mrc")]
    total = sum(float(d.sum(dtype=np.float64)) for d in densities) * 6.55**3
    assert 0.95 < total / 590_000 < 1.15


def test_atoms_of_the_small_model_are_as_written(place: Path) -> None:
    from cryoscape.io.atomic_model import read_atomic_model

    model = read_atomic_model(place / "model.pdb")
    np.testing.assert_allclose(model.coordinates_angstrom[:150], chain_atoms("A"), atol=1e-3)


def test_straight_from_a_run_without_files_of_maps(place: Path) -> None:
    """Clusters are those of analyze; occupancies those of maps written first."""
    run = write_run(place / "run")
    result = occupancy_run(
        request(place, maps=SamplingRequest(run, n_maps=6), cluster=ClusterOptions(n_classes=3))
    )
    labels, (numbers,) = load_pickles(place / "out" / "kmeans" / "labels.pkl")[0], [result.table.numbers]
    assert numbers.tolist() == list(range(6))
    clusters = cluster_kmeans(load_run(run).z, 6, seed=0)
    np.testing.assert_array_equal(labels, clusters.labels)
    state = np.arange(60)[clusters.center_rows] % 3
    there = np.stack([np.ones(6, bool), state != 2, state != 1], axis=1)
    np.testing.assert_array_equal(result.table.values > 0.5, there)
    for members in result.members().values():
        assert len(set(state[members].tolist())) == 1
    written = sorted(path.name for path in (place / "out" / "kmeans").glob("*.mrc"))
    central = pd.read_csv(place / "out" / "classes.csv")["central_map"]
    assert written == sorted(f"vol_{number:03d}.mrc" for number in central)
    assert f"kmeans/vol_{central[0]:03d}.mrc" in (place / "out" / "class0.py").read_text()
    again = occupancy_cluster(place / "out", options=ClusterOptions(n_classes=3), force=True)
    np.testing.assert_array_equal(again.classes.labels, result.classes.labels)
    assert (place / "out" / "class0.py").is_file()


def test_a_run_in_a_smaller_box_of_the_other_hand(place: Path) -> None:
    run = write_run(place / "run")
    whole = occupancy_run(request(place, maps=SamplingRequest(run, n_maps=3)))
    small = SamplingRequest(run, n_maps=3, box_size=20)
    found = occupancy_run(request(place, maps=small, output=place / "small"))
    scaled = found.table.values / (BOX / 20) ** 3  # sums of maps are kept
    np.testing.assert_allclose(scaled, whole.table.values, atol=0.1)
    with pytest.raises(InputError, match="other hand"):
        occupancy_run(request(place, maps=SamplingRequest(run, n_maps=3, flip=True), output=place / "x"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"n_maps": 1}, "--ksample 1"),
        ({"box_size": 26}, "-d 26: expected an even box of at most 24 px"),
        ({"box_size": 15}, "-d 15"),
        ({"pixel_size_angstrom": 0.0}, "--Apix 0"),
        ({"epoch": 3}, "this run has no epochs"),
    ],
)
def test_samplings_that_cannot_be(place: Path, more: dict[str, object], words: str) -> None:
    run = write_run(place / "run")
    before = listing(place)
    with pytest.raises(InputError) as caught:
        occupancy_run(request(place, maps=SamplingRequest(run, **more)))  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert listing(place) == before
