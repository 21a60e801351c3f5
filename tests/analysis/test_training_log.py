import numpy as np

from cryoscape.analysis.training_log import parse_cryodrgn_log, parse_metrics

LOG = """\
2026-01-02 10:00:00     # [Train Epoch: 1/3] [100/500 images] gen loss=9.1, kld=0.1, beta=0.1, loss=9.2
# =====> Epoch: 1 Average gen loss = 12.345678, KLD = 4.500000, total loss = 12.500000; Finished in 0:00:10
# =====> Epoch: 2 Average gen loss = 1.02, KLD = 1e-05, total loss = 103.25; Finished in 0:00:10
(INFO) (train_vae.py) (02-Jan-26 10:00:00) # =====> Epoch: 2 Average gen loss = 1.01, KLD = 5.5, \
total loss = 1.02; Finished in 0:00:10
# =====> Epoch: 3 Average gen loss = nan, KLD = nan, total loss = nan; Finished in 0:00:10
"""


def test_cryodrgn_log_with_losses_of_many_digits_and_a_restart():
    curve = parse_cryodrgn_log(LOG)
    np.testing.assert_array_equal(curve.epoch, [1, 2, 3])
    np.testing.assert_allclose(curve.total, [12.5, 1.02, np.nan])
    np.testing.assert_allclose(curve.reconstruction, [12.345678, 1.01, np.nan])
    np.testing.assert_allclose(curve.kl, [4.5, 5.5, np.nan])


def test_metrics_keep_the_last_record_and_survive_a_cut_line():
    lines = [
        '{"epoch": 0, "total_loss": 1.5, "reconstruction_loss": 1.4, "kl_divergence": 3}',
        '{"note": "no epoch"}',
        '{"epoch": 1, "total_loss": 1.2}',
        '{"epoch": 0, "total_loss": 1.25}',
        '{"epoch": 2, "total_lo',
    ]
    curve = parse_metrics(lines)
    np.testing.assert_array_equal(curve.epoch, [0, 1])
    np.testing.assert_allclose(curve.total, [1.25, 1.2])
    assert np.isnan(curve.kl).all()


def test_nothing_to_read():
    assert len(parse_cryodrgn_log("")) == 0
    assert len(parse_metrics([])) == 0
