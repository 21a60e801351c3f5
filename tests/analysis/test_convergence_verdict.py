"""Verdicts on runs whose convergence is known because their curves were made so."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoscape.analysis.convergence_plateau import Measure, find_plateau
from cryoscape.analysis.convergence_verdict import (
    MapCurves,
    judge,
    map_measures,
    overtraining_signs,
    part_converged,
    sentences,
)

N_MAPS = 6


def measure(value, name="total loss", part="whole network", tolerance=0.0):
    return Measure(name, part, np.arange(len(value)), np.asarray(value, dtype=np.float64), tolerance)


def decay(n, tau, noise=0.0, seed=0):
    return np.exp(-np.arange(n) / tau) + noise * np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("tau", [3.0, 6.0, 10.0])
def test_plateau_of_an_exponential_starts_after_three_time_constants(tau):
    # |exp(-t / tau) - end| < 0.05 at t = 3 tau where the end is 0
    found = find_plateau(measure(decay(50, tau)))
    assert found.epoch == pytest.approx(3 * tau, abs=0.15 * 3 * tau + 1.5)


@pytest.mark.parametrize(
    "curve", [np.linspace(1, 0, 50), decay(50, 40.0), -np.log(np.arange(1, 51))], ids=["line", "slow", "log"]
)
def test_curves_that_still_fall_have_no_plateau(curve):
    found = find_plateau(measure(curve))
    assert found.judged
    assert found.epoch is None
    assert found.recent_change < 0


def test_noise_neither_makes_nor_hides_a_plateau():
    for seed in range(10):
        assert find_plateau(measure(decay(50, 6.0, 0.02, seed))).epoch is not None
        line = np.linspace(1, 0, 50) + 0.02 * np.random.default_rng(seed).normal(size=50)
        assert find_plateau(measure(line)).epoch is None


def test_too_few_values_are_not_judged():
    assert not find_plateau(measure([1.0, 0.5, np.nan, 0.4])).judged


@given(
    scale=st.floats(1e-3, 1e3),
    offset=st.floats(-1e3, 1e3),
    tau=st.floats(1.0, 60.0),
    n=st.integers(6, 80),
)
def test_plateaus_do_not_depend_on_the_unit(scale, offset, tau, n):
    curve = decay(n, tau)
    plain = find_plateau(measure(curve, tolerance=1e-3))
    other = find_plateau(measure(-scale * curve + offset, tolerance=1e-3 * scale))
    assert other.epoch is None or abs(other.epoch - (plain.epoch if plain.epoch is not None else n)) <= 1


def encoder(tau, n=50, cosine=1.4):
    rng = np.random.default_rng(1)
    loss = 0.9 + 0.1 * decay(n, tau) + 1e-4 * rng.normal(size=n)
    magnitude = 0.1 + decay(n, tau, 0.01)
    distance = cosine - (cosine - 0.4) * decay(n, tau, 0.01, 2)
    return (
        measure(loss),
        measure(0.2 * decay(n, tau, 0.01, 3) - 0.02, "dot product of shifts", "encoder"),
        measure(magnitude, "magnitude of shifts", "encoder"),
        measure(distance, "cosine distance of shifts", "encoder"),
    )


def maps(tau, n=50, noise_growth=0.0, nyquist_fall=0.0):
    rng = np.random.default_rng(4)
    epoch = np.arange(4, n, 5)
    e = epoch[1:].astype(float)
    jitter = 0.002 * rng.normal(size=(N_MAPS, len(e)))
    late = np.clip(epoch - 24, 0, None)
    return MapCurves(
        epoch=epoch,
        correlation=1 - 0.4 * np.exp(-e / tau) + jitter,
        fsc_nyquist=0.9 - 0.8 * np.exp(-e / tau) - nyquist_fall * late[1:] + 5 * jitter,
        high_frequency_noise=0.01 * (1 + np.exp(-e / tau)) * np.ones((N_MAPS, 1)),
        solvent_noise=0.05 * (1 + noise_growth * late) * (1 + 0.01 * rng.normal(size=(N_MAPS, len(epoch)))),
    )


def verdict_on(encoder_measures, curves):
    return judge([*encoder_measures, *map_measures(curves)], curves, 49)


def test_a_run_that_settled():
    found = verdict_on(encoder(7.0), maps(7.0))
    assert found.state == "converged"
    assert found.first_converged_epoch is not None
    assert 14 <= found.first_converged_epoch <= 34
    assert found.suggested_epoch == 49
    assert found.overtraining == ()
    assert part_converged(found, "encoder") is not None
    assert "Analyse epoch 49" in sentences(found, 49)[0]


def test_a_run_cut_short():
    found = verdict_on(encoder(40.0), maps(40.0))
    assert found.state == "not converged"
    assert found.first_converged_epoch is None
    assert found.suggested_epoch is None
    assert any("total loss: still falling" in text for text in found.unsettled)
    assert any(text.startswith("Total loss: still falling, by ") for text in sentences(found, 49))
    assert "Train further" in sentences(found, 49)[0]


def test_no_share_beyond_the_whole_is_told():
    swings = np.array([0.0, 0.0, 0.0, 0.0, 1.0, -1.0, 0.0, 1.5])
    (text,) = judge((measure(swings, "swings"),), None, 7).unsettled
    assert text == "swings: still rising in the last fifth of the epochs"


@pytest.mark.parametrize(
    ("curves", "word"),
    [
        (maps(5.0, noise_growth=0.02), "noise outside"),
        (maps(5.0, nyquist_fall=0.008), "FSC at Nyquist"),
    ],
    ids=["noise", "Nyquist"],
)
def test_a_run_that_went_on_for_too_long(curves, word):
    found = verdict_on(encoder(5.0), curves)
    assert found.state == "overtrained"
    assert found.suggested_epoch is not None
    assert 14 <= found.suggested_epoch <= 29
    assert any(word in sign.text for sign in found.overtraining)
    assert f"analyse epoch {found.suggested_epoch}" in sentences(found, 49)[0]


def test_noise_at_high_frequencies_is_a_sign():
    settled = maps(5.0)
    assert overtraining_signs(settled) == ()
    growing = np.linspace(0.01, 0.02, len(settled.epoch) - 1) * np.ones((N_MAPS, 1))
    (sign,) = overtraining_signs(replace(settled, high_frequency_noise=growing))
    assert "high frequencies" in sign.text


def test_signs_while_the_loss_still_falls_steeply_do_not_end_training():
    found = verdict_on((measure(decay(50, 60.0)), *encoder(5.0)[1:]), maps(5.0, noise_growth=0.02))
    assert found.state == "not converged"
    assert found.suggested_epoch is None
    said = sentences(found, 49)
    assert "the loss still falls steeply" in said[0]
    assert any("noise outside" in text for text in said)


@pytest.mark.parametrize("spoiled", [True, False])
def test_a_loss_that_falls_on_without_slowing_is_of_images_learned_by_heart(spoiled):
    """Only where maps become worse: without a sign, a steady fall is training that has far to go."""
    loss = decay(50, 5.0) - 0.04 * np.arange(50)
    growth = 0.02 if spoiled else 0.0
    found = verdict_on((measure(loss), *encoder(5.0)[1:]), maps(5.0, noise_growth=growth))
    assert found.state == ("overtrained" if spoiled else "not converged")
    assert any("by heart" in text for text in sentences(found, 49)) == spoiled


def test_particles_that_drift_steadily_have_not_settled():
    drift = measure(np.full(50, 0.3), "cosine distance of shifts", "encoder")
    found = judge([drift, drift, drift], None, 49)
    assert found.state == "not converged"
    assert "drift" in found.unsettled[0]


def test_two_epochs_cannot_be_judged():
    found = judge([measure([1.0, 0.9])], None, 1)
    assert found.state == "cannot be judged"
    assert "too few" in sentences(found, 1)[0]


@pytest.mark.parametrize("spoil", [0.05, 0.2])
def test_no_false_alarm_of_overtraining_in_noisy_runs(spoil):
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(50):
        base = maps(6.0)
        noisy = replace(
            base,
            correlation=base.correlation + 0.003 * rng.normal(size=base.correlation.shape),
            fsc_nyquist=base.fsc_nyquist + 0.03 * rng.normal(size=base.fsc_nyquist.shape),
            high_frequency_noise=0.01 * (1 + spoil * rng.normal(size=base.correlation.shape)),
            solvent_noise=base.solvent_noise * (1 + spoil * rng.normal(size=base.solvent_noise.shape)),
        )
        alarms += bool(overtraining_signs(noisy))
    assert alarms <= 2
