"""Images in memory and on disk are the same images; the least time of each place is kept."""

import time

import numpy as np
import pytest
import torch

from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.particles.simulation_states import Placement, State, scene_from_arrays
from cryoscape.workflows.simulate import SimulateRequest, simulate_scene
from images_on_disk import costs, drop_pages, places, report


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "set"
    x = np.random.default_rng(0).normal(scale=9, size=(60, 3))
    scene = scene_from_arrays(x, np.full(60, 6.0), np.full(60, "m"), np.full(60, "A"))
    states = (State("s", 1.0, (Placement(np.arange(60)),), 0.0),)
    request = SimulateRequest((), folder, 40, ImagingConfig(16, 5.0), pixel_size_angstrom=5.0)
    simulate_scene(scene, states, request)
    return places(folder, 30, tmp_path_factory.mktemp("cache") / "store")


def test_every_place_holds_the_first_images_asked_for(stores):
    rows = torch.arange(30)
    in_memory = stores["memory"]()
    assert in_memory.n == 30
    for name in ("disk, warm", "disk, cold"):
        found = stores[name]()
        assert isinstance(found.coefficients, np.memmap)
        torch.testing.assert_close(found.batch(rows), in_memory.batch(rows), rtol=2e-3, atol=2e-3)


def test_the_least_of_the_turns_counts_and_the_first_run_does_not(stores):
    waits = iter([0.2, 0.03, 0.0, 0.0, 0.0, 0.03, 0.03])

    def work(_):
        time.sleep(next(waits))

    found = costs(work, stores, 2)
    assert found["memory"].clock < 0.02
    assert found["disk, warm"].clock < 0.02
    assert found["disk, cold"].clock < 0.02
    assert len(report("waiting", found).splitlines()) == 3


def test_a_file_whose_pages_are_dropped_is_unchanged(tmp_path):
    path = tmp_path / "x.bin"
    path.write_bytes(b"abc" * 5000)
    drop_pages(path)
    assert path.read_bytes() == b"abc" * 5000
