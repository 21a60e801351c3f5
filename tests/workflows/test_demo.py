"""The demonstration in small, judged by its answer; and its parts against known answers."""

import re

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.demo import DemoRequest, demo
from cryoscape.workflows.demo_compare import FoundStates, compare, find_states, map_correlations
from cryoscape.workflows.demo_complex import STATES, demo_scene, demo_states


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A demonstration with strong signal, small images and little training."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    request = DemoRequest(folder, n_particles=600, box_size=24, snr=3.0, epochs=14, umap=False)
    return demo(request)


@pytest.mark.slow
def test_the_small_demonstration_tells_states_apart_and_draws_their_maps(small):
    assert small.score > 0.9  # by chance 0; measured 1.0
    truth = [read_volume(p).data for p in sorted((small.folder / "simulated" / "truth").glob("state_*.mrc"))]
    between = map_correlations(np.stack(truth), truth)
    matched = small.comparison.state_of_cluster >= 0
    own = small.correlations[matched, small.comparison.state_of_cluster[matched]]
    assert own.min() > 0.9
    assert between.shape == (5, 5)


@pytest.mark.slow
def test_the_page_holds_all_it_shows_and_the_score(small):
    page = small.report.read_text()
    assert f"{small.score:.3f}" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert all(name in page for name in STATES)
    assert page.count("data:image/png") >= 2 * len(STATES) + 3
    assert small.picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_demonstration_is_replaced_only_when_forced_and_nothing_else_ever(small, tmp_path):
    with pytest.raises(InputError, match="--force"):
        demo(DemoRequest(small.folder))
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="another -o"):
        demo(DemoRequest(tmp_path, force=True))
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_the_complex_has_a_minor_state_and_states_that_nest():
    scene = demo_scene()
    states = demo_states(scene)
    assert sum(s.fraction for s in states) == pytest.approx(1)
    assert min(s.fraction for s in states) == pytest.approx(0.08)
    atoms = [set(s.placements[0].atoms.tolist()) for s in states]
    assert len(atoms[4]) == len(scene)
    assert atoms[0] < atoms[1] < atoms[3] < atoms[4]
    assert atoms[0] < atoms[2] < atoms[3]
    assert scene.radius_angstrom < 224 / 2 - 10


@pytest.mark.parametrize("k", [2, 4, 6])
def test_the_number_of_groups_is_found_with_groups_of_unequal_size(k):
    rng = np.random.default_rng(k)
    centres = 6 * np.eye(8)[:k]
    sizes = rng.integers(60, 400, size=k)
    truth = np.repeat(np.arange(k), sizes)
    z = (centres[truth] + rng.normal(size=(len(truth), 8))).astype(np.float32)
    found = find_states(z)
    assert found.k == k
    assert compare(found, truth, k).score > 0.95
    assert (found.labels[found.centre_rows] == np.arange(k)).all()


def test_matching_pairs_each_group_with_the_state_it_shares_most_particles_with():
    truth = np.array([0] * 6 + [1] * 3 + [2] * 4)
    labels = np.array([2] * 5 + [0] + [0] * 3 + [1] * 2 + [3] * 2)
    found = FoundStates(labels, np.array([5, 9, 0, 11]))
    comparison = compare(found, truth, 3)
    assert comparison.state_of_cluster.tolist()[0] == 1
    assert comparison.cluster_of(0) == 2
    assert sorted(comparison.state_of_cluster.tolist()) == [-1, 0, 1, 2]
    assert comparison.confusion.sum() == 13
    assert comparison.confusion[0].tolist() == [1, 0, 5, 0]
    merged = compare(FoundStates(np.zeros(13, dtype=np.int64), np.array([0])), truth, 3)
    assert merged.score == pytest.approx(0, abs=1e-9)
    assert merged.cluster_of(2) is None


def test_correlations_do_not_depend_on_scale_or_offset():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 4, 4))
    found = map_correlations(np.stack([3 * a + 1, -b]), [a, b])
    assert found[0, 0] == pytest.approx(1)
    assert found[1, 1] == pytest.approx(-1)
    assert abs(found[0, 1]) < 0.4
