import numpy as np
import pytest
import torch
import yaml

from cryoscape.engines.vae.checkpoint import load_volume_source, read_checkpoint
from cryoscape.engines.vae.config import ModelConfig
from cryoscape.engines.vae.model import Decoder
from cryoscape.engines.vae.volumes import VaeVolumeSource, sphere_points
from cryoscape.engines.volume_source import VolumeSource
from cryoscape.errors import InputError


def volume_in_numpy(state, z, box, train_box, norm, hartley):
    """The published definition, plane by plane over the whole sphere, written out in numpy (float64)."""
    weights = {n: t.double().numpy() for n, t in state.items()}
    frequencies = weights["rand_freqs"] * (train_box / 2)
    last = max(int(n.split(".")[2]) for n in weights if n.startswith("decoder.main."))
    axis = np.arange(-(box // 2), box // 2)
    cube = np.zeros((box, box, box)) + norm[0]
    for iz, kz in enumerate(axis):
        ky, kx = np.meshgrid(axis, axis, indexing="ij")
        inside = kx**2 + ky**2 + kz**2 <= (box // 2) ** 2
        points = np.stack([kx[inside], ky[inside], np.full(inside.sum(), kz)], axis=1) / train_box
        mirrored = (points[:, 2] > 0) & (not hartley)
        phase = np.where(mirrored[:, None], -points, points) @ frequencies.T
        x = np.concatenate([np.sin(phase), np.cos(phase), np.tile(z, (len(points), 1))], axis=1)
        for i in range(0, last + 1, 2):
            name = f"decoder.main.{i}"
            if f"{name}.linear.weight" in weights:
                x = x @ weights[f"{name}.linear.weight"].T + weights[f"{name}.linear.bias"] + x
            else:
                x = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
            if i < last:
                x = np.maximum(x, 0)
        value = x[:, 0] if hartley else x[:, 0] - np.where(mirrored, -x[:, 1], x[:, 1])
        cube[iz][inside] = value * norm[1] + norm[0]
    transform = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(cube)))
    return (transform.real - transform.imag) / box**3


@pytest.mark.parametrize("box", [16, 12])
@pytest.mark.parametrize("domain", ["fourier", "hartley"])
def test_volumes_equal_the_published_definition(box, domain):
    torch.manual_seed(0)
    decoder = Decoder(ModelConfig(16, 3, dec_dim=12, dec_layers=2, domain=domain)).requires_grad_(False)
    source = VaeVolumeSource(decoder, 16, 16, 2.0, (0.1, 5.0))
    if box != 16:
        source = source.downsampled(box)
    assert isinstance(source, VolumeSource)
    assert source.pixel_size_angstrom == pytest.approx(2.0 * 16 / box)
    z = np.array([[0.3, -1.0, 2.0], [0.0, 0.5, 0.0]], dtype=np.float32)
    found = source.volumes(z)
    for i in range(2):
        expected = volume_in_numpy(decoder.state_dict(), z[i], box, 16, (0.1, 5.0), domain == "hartley")
        np.testing.assert_allclose(found[i], expected, atol=1e-5 * np.abs(expected).max())


def test_shipped_upstream_weights_give_the_maps_of_an_independent_evaluation(shared_data):
    folder = shared_data / "particles"
    config = yaml.safe_load((folder / "het_config.yaml").read_text())
    source = load_volume_source(folder / "het_weights.pkl", config, 1.5, device="cpu")
    assert (source.zdim, source.box_size) == (8, 64)
    z = np.linspace(-1, 1, 8, dtype=np.float32)
    volume = source.volumes(z[None])[0]
    assert volume.shape == (64, 64, 64)
    assert np.isfinite(volume).all()
    state = read_checkpoint(folder / "het_weights.pkl")["model_state_dict"]
    decoder = {n.removeprefix("decoder."): t for n, t in state.items() if n.startswith("decoder.")}
    expected = volume_in_numpy(decoder, z, 64, 64, (0.0, 94.4266), hartley=True)
    np.testing.assert_allclose(volume, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_half_of_the_sphere_is_enough():
    whole, half = sphere_points(16, half=False), sphere_points(16, half=True)
    assert len(half) < 0.6 * len(whole)
    assert {tuple(p) for p in half.tolist()} <= {tuple(p) for p in whole.tolist()}


def test_latents_of_the_wrong_width_or_not_finite_are_refused():
    source = VaeVolumeSource(Decoder(ModelConfig(8, 3, dec_dim=8, dec_layers=1)), 8, 8, 1.0, (0.0, 1.0))
    with pytest.raises(InputError, match="expected 3 columns"):
        source.volumes(np.zeros((1, 2), np.float32))
    with pytest.raises(InputError, match="row 1 is not finite"):
        source.volumes(np.array([[0, 0, 0], [0, np.nan, 0]], np.float32))
    with pytest.raises(InputError, match="-d 10"):
        source.downsampled(10)
