"""Functions learned from examples, tested on points kept aside."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge

from cryoscape.analysis.landscape_regression import _kernel, _tune, fit_map_regression, r2_of


def latents(n, zdim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, zdim)).astype(np.float32)


def test_linear_functions_are_exact_even_far_away():
    z, matrix = latents(60), np.random.default_rng(1).normal(size=(3, 4))
    found = fit_map_regression(z, z @ matrix + 2.0)
    far = 50 * latents(10, seed=2)
    np.testing.assert_allclose(found.at(far), far @ matrix + 2.0, atol=1e-3)


def test_smooth_functions_are_learned():
    def curved(z):
        return np.stack([np.sin(z[:, 0]) * z[:, 1], z[:, 2] ** 2], axis=1)

    z, aside = latents(800), latents(200, seed=5)
    found = fit_map_regression(z, curved(z))
    assert (r2_of(found.at(aside), curved(aside)) > 0.98).all()


def test_noise_is_not_learned():
    z, aside = latents(300), latents(300, seed=5)
    noise = np.random.default_rng(1).normal(size=(300, 1))
    found = fit_map_regression(z, z[:, :1] + noise)
    assert r2_of(found.at(aside), np.asarray(aside[:, :1], dtype=np.float64))[0] > 0.8


def test_leave_one_out_is_that_of_leaving_each_out():
    z, y = latents(25).astype(np.float64), np.random.default_rng(2).normal(size=(25, 2))
    width, ridge = _tune(z, y)

    def error(width, ridge):
        total = 0.0
        for i in range(25):
            rest = np.arange(25) != i
            model = KernelRidge(alpha=ridge, kernel="precomputed").fit(
                _kernel(z[rest], z[rest], width), y[rest]
            )
            total += ((model.predict(_kernel(z[[i]], z[rest], width)) - y[i]) ** 2).sum()
        return total

    best = error(width, ridge)
    for other in ((width, ridge * 10), (width * 2, ridge), (width / 2, ridge), (width, ridge / 10)):
        inside = 1e-6 <= other[1] <= 1.0 and 0.5 <= other[0] / np.sqrt(3) <= 8.0
        assert not inside or error(*other) >= best * (1 - 1e-6)


def test_r2():
    true = np.array([[0.0, 5.0], [2.0, 5.0]])
    assert r2_of(true, true) == pytest.approx([1.0, 1.0])
    assert r2_of(np.full((2, 2), [1.0, 5.0]), true) == pytest.approx([0.0, 1.0])


def test_a_latent_that_never_varies():
    z = latents(40)
    z[:, 1] = 3.0
    found = fit_map_regression(z, np.asarray(z[:, :1], dtype=np.float64))
    np.testing.assert_allclose(found.at(z)[:, 0], z[:, 0], atol=1e-4)
