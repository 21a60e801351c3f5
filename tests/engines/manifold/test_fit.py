"""Training: a curve is found that the linear model cannot hold, and when to stop is told in words."""

import math

import numpy as np
import pytest
import torch

from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.fit import EpochReport, Trainer, fit_manifold, place, verdict
from cryoscape.engines.manifold.likelihood import moments
from cryoscape.errors import InputError
from engines.manifold.conftest import Known, draw_evidence, on_a_circle

SMALL = ManifoldConfig(zdim=2, epochs=25, width=64, seed=3)


def bayes(known: Known, rows: torch.Tensor) -> float:
    """Mean log-likelihood of images if it is known that coefficients lie anywhere on the circle."""
    angle = torch.arange(720) * (2 * math.pi / 720)
    points = math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], dim=1)
    each = moments(known.evidence.of(rows)).fit(points[:, None].expand(-1, len(rows), -1)).log_likelihood
    return float((torch.logsumexp(each, 0) - math.log(720)).mean())


def test_a_circle_is_found() -> None:
    known = on_a_circle(2000)
    fit = fit_manifold(known.evidence, SMALL)
    best = bayes(known, fit.held_out)
    assert fit.linear_log_likelihood + 0.3 < best
    gained = fit.held_out_log_likelihood - fit.linear_log_likelihood
    assert 0.65 < gained / (best - fit.linear_log_likelihood) < 1.02
    # maps at the latents of particles lie on the circle
    posterior, sampled = place(known.evidence, fit.linear.features, fit.networks, 20, 0)
    with torch.no_grad():
        radius = fit.networks.decoder(posterior.mean).norm(dim=1)
    assert abs(float(radius.median()) - math.sqrt(2)) < 0.15
    held_out = sampled.log_likelihood[fit.held_out]
    assert float(held_out.mean()) == pytest.approx(fit.held_out_log_likelihood, abs=0.1)


def test_where_the_linear_model_is_true_nothing_is_gained_or_lost() -> None:
    z = np.random.default_rng(0).normal(size=(2000, 2))
    known = draw_evidence(z, np.array([60.0, 30.0, 30.0]))
    fit = fit_manifold(known.evidence, SMALL)
    assert fit.held_out_log_likelihood == pytest.approx(fit.linear_log_likelihood, abs=0.1)


def test_training_is_seeded_and_holds_particles_out() -> None:
    known = on_a_circle(400)
    short = ManifoldConfig(zdim=2, epochs=2, width=16, seed=1)
    first, again = (fit_manifold(known.evidence, short) for _ in range(2))
    values = [[one.held_out_log_likelihood for one in fit.reports] for fit in (first, again)]
    assert values[0] == values[1]
    trainer = Trainer(known.evidence, short)
    both = torch.cat([trainer.held_out, trainer.trained])
    assert both.sort().values.tolist() == list(range(400))
    assert len(trainer.held_out) == 40
    # evidence of particles held out has no say in the weights
    changed = known.moments.clone()
    changed[trainer.held_out, :3, 3] += 1
    other = Trainer(Known(known.evidence, changed, known.coefficients).evidence, short)
    other.evidence.image[other.held_out] += 1
    trainer.epoch(0)
    other.epoch(0)
    for a, b in zip(trainer.networks.decoder.parameters(), other.networks.decoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_stops_when_asked_and_when_nothing_is_gained() -> None:
    known = on_a_circle(300)
    stopped = fit_manifold(known.evidence, ManifoldConfig(zdim=2, epochs=9), should_stop=lambda: True)
    assert (stopped.finished, len(stopped.reports)) == (False, 1)
    few = on_a_circle(60)
    hasty = ManifoldConfig(zdim=2, epochs=60, patience=5, learning_rate=0.02, width=64)
    fit = fit_manifold(few.evidence, hasty)
    assert len(fit.reports) == fit.kept_epoch + 6 < 60
    assert fit.verdict.startswith("overfitting")


def reports(values: list[float]) -> list[EpochReport]:
    return [EpochReport(i, 0.0, 0.0, value, 0.0, 1.0, 0.0, 0.0) for i, value in enumerate(values)]


def test_verdicts() -> None:
    rising = list(np.linspace(1, 3, 10))
    assert verdict(reports(rising), 9).startswith("still improving: the last epochs gained 0.44 nats")
    flat = [1.0, 2.0, 2.5, *[2.6] * 7]
    assert verdict(reports(flat), 9) == "converged: held-out likelihood has settled; epoch 9 is kept"
    falling = [1.0, 2.0, 1.5, 1.0]
    assert verdict(reports(falling), 1).startswith("overfitting: held-out likelihood fell by 1.00 nats")
    assert "after epoch 1, whose weights are kept" in verdict(reports(falling), 1)


def test_epochs_follow_the_number_of_particles() -> None:
    config = ManifoldConfig()
    assert [config.n_epochs(n) for n in (100, 20_000, 131_899, 10**6)] == [30, 30, 11, 5]
    assert ManifoldConfig(epochs=7).n_epochs(10**6) == 7
    with pytest.raises(InputError, match="-n 0: expected at least 1"):
        ManifoldConfig(epochs=0)
