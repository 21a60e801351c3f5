"""Regions found without a model, from maps or a run to files."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume, write_volume
from cryoscape.occupancy.blocks import RegionOptions, Regions
from cryoscape.workflows.occupancy_blocks import BlocksRequest, occupancy_blocks
from cryoscape.workflows.occupancy_cluster import occupancy_cluster
from cryoscape.workflows.occupancy_files import read_table
from cryoscape.workflows.occupancy_groups import ClusterOptions
from cryoscape.workflows.occupancy_measure import MeasureRequest, occupancy_measure
from cryoscape.workflows.occupancy_sampling import SamplingRequest
from folders import listing
from occupancy_files import STATES, state_map, write_maps, write_run


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.plot_occupancies", lambda *_: Figure())
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.write_class_maps", lambda *_: None)
    monkeypatch.setattr("cryoscape.workflows.occupancy_blocks.plot_regions", lambda *_: Figure())
    for module in ("occupancy_cluster_files", "occupancy_members", "occupancy_blocks"):
        monkeypatch.setattr(f"cryoscape.workflows.{module}.figure_png", lambda _: b"\x89PNG")


def search(place: Path, maps: object, **more: object) -> Regions:
    found: dict[str, object] = {
        "maps": maps, "output": place / "out", "regions": RegionOptions(min_voxels=10),
        "cluster": ClusterOptions(n_classes=3),
    }  # fmt: skip
    return occupancy_blocks(BlocksRequest(**{**found, **more}))  # type: ignore[arg-type]


def test_chains_that_come_and_go_are_regions(tmp_path: Path) -> None:
    """A is always there, B and C in two of three maps each: two regions, which lie where B and C do."""
    maps = write_maps(tmp_path / "maps", 30)
    found = search(tmp_path, maps)
    assert found.n_regions == 2
    masks = [read_volume(tmp_path / "out" / "02_mask" / f"Mask_region{r}.mrc").data for r in range(2)]
    assert not (masks[0] * masks[1]).any()
    a, b, c = (state_map(chain, noise=0.0) for chain in "ABC")
    strength = np.array([[(mask * chain).sum() / chain.sum() for chain in (a, b, c)] for mask in masks])
    which = strength.argmax(axis=1)
    assert sorted(which.tolist()) == [1, 2]
    assert (strength.max(axis=1) > 0.5).all()
    table = read_table(tmp_path / "out")
    there = np.array([["ABC"[k] in STATES[i % 3] for k in which] for i in range(30)])
    np.testing.assert_array_equal(table.values > 0.5, there)
    np.testing.assert_array_equal(found.present, there)
    np.testing.assert_allclose(table.values[there].mean(), 1.0)
    classes = pd.read_csv(tmp_path / "out" / "vol_classes.csv")["class"].to_numpy()
    assert len({(i % 3, int(k)) for i, k in enumerate(classes)}) == 3
    frame = pd.read_csv(tmp_path / "out" / "regions.csv")
    assert frame["voxels"].tolist() == [int(mask.sum()) for mask in masks]
    np.testing.assert_allclose(frame["share_of_maps"], found.present.mean(axis=0), rtol=1e-3)


def test_measure_takes_the_masks_and_cluster_the_table(tmp_path: Path) -> None:
    maps = write_maps(tmp_path / "maps", 30)
    search(tmp_path, maps)
    measured = occupancy_measure(
        MeasureRequest(maps, tmp_path / "out" / "02_mask", None, tmp_path / "measured")
    )
    assert measured.names == ("region0", "region1")
    own = read_table(tmp_path / "out").values
    np.testing.assert_allclose(measured.values / measured.values.max(axis=0), own / own.max(axis=0))
    again = occupancy_cluster(tmp_path / "out", options=ClusterOptions(n_classes=2), force=True)
    assert again.classes.n_groups == 2


def test_particles_of_a_run_have_regions_too(tmp_path: Path) -> None:
    run = SamplingRequest(write_run(tmp_path / "run"), n_maps=30)
    (tmp_path / "labels.csv").write_text("label\n" + "".join(f"{i % 3}\n" for i in range(60)))
    search(tmp_path, run, all_particles=True, labels=tmp_path / "labels.csv")
    table = pd.read_parquet(tmp_path / "out" / "particle_occupancies.parquet")
    patterns = (table[["region0", "region1"]].to_numpy() > 0.5).tolist()
    assert all(patterns[i] == patterns[i % 3] for i in range(60))
    confusion = pd.read_csv(tmp_path / "out" / "confusion.csv", index_col=0).to_numpy()
    np.testing.assert_array_equal(confusion, 20 * np.eye(3))


def test_fewer_regions_later_leave_no_mask_behind(tmp_path: Path) -> None:
    maps = write_maps(tmp_path / "maps", 30)
    search(tmp_path, maps)
    one = tmp_path / "one"
    one.mkdir()
    for i in range(30):
        write_volume(one / f"vol_{i:03d}.mrc", state_map(("ABC", "AC")[i % 2], i), 5.0)
    assert search(tmp_path, one, force=True).n_regions == 1
    assert [path.name for path in (tmp_path / "out" / "02_mask").iterdir()] == ["Mask_region0.mrc"]
    assert read_table(tmp_path / "out").names == ("region0",)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"regions": RegionOptions(min_correlation=0.0)}, "--min-correlation 0: expected a number above 0"),
        ({"regions": RegionOptions(significance=2.0)}, "--significance 2"),
        ({"regions": RegionOptions(min_voxels=0)}, "--min-voxels 0"),
        ({"min_change": 0.0}, "--min-change 0"),
        ({"regions": RegionOptions(min_voxels=5000)}, "no 5000 voxels come and go together"),
        ({"min_change": 100.0}, "of 0 that vary"),
        ({"all_particles": True}, "--all-particles needs the run"),
    ],
)
def test_searches_that_cannot_be(tmp_path: Path, more: dict[str, object], words: str) -> None:
    maps = write_maps(tmp_path / "maps", 6)
    before = listing(tmp_path)
    with pytest.raises(InputError, match=words):
        search(tmp_path, maps, **more)
    assert listing(tmp_path) == before


def test_two_maps_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 maps: what goes together shows in 3 at least"):
        search(tmp_path, write_maps(tmp_path / "maps", 2))
