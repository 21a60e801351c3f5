"""Occupancies of every particle of a run: exact, in its order, as selections take them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jaxtyping import Float
from matplotlib.figure import Figure

from cryoscape.engines import volume_source
from cryoscape.engines.linear_maps import LinearMaps, read_linear_maps
from cryoscape.errors import InputError
from cryoscape.typing import Latents
from cryoscape.workflows.filter_columns import RunColumns
from cryoscape.workflows.occupancy_cluster import occupancy_cluster
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult
from cryoscape.workflows.occupancy_maps import MaskOptions
from cryoscape.workflows.occupancy_model import ModelRequest
from cryoscape.workflows.occupancy_run import OccupancyRequest, occupancy_run
from cryoscape.workflows.occupancy_sampling import SamplingRequest
from folders import listing
from occupancy_files import RESOLUTION, write_model, write_run

ROWS = np.delete(np.arange(80), np.arange(0, 80, 4))  # 60 of 80 particles


@pytest.fixture(autouse=True)
def _quick_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.plot_occupancies", lambda *_: Figure())
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.write_class_maps", lambda *_: None)
    monkeypatch.setattr("cryoscape.workflows.occupancy_cluster_files.figure_png", lambda _: b"\x89PNG")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_model(tmp_path / "model.pdb")
    write_run(tmp_path / "run", rows=ROWS)
    return tmp_path


def analyse(place: Path, n_maps: int = 6, elements: Path | None = None, **more: object) -> ClusterResult:
    model = ModelRequest((place / "model.pdb",), RESOLUTION, elements=elements)
    sampling = SamplingRequest(place / "run", n_maps=n_maps)
    found: dict[str, object] = {
        "maps": sampling, "model": model, "output": place / "out", "masks": MaskOptions(),
        "cluster": ClusterOptions(n_classes=3), "all_particles": True,
    }  # fmt: skip
    return occupancy_run(OccupancyRequest(**{**found, **more}))  # type: ignore[arg-type]


def table(place: Path) -> pd.DataFrame:
    return pd.read_parquet(place / "out" / "particle_occupancies.parquet")


def test_every_particle_in_the_order_of_the_run(place: Path) -> None:
    result = analyse(place)
    found = table(place)
    assert found["row"].tolist() == ROWS.tolist()
    chains = found[["model_chaina", "model_chainb", "model_chainc"]].to_numpy()
    state = np.arange(60) % 3
    np.testing.assert_array_equal(chains[:, 1:] > 0.5, np.stack([state != 2, state != 1], axis=1))
    for b in range(result.blocks.n_groups):
        expected = chains[:, result.blocks.labels == b].mean(axis=1)
        np.testing.assert_allclose(found[f"block{b}"], expected, atol=1e-5)


def test_centres_have_the_values_of_their_maps(place: Path) -> None:
    result = analyse(place)
    centres = np.loadtxt(place / "out" / "kmeans" / "centers_ind.txt", dtype=int)
    values = table(place).iloc[centres][list(result.table.names)].to_numpy()
    np.testing.assert_allclose(np.clip(values, 0, 1), result.scaled, atol=1e-5)


def test_as_columns_of_a_selection(place: Path) -> None:
    analyse(place)
    columns = RunColumns(place / "run", tables=[place / "out" / "particle_occupancies.parquet"])
    assert columns["model_chainb"].shape == (60,)
    np.testing.assert_array_equal(columns["model_chainb"] > 0.5, np.arange(60) % 3 != 2)


@dataclass(frozen=True, eq=False)
class Decoder:
    """Maps that only come one by one, as of an engine that is not linear."""

    maps: LinearMaps

    @property
    def zdim(self) -> int:
        return self.maps.zdim

    @property
    def box_size(self) -> int:
        return self.maps.box_size

    @property
    def pixel_size_angstrom(self) -> float:
        return self.maps.pixel_size_angstrom

    def volumes(self, z: Latents) -> Float[np.ndarray, "n D D D"]:
        return self.maps.volumes(z)

    def downsampled(self, box_size: int) -> "Decoder":
        return Decoder(self.maps.downsampled(box_size))


def test_maps_of_other_engines_are_made_in_batches(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    analyse(place)
    linear = table(place)
    monkeypatch.setitem(
        volume_source.SOURCE_READERS, "subspace",
        lambda weights, config, pixel, device: Decoder(read_linear_maps(weights, pixel).maps),
    )  # fmt: skip
    monkeypatch.setattr("cryoscape.workflows.occupancy_particles._BATCH_BYTES", 7 * 4 * 24**3)
    analyse(place, output=place / "out2")
    decoded = pd.read_parquet(place / "out2" / "particle_occupancies.parquet")
    assert len(decoded) == 60  # not whole batches of 7
    np.testing.assert_allclose(decoded, linear, atol=1e-4)


def test_another_scale_and_other_blocks_reach_the_particles(place: Path) -> None:
    analyse(place)
    options = ClusterOptions(scale="column", percentiles=(0.0, 100.0), n_classes=3, n_blocks=1)
    changed = occupancy_cluster(place / "out", options=options, force=True)
    found = table(place)
    assert [name for name in found if name.startswith("block")] == ["block0"]
    analyse(place, output=place / "out2", cluster=options)
    fresh = pd.read_parquet(place / "out2" / "particle_occupancies.parquet")
    np.testing.assert_allclose(found, fresh, atol=1e-5)
    assert changed.blocks.n_groups == 1


def test_what_cannot_be_is_refused_before_anything_is_written(place: Path) -> None:
    before = listing(place)
    with pytest.raises(InputError, match="--all-particles needs the run"):
        analyse(place, maps=place)
    (place / "elements.csv").write_text("element,chain\nBlock1,A\nrest,B\n")
    with pytest.raises(InputError, match="an element is called 'Block1'"):
        analyse(place, elements=place / "elements.csv")
    (place / "elements.csv").unlink()
    assert listing(place) == before
