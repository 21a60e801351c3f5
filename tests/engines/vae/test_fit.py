import copy

import numpy as np
import pytest
import torch

from cryoscape.engines.vae.config import ModelConfig, TrainConfig
from cryoscape.engines.vae.fit import BAD_STEPS_IN_A_ROW, Trainer, run_epochs
from cryoscape.engines.vae.volumes import VaeVolumeSource
from cryoscape.errors import TrainingError
from cryoscape.particles.fourier_store import FourierStore

from .conftest import BOX

CPU = torch.device("cpu")
SMALL = ModelConfig(BOX, 2, enc_layers=1, enc_dim=16, dec_layers=1, dec_dim=16)
SETTINGS = TrainConfig(batch_size=8, seed=5, amp=False)


def weights(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.network.parameters()])


def with_bad_images(store, rows):
    values = store.coefficients.copy()
    values[rows] = np.nan
    return FourierStore(store.plane, values, store.scale, store.particles, store.config)


@pytest.mark.parametrize("amp", [False, True])
def test_learns_two_states_and_their_maps(blobs, amp):
    torch.set_num_threads(1)
    model = ModelConfig(BOX, 1, enc_dim=64, enc_layers=2, dec_dim=64, dec_layers=2, feat_sigma=2.0)
    trainer = Trainer(blobs.store, model, TrainConfig(batch_size=8, learning_rate=2e-3, seed=0, amp=amp), CPU)
    losses = [result.generative_loss for result in run_epochs(trainer, 19)]
    # Signal and noise have half of the power each: what is left is the noise.
    assert losses[0] > 0.6
    assert losses[-1] == pytest.approx(0.5, abs=0.015)
    z = trainer.encode().mean[:, 0]
    order = np.argsort(z)
    ranked = blobs.state[order]
    # Probability that a particle of one state lies above one of the other (area under the ROC curve).
    ones = ranked.sum()
    above = np.cumsum(1 - ranked)[ranked == 1].sum() / (ones * (len(z) - ones))
    assert max(above, 1 - above) > 0.95
    source = VaeVolumeSource(trainer.network.decoder, BOX, BOX, 1.0, (0.0, blobs.store.scale))
    means = np.array([[z[blobs.state == s].mean()] for s in (0, 1)], dtype=np.float32)
    maps = source.volumes(means)
    truth = np.stack([blobs.volume(s) for s in (0, 1)])

    def correlation(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    assert correlation(maps[0], truth[0]) > 0.9
    assert correlation(maps[1], truth[1]) > 0.9
    assert correlation(maps[1] - maps[0], truth[1] - truth[0]) > 0.8


def test_resume_is_exact_at_an_epoch_and_within_one(few_blobs, tmp_path):
    whole = Trainer(few_blobs.store, SMALL, SETTINGS, CPU)
    results = list(run_epochs(whole, 2))
    stopped = Trainer(few_blobs.store, SMALL, SETTINGS, CPU)
    stopped.run_epoch()
    seen = []
    part = stopped.run_epoch(update=seen.append, should_stop=lambda: len(seen) == 3)
    assert not part.finished
    assert seen == [8, 16, 24]
    torch.save(stopped.state(), tmp_path / "state.pkl")
    resumed = Trainer(few_blobs.store, SMALL, TrainConfig(batch_size=8, seed=5, amp=False), CPU)
    resumed.restore(torch.load(tmp_path / "state.pkl", weights_only=True))
    again = list(run_epochs(resumed, 2))
    assert torch.equal(weights(whole), weights(resumed))
    assert [r.total_loss for r in again] == [r.total_loss for r in results[1:]]
    np.testing.assert_array_equal(whole.encode().mean, resumed.encode().mean)


def test_same_seed_same_run_other_seed_other_run(few_blobs):
    runs = []
    for seed in (1, 1, 2):
        trainer = Trainer(few_blobs.store, SMALL, TrainConfig(batch_size=8, seed=seed, amp=False), CPU)
        trainer.run_epoch()
        runs.append(weights(trainer))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


def test_upstream_weights_without_random_state_continue_with_the_next_epoch(few_blobs):
    first = Trainer(few_blobs.store, SMALL, SETTINGS, CPU)
    first.run_epoch()
    state = first.state()
    upstream = {key: state[key] for key in ("model_state_dict", "optimizer_state_dict")} | {"epoch": 7}
    other = Trainer(few_blobs.store, SMALL, SETTINGS, CPU)
    other.restore(copy.deepcopy(upstream))
    assert other.epoch == 8
    assert torch.equal(weights(other), weights(first))


def test_one_bad_image_costs_one_batch(few_blobs):
    store = with_bad_images(few_blobs.store, [11])
    trainer = Trainer(store, SMALL, SETTINGS, CPU)
    result = trainer.run_epoch()
    assert 11 in result.skipped_rows
    assert len(result.skipped_rows) == 8
    assert np.isfinite(result.total_loss)
    assert bool(torch.isfinite(weights(trainer)).all())


def test_lasting_trouble_restores_halves_the_rate_then_stops_and_names_rows(few_blobs):
    store = with_bad_images(few_blobs.store, slice(None))
    trainer = Trainer(store, SMALL, SETTINGS, CPU)
    before = weights(trainer)
    with pytest.raises(TrainingError, match="particle rows in them") as caught:
        list(run_epochs(trainer, 5))
    assert BAD_STEPS_IN_A_ROW == 5
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(5e-5)
    assert torch.equal(weights(trainer), before)
    # Rows are those of the original input (even numbers in this set).
    numbers = [int(t) for t in str(caught.value).split("[")[1].split("]")[0].split(",")]
    assert all(number % 2 == 0 for number in numbers)


def test_losses_are_weighted_by_batch_size(few_blobs):
    """With a learning rate of 0 the epoch's KL is the plain mean over images."""
    trainer = Trainer(
        few_blobs.store, SMALL, TrainConfig(batch_size=8, learning_rate=0.0, seed=5, amp=False), CPU
    )
    result = trainer.run_epoch()
    encoded = trainer.encode(batch_size=7, with_losses=True)
    assert result.kl == pytest.approx(float(encoded.kl.mean()), rel=1e-5)


def test_norm_override_rescales_images(few_blobs):
    store = few_blobs.store
    plain = Trainer(store, SMALL, SETTINGS, CPU)
    scaled = Trainer(store, SMALL, SETTINGS, CPU, norm_std=2 * store.scale)
    rows = torch.arange(3)
    torch.testing.assert_close(scaled._batch(rows).target * 2, plain._batch(rows).target)


def test_hartley_decoder_trains(few_blobs):
    model = ModelConfig(BOX, 2, enc_layers=1, enc_dim=16, dec_layers=1, dec_dim=16, domain="hartley")
    trainer = Trainer(few_blobs.store, model, TrainConfig(batch_size=8, learning_rate=1e-2, seed=5), CPU)
    losses = [result.generative_loss for result in run_epochs(trainer, 5)]
    assert losses[-1] < losses[0]
