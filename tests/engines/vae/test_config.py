import math

import pytest
import torch

from cryoscape.engines.vae.config import (
    ModelConfig,
    beta_at,
    check_model_config,
    model_args_for_upstream,
    model_config_from_upstream,
    parse_beta,
)
from cryoscape.engines.vae.model import Decoder, axis_frequencies
from cryoscape.errors import InputError


@pytest.mark.parametrize(
    ("beta", "images", "expected"),
    [
        (None, 0, 0.125),
        (2.0, 1e9, 2.0),
        ("a", 0, 0.001),
        ("a", 5e5, 7.5005),
        ("a", 2e6, 15.0),
        ("b", 1e5, 5.0),
        ("b", 5e5, 10.0),
        ("c", 8e5, 18.0),
        ("d", 3e6, 11.5),
    ],
)
def test_beta_schedules(beta, images, expected):
    assert beta_at(beta, 8, images) == pytest.approx(expected)


def test_schedule_needs_control():
    with pytest.raises(InputError, match="--beta-control"):
        parse_beta("a", None)
    assert parse_beta("a", 1.0) == "a"
    assert parse_beta("0.5", None) == 0.5
    with pytest.raises(InputError, match="expected a number"):
        parse_beta("z", None)


@pytest.mark.parametrize(
    ("kind", "first", "last"),
    [
        ("geom_ft", 64 * math.pi, 2 * math.pi),
        ("geom_full", 64 * math.pi, 1.0),
        ("geom_lowf", 32.0, 1.0),
        ("geom_nohighf", 32.0, 2 * math.pi),
        ("linear_lowf", 1.0, 32.0),
    ],
)
def test_frequencies_of_each_encoding(kind, first, last):
    frequencies = axis_frequencies(kind, 64, 32)
    assert frequencies[0].item() == pytest.approx(first)
    assert frequencies[-1].item() == pytest.approx(last)
    steps = frequencies.diff() if kind == "linear_lowf" else frequencies[1:] / frequencies[:-1]
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))


def test_geometric_features_run_axis_by_axis():
    """A decoder whose first layer picks one feature shows which one it is."""
    config = ModelConfig(8, 1, dec_layers=1, dec_dim=4, pe_type="linear_lowf", pe_dim=3)
    decoder = Decoder(config)
    captured = {}
    decoder.decoder.main[0].register_forward_pre_hook(lambda _, x: captured.update(x=x[0]))
    point = torch.tensor([[[0.1, -0.2, 0.3]]])
    decoder(point, torch.tensor([[7.0]]))
    expected = []
    for x in (0.1, -0.2, 0.3):
        expected += [math.sin(n * x) for n in (1, 2, 3)] + [math.cos(n * x) for n in (1, 2, 3)]
    torch.testing.assert_close(captured["x"][0, 0], torch.tensor([*expected, 7.0]))


def test_upstream_configuration_round_trip():
    model = ModelConfig(
        64, 8, enc_dim=128, dec_dim=64, pe_type="geom_lowf", enc_mask=20, activation="leaky_relu"
    )
    config = {"lattice_args": {"D": 65}, "model_args": model_args_for_upstream(model)}
    assert model_args_for_upstream(model_config_from_upstream(config)) == config["model_args"]


def test_unknown_encoding_is_refused():
    with pytest.raises(InputError, match="pe_type none"):
        model_config_from_upstream(
            {"lattice_args": {"D": 65}, "model_args": {"zdim": 1, "players": 1, "pdim": 8, "pe_type": "none"}}
        )


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ModelConfig(63, 8), "odd"),
        (ModelConfig(64, 0), "--zdim"),
        (ModelConfig(64, 8, enc_mask=40), "--enc-mask 40"),
        (ModelConfig(64, 8, enc_mask=-1), "--enc-mask -1"),
    ],
)
def test_impossible_models_are_refused(model, message):
    with pytest.raises(InputError, match=message):
        check_model_config(model)
