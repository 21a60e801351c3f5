"""Shifts of latents as they are noted during training, against those of the analysis afterwards."""

import numpy as np
import pytest

from cryoscape.analysis.convergence import shift_medians
from cryoscape.engines.vae.results import Encoded
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.workflows.training_session import SHIFT_METRICS, LatentShifts


def encoded(z):
    return Encoded(z, np.zeros_like(z))


def test_shifts_are_those_of_the_analysis(tmp_path):
    z = np.random.default_rng(0).normal(size=(4, 50, 3)).astype(np.float32)
    shifts = LatentShifts(tmp_path, 0)
    found = [shifts.add(encoded(epoch)) for epoch in z]
    assert all(set(line) == set(SHIFT_METRICS) for line in found)
    assert found[0]["latent_shift_median"] is None
    assert found[1]["latent_shift_dot_median"] is None
    for e in (2, 3):
        expected = shift_medians(z[e - 1] - z[e - 2], z[e] - z[e - 1])
        assert found[e]["latent_shift_median"] == pytest.approx(expected.magnitude, rel=1e-5)
        assert found[e]["latent_shift_dot_median"] == pytest.approx(expected.dot, rel=1e-5)
        assert found[e]["latent_shift_cosine_median"] == pytest.approx(1 - expected.cosine_distance, rel=1e-5)


def test_a_run_that_goes_on_remembers_the_epochs_before(tmp_path):
    z = np.random.default_rng(0).normal(size=(4, 50, 3)).astype(np.float32)
    whole = LatentShifts(tmp_path, 0)
    expected = [whole.add(encoded(epoch)) for epoch in z][-1]
    for e in range(3):
        write_array_pickle(tmp_path / f"z.{e}.pkl", z[e], np.zeros_like(z[e]))
    assert LatentShifts(tmp_path, 3).add(encoded(z[3])) == pytest.approx(expected)
