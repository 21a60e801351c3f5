import itertools

import numpy as np
import pytest
import torch

from cryoscape.engines.vae import step
from cryoscape.engines.vae.config import ModelConfig
from cryoscape.engines.vae.model import (
    HetVae,
    encoder_pixel_order,
    encoder_pixels,
    kl_divergence,
    reconstruction_loss_plain,
)
from cryoscape.physics.grids import half_plane

BOX, N = 12, 5


def problem(pe_type="gaussian", activation="relu", dtype=torch.float64, **sizes):
    torch.manual_seed(3)
    config = ModelConfig(BOX, 3, dec_dim=24, enc_dim=20, pe_type=pe_type, activation=activation, **sizes)
    plane = half_plane(BOX)
    network = HetVae(config, 2 * plane.n_pixels).to(dtype)
    complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
    batch = step.SliceBatch(
        target=torch.randn(N, plane.n_pixels, dtype=complex_dtype),
        ctf=torch.randn(N, plane.n_pixels, dtype=dtype),
        rotations=torch.linalg.qr(torch.randn(N, 3, 3, dtype=dtype))[0],
        points=plane.k.to(dtype) / BOX,
    )
    return network, batch, torch.randn(N, 3, dtype=dtype, requires_grad=True)


def plain(network, z, b):
    return reconstruction_loss_plain(network.decoder, z, b.target, b.ctf, b.rotations, b.points)


@pytest.mark.parametrize("rows", [7, 60, 10_000], ids=["parts of an image", "an image", "the batch"])
@pytest.mark.parametrize(
    ("pe_type", "activation"),
    [("gaussian", "relu"), ("gaussian", "leaky_relu"), ("geom_lowf", "relu"), ("linear_lowf", "relu")],
)
def test_fast_step_equals_autograd_in_double_precision(monkeypatch, rows, pe_type, activation):
    network, batch, z = problem(pe_type, activation)
    parameters = [p for p in network.decoder.parameters() if p.requires_grad]
    expected = plain(network, z, batch)
    wanted = torch.autograd.grad(expected.mean(), [z, *parameters])
    monkeypatch.setattr(step, "_rows_per_chunk", lambda *_: rows)
    loss, per_image = step.reconstruction_loss(network.decoder, z, batch, torch.float64)
    torch.testing.assert_close(per_image, expected.detach())
    for found, want in zip(torch.autograd.grad(loss, [z, *parameters]), wanted, strict=True):
        torch.testing.assert_close(found, want, rtol=1e-10, atol=1e-14)


def test_half_precision_gradients_point_the_same_way():
    network, batch, z = problem(dtype=torch.float32)
    parameters = [p for p in network.decoder.parameters() if p.requires_grad]
    wanted = torch.autograd.grad(plain(network, z, batch).mean(), [z, *parameters])
    loss, _ = step.reconstruction_loss(network.decoder, z, batch, torch.bfloat16)
    for found, want in zip(torch.autograd.grad(loss, [z, *parameters]), wanted, strict=True):
        cosine = torch.nn.functional.cosine_similarity(found.flatten(), want.flatten(), dim=0)
        assert cosine > 0.999


def test_without_gradients_only_losses_are_computed():
    network, batch, z = problem()
    with torch.no_grad():
        loss, per_image = step.reconstruction_loss(network.decoder, z, batch, torch.float64)
    assert not loss.requires_grad
    torch.testing.assert_close(per_image, plain(network, z, batch).detach())


def test_loss_equals_mean_square_of_the_hartley_difference_over_the_full_circle():
    """Independent evaluation in numpy: both k and -k, each through the network's definition."""
    network, batch, z = problem()
    k = batch.points.numpy()
    weights = {name: p.detach().numpy() for name, p in network.decoder.decoder.named_parameters()}
    frequencies = network.decoder.rand_freqs.detach().numpy() * BOX / 2

    def hartley(point, latent):
        mirrored = point[2] > 0
        phase = frequencies @ (-point if mirrored else point)
        x = np.concatenate([np.sin(phase), np.cos(phase), latent])
        x = np.maximum(weights["main.0.weight"] @ x + weights["main.0.bias"], 0)
        for i in (2, 4, 6):
            x = np.maximum(weights[f"main.{i}.linear.weight"] @ x + weights[f"main.{i}.linear.bias"] + x, 0)
        re, im = weights["main.8.weight"] @ x + weights["main.8.bias"]
        return re + im if mirrored else re - im

    for i in range(2):
        total = 0.0
        latent, rotation = z[i].detach().numpy(), batch.rotations[i].numpy()
        for p, sign in itertools.product(range(len(k)), (1, -1)):
            point = sign * np.array([*k[p], 0.0]) @ rotation
            target = batch.target[i, p].numpy()
            wanted = target.real - sign * target.imag
            total += (hartley(point, latent) * batch.ctf[i, p].item() - wanted) ** 2
        assert plain(network, z, batch)[i].item() == pytest.approx(total / (2 * len(k)), rel=1e-10)


def test_hartley_decoder_is_trained_by_autograd():
    network, batch, z = problem(domain="hartley")
    assert not step.has_fast_step(network.decoder)
    plain(network, z, batch).mean().backward()
    assert z.grad is not None
    assert float(z.grad.abs().max()) > 0


def test_encoder_pixels_run_row_by_row_over_the_circle():
    plane = half_plane(BOX)
    order = encoder_pixel_order(plane, 4)
    lattice = [(x, y) for y in range(-6, 7) for x in range(-6, 7) if 0 < x * x + y * y <= 16]
    k = torch.cat([plane.k, -plane.k])[order]
    assert [tuple(row) for row in k.tolist()] == lattice


@pytest.mark.parametrize(("box", "count"), [(64, 3208), (128, 12852)])
def test_full_circle_has_the_published_number_of_pixels(box, count):
    assert len(encoder_pixel_order(half_plane(box), box // 2)) == count


def test_encoder_sees_phase_flipped_hartley_pixels():
    plane = half_plane(8)
    generator = np.random.default_rng(0)
    image = generator.normal(size=(8, 8))
    transform = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image)))
    k = plane.k.numpy()
    inside = (np.abs(k) < 4).all(1)  # the Nyquist row is on one side only
    coefficients = np.where(inside, transform[(k[:, 1] + 4) % 8, (k[:, 0] + 4) % 8], 0)
    ctf = generator.choice([-1.0, 1.0], size=len(k))
    order = encoder_pixel_order(plane, 3)
    found = encoder_pixels(torch.tensor(coefficients)[None], torch.tensor(ctf)[None], order)[0].numpy()
    hartley = transform.real - transform.imag
    signs = dict(zip(map(tuple, k.tolist()), ctf, strict=True))
    expected = [
        hartley[y + 4, x + 4] * signs.get((x, y), signs.get((-x, -y)))
        for y in range(-3, 4)
        for x in range(-3, 4)
        if 0 < x * x + y * y <= 9
    ]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_kl_divergence_closed_form():
    mean, logvar = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    assert kl_divergence(mean, logvar).item() == pytest.approx(0.5 + 0.5 * (np.exp(2) - 1 - 2))
