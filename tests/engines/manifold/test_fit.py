"""Training: a curve is found that the linear model cannot hold, and when to stop is told in words."""

import math

import numpy as np
import pytest
import torch

from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.fit import encode, fit_manifold, verdict, weigh
from cryoscape.engines.manifold.likelihood import moments
from cryoscape.engines.manifold.networks import Networks
from cryoscape.engines.manifold.trainer import TELLING, EpochReport, Trainer, one_cycle
from cryoscape.engines.states.evidence import Evidence
from cryoscape.errors import InputError
from engines.manifold.conftest import Known, draw_evidence, on_a_circle

SMALL = ManifoldConfig(zdim=2, epochs=25, width=64, seed=3)


def bayes(known: Known, rows: torch.Tensor) -> float:
    """Mean log-likelihood of images if it is known that coefficients lie anywhere on the circle."""
    angle = torch.arange(720) * (2 * math.pi / 720)
    points = math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], dim=1)
    each = moments(known.evidence.of(rows)).fit(points[:, None].expand(-1, len(rows), -1)).log_likelihood
    return float((torch.logsumexp(each, 0) - math.log(720)).mean())


def trained(evidence: Evidence, config: ManifoldConfig) -> tuple[Trainer, list[EpochReport]]:
    """Training in which better maps say the same of the images."""
    trainer, reports = Trainer(evidence, config), list[EpochReport]()
    assert fit_manifold(trainer, lambda networks: evidence, reports.append)
    return trainer, reports


def linear_log_likelihood(trainer: Trainer) -> float:
    return float(trainer.linear.log_likelihood[trainer.held_out].mean())


def test_a_circle_is_found() -> None:
    known = on_a_circle(2000)
    trainer, reports = trained(known.evidence, SMALL)
    best, linear = bayes(known, trainer.held_out), linear_log_likelihood(trainer)
    assert linear + 0.3 < best
    gained = reports[-1].held_out_log_likelihood - linear
    assert 0.65 < gained / (best - linear) < 1.02
    # maps at the latents of particles lie on the circle
    posterior = encode(trainer.linear.features, trainer.averaged.encoder)
    sampled = weigh(known.evidence, posterior, trainer.averaged, 20, 0)
    with torch.no_grad():
        radius = trainer.averaged.decoder(posterior.mean).norm(dim=1)
    assert abs(float(radius.median()) - math.sqrt(2)) < 0.15
    held_out = sampled.log_likelihood[trainer.held_out]
    assert float(held_out.mean()) == pytest.approx(reports[-1].held_out_log_likelihood, abs=0.1)


def test_where_the_linear_model_is_true_nothing_is_gained_or_lost() -> None:
    z = np.random.default_rng(0).normal(size=(2000, 2))
    known = draw_evidence(z, np.array([60.0, 30.0, 30.0]))
    trainer, reports = trained(known.evidence, SMALL)
    assert reports[-1].held_out_log_likelihood == pytest.approx(linear_log_likelihood(trainer), abs=0.1)


def test_training_is_seeded_and_holds_particles_out() -> None:
    known = on_a_circle(400)
    short = ManifoldConfig(zdim=2, epochs=2, width=16, seed=1)
    values = [[one.held_out_log_likelihood for one in trained(known.evidence, short)[1]] for _ in range(2)]
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
    trainer.epoch()
    other.epoch()
    for a, b in zip(trainer.networks.decoder.parameters(), other.networks.decoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_maps_are_made_again_once_with_the_best_networks() -> None:
    known, better = on_a_circle(400), on_a_circle(400, power=60.0)
    trainer = Trainer(known.evidence, ManifoldConfig(zdim=2, epochs=5, width=16, seed=1))
    asked, rounds = list[Networks](), list[int]()

    def renew(networks: Networks) -> Evidence:
        assert trainer.number == 2
        asked.append(networks)
        return better.evidence

    assert fit_manifold(trainer, renew, lambda report: rounds.append(report.round))
    assert (rounds, asked) == ([0, 0, 1, 1, 1], [trainer.kept])
    assert trainer.evidence is better.evidence
    assert len(trainer.history) == 3, "likelihoods of other maps are not compared with these"
    before = Trainer(known.evidence, SMALL).linear.features
    assert float(trainer.linear.features[:, 2:4].mean()) < float(before[:, 2:4].mean()), (
        "better maps say more"
    )


def test_where_likelihood_had_fallen_the_best_networks_go_on() -> None:
    few = on_a_circle(60)
    hasty = ManifoldConfig(zdim=2, epochs=60, learning_rate=0.02, width=64)
    trainer = Trainer(few.evidence, hasty)
    for _ in range(36):
        trainer.epoch()
    assert max(trainer.history) - trainer.history[-1] > TELLING
    best = max(trainer.history)
    trainer.renew(few.evidence)
    assert float(trainer.evaluate().log_likelihood.mean()) == pytest.approx(best, abs=1e-4)


def test_training_goes_on_exactly() -> None:
    known = on_a_circle(300)
    config = ManifoldConfig(zdim=2, epochs=6, width=16, seed=1)
    whole, reports = trained(known.evidence, config)
    for stop_after in (2, 5):
        stopped, seen = Trainer(known.evidence, config), list[EpochReport]()

        def report(one: EpochReport, seen: list[EpochReport] = seen) -> None:
            seen.append(one)

        def stop(seen: list[EpochReport] = seen, after: int = stop_after) -> bool:
            return len(seen) == after

        assert not fit_manifold(stopped, lambda networks: known.evidence, report, stop)
        again = Trainer(known.evidence, config)
        again.restore(stopped.averaged.state(), stopped.state())
        assert fit_manifold(again, lambda networks: known.evidence, report)
        for one, other in zip(seen, reports, strict=True):
            assert one.held_out_log_likelihood == other.held_out_log_likelihood
            assert one.learning_rate == other.learning_rate
        for a, b in zip(whole.averaged.parameters(), again.averaged.parameters(), strict=True):
            assert torch.equal(a, b)


def test_training_ends_when_nothing_is_gained_unless_epochs_are_given() -> None:
    few = on_a_circle(60)
    hasty = ManifoldConfig(zdim=2, patience=3, learning_rate=0.02, width=64, renewal_share=0.1)
    trainer, reports = trained(few.evidence, hasty)
    assert len(reports) == trainer.kept_epoch + 4 < trainer.n_epochs == 30
    assert verdict(trainer.history, 3, all_kept=False).startswith("overfitting")
    given = ManifoldConfig(zdim=2, epochs=30, patience=3, learning_rate=0.02, width=64, renewal_share=0.1)
    assert len(trained(few.evidence, given)[1]) == 30


def test_rate_and_momentum_follow_one_cycle() -> None:
    """As the schedule of torch, which counts steps; the middle of its fall is at 55 % of all."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimiser = torch.optim.Adam([parameter], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.0, total_steps=1001, pct_start=0.1)
    for step in range(1000):
        group = optimiser.param_groups[0]
        rate, momentum = one_cycle(step / 1000)
        assert rate == pytest.approx(group["lr"], abs=0.01)
        assert momentum == pytest.approx(group["betas"][0], abs=0.002)
        optimiser.step()
        schedule.step()
    assert one_cycle(0.55)[0] == pytest.approx(0.5, abs=1e-5)


def test_verdicts() -> None:
    rising = list(np.linspace(1, 3, 10))
    assert verdict(rising, 0, False).startswith("still improving: the last epochs gained 0.44 nats")
    assert "(-n above 28)" in verdict(rising, 18, False)
    flat = [1.0, 2.0, 2.5, *[2.6] * 7]
    assert verdict(flat, 0, False) == "converged: held-out likelihood has settled; epoch 9 is kept"
    assert verdict(flat, 20, True) == "converged: held-out likelihood has settled; use epoch 29"
    falling = [1.0, 2.0, 1.5, 1.0]
    fell = "overfitting: held-out likelihood fell by 1.00 nats an image after epoch 11"
    assert verdict(falling, 10, True) == f"{fell}; use epoch 11"
    assert verdict(falling, 10, False) == f"{fell}; epoch 11 is kept"


def test_epochs_follow_the_number_of_particles() -> None:
    config = ManifoldConfig()
    assert [config.n_epochs(n) for n in (100, 20_000, 131_899, 10**6)] == [30, 30, 11, 5]
    assert ManifoldConfig(epochs=7).n_epochs(10**6) == 7
    with pytest.raises(InputError, match="-n 0: expected at least 1"):
        ManifoldConfig(epochs=0)


def test_maps_are_made_again_before_the_last_epoch() -> None:
    assert [ManifoldConfig().renewed_before(n) for n in (1, 2, 3, 5, 30)] == [0, 1, 1, 2, 12]
