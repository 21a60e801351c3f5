"""The Bayes answer against likelihoods written out image by image, and where it is known beforehand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from bounds import (
    bayes,
    bayes_answer,
    calibrate,
    floor_and_oracle,
    log_likelihoods,
    place_of_states,
    prepared_store,
    true_latents,
)
from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.particles.simulation_states import Placement, State, scene_from_arrays
from cryoscape.physics.slices import FourierGrid, extract_slices
from cryoscape.physics.volume_grid import volume_to_grid
from cryoscape.workflows.simulate import SimulateRequest, simulate_scene
from datasets import Truth, load_truth

BOX, RADIUS = 16, 7


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """600 particles in two states that differ by a quarter of the atoms; contrast spread, radial noise."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(scale=8, size=(90, 3)), rng.normal(scale=5, size=(30, 3)) + 14])
    scene = scene_from_arrays(x, np.full(120, 6.0), np.full(120, "m"), np.full(120, "A"))
    states = (
        State("whole", 0.7, (Placement(np.arange(120)),), 0.0),
        State("part", 0.3, (Placement(np.arange(90)),), 1.0),
    )
    imaging = ImagingConfig(BOX, 5.0, snr=0.1, noise="radial", contrast_sigma=0.3, junk_fraction=0.1)
    folder = tmp_path_factory.mktemp("set")
    simulate_scene(scene, states, SimulateRequest((), folder, 600, imaging, pixel_size_angstrom=5.0))
    return prepared_store(folder), load_truth(folder)


def test_scale_and_noise_are_those_of_the_simulation(made):
    store, truth = made
    found = calibrate(store, truth, RADIUS)
    assert found.scale == pytest.approx(1 / store.scale, rel=0.05)
    # unit variance a pixel before the store's scale; stronger at low frequency
    radius = store.plane.prefix(float(RADIUS)).radius
    power = 0.3 + 0.7 / (1 + (radius.numpy() / (BOX / 2) / 0.15) ** 2)
    y = np.fft.fftfreq(BOX) * 2
    mean = (0.3 + 0.7 / (1 + (y[:, None] ** 2 + y**2) / 0.15**2)).mean()
    expected = power / mean * (BOX / store.scale) ** 2
    outer = radius.numpy() > 2  # the window smooths the peak
    assert found.noise_variance.numpy()[outer] / expected[outer] == pytest.approx(1, abs=0.15)


def test_likelihood_is_that_of_the_residual_written_out(made):
    store, truth = made
    calibration = calibrate(store, truth, RADIUS)
    rows = np.flatnonzero(truth.known)[:5]
    found = log_likelihoods(store, truth, calibration, rows, RADIUS)
    plane, grid = store.plane.prefix(float(RADIUS)), FourierGrid(RADIUS, 2)
    for i, row in enumerate(rows):
        at = torch.tensor([row])
        image, ctf = store.batch(at, plane.n_pixels)[0], store.ctf(at, plane.n_pixels)[0]
        for k in range(2):
            values = volume_to_grid(torch.from_numpy(truth.maps[k]), grid)
            view = extract_slices(values, grid, store.rotations[at], plane.k)[0, :, 0]
            view = view * ctf * calibration.scale * float(truth.contrast[row])
            gain = (image.abs() ** 2 - (image - view).abs() ** 2) / calibration.noise_variance
            assert found[i, k] == pytest.approx(float(gain.sum()), abs=2e-3 * float(image.abs().sum()))


def test_posterior_is_calibrated_and_junk_is_left_out(made):
    """Where the model is right, the most probable state is right as often as its probability says."""
    store, truth = made
    rows = np.flatnonzero(truth.known)
    likelihood = log_likelihoods(store, truth, calibrate(store, truth, RADIUS), rows, RADIUS)
    joint = likelihood + np.log(truth.fractions)
    certain = 1 / np.exp(joint - joint.max(axis=1, keepdims=True)).sum(axis=1)
    answer = bayes(store, truth, RADIUS)
    assert len(rows) == 540
    assert answer.accuracy == pytest.approx(certain.mean(), abs=0.04)
    assert answer.accuracy > 0.8
    assert answer.r2 is None


def test_floor_and_oracle_are_fitted_to_particles_that_are_no_junk(made, monkeypatch):
    """With a fit that answers with the true mean, or the true maps, instead of one to the data."""
    store, truth = made
    asked = []

    def known_answer(kept, z):
        asked.append((kept.particles.row, z))
        bases = truth.maps[1:] - truth.maps[:1]
        mean = truth.fractions @ truth.maps.reshape(2, -1)
        return LinearMaps(mean.reshape(truth.maps[0].shape).astype(np.float32), bases[: z.shape[1]], 5.0)

    monkeypatch.setattr(
        "cryoscape.engines.subspace.given_latents.maps_for_latents", known_answer, raising=False
    )
    floor, oracle = floor_and_oracle(store, truth)
    for rows, _ in asked:
        np.testing.assert_array_equal(rows, np.flatnonzero(truth.known))
    assert [z.shape[1] for _, z in asked] == [0, 1]
    assert len(floor.values) == 108  # each fifth of 540
    assert oracle.mean == pytest.approx(7 / 16, abs=1e-4)
    assert floor.mean < oracle.mean


def truth_of(kind, n_states):
    """A truth without files."""
    labels = np.arange(4 * n_states) % n_states
    blank = np.full(len(labels), "")
    return Truth(
        Path(),
        kind,
        labels,
        labels / n_states,
        np.ones(len(labels)),
        blank,
        tuple(str(i) for i in range(n_states)),
        np.full(n_states, 1 / n_states),
        (),
    )


@pytest.mark.parametrize(("kind", "error"), [("closed", 0.0), ("line", None)])
def test_certain_likelihoods_tell_the_place_exactly_and_flat_ones_nothing(kind, error):
    truth = truth_of(kind, 12)
    sure = bayes_answer(1e3 * np.eye(12)[truth.labels], truth, truth.labels, 5)
    assert (sure.accuracy, sure.ami, sure.r2) == (1, pytest.approx(1), pytest.approx(1))
    assert sure.median_error_degrees == (None if error is None else pytest.approx(error, abs=1e-4))
    flat = bayes_answer(np.zeros((48, 12)), truth, truth.labels, 5)
    assert flat.r2 == pytest.approx(0, abs=1e-9)


def test_a_posterior_over_two_neighbours_lies_between_them():
    truth = truth_of("closed", 4)
    between = np.full((16, 4), -1e9)
    between[np.arange(16), truth.labels] = 0
    between[np.arange(16), (truth.labels + 1) % 4] = 0
    answer = bayes_answer(between, truth, truth.labels, 5)
    assert answer.median_error_degrees == pytest.approx(45)
    assert answer.r2 == pytest.approx(0.5)  # the mean of two unit vectors at right angles is 1/sqrt(2) away


def test_places_and_true_latents():
    line = place_of_states(truth_of("line", 5))
    assert line[:, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    closed = place_of_states(truth_of("closed", 4))
    np.testing.assert_allclose(closed, [[1, 0], [0, 1], [-1, 0], [0, -1]], atol=1e-12)
    for kind, columns in (("states", 19), ("closed", 8), ("line", 8)):
        z = true_latents(truth_of(kind, 20))
        assert z.shape == (20, columns)
        np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-6)
        assert np.linalg.matrix_rank(z, tol=1e-4) == columns
