"""Encoder and decoder networks; parameter names and orders are upstream's, so weights are interchangeable."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from cryoscape.engines.vae.config import Activation, ModelConfig, PositionalEncoding
from cryoscape.physics.grids import HalfPlane


class ResidualLinear(nn.Module):
    """x -> W x + b + x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last axis."""
        out: Tensor = self.linear(x) + x
        return out


class ResidualMlp(nn.Module):
    """Input layer, n residual hidden layers, output layer; activation after all but the last.

    `main` holds layers and activations alternating, so parameters are main.0.weight, main.2.linear.weight...
    """

    def __init__(self, n_in: int, n_layers: int, width: int, n_out: int, activation: Activation) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in [n_in] + [width] * n_layers:
            layers += [_layer(size, width), nn.LeakyReLU() if activation == "leaky_relu" else nn.ReLU()]
        layers.append(_layer(width, n_out))
        self.main = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to the last axis."""
        out: Tensor = self.main(x)
        return out


def _layer(n_in: int, n_out: int) -> nn.Module:
    return ResidualLinear(n_in) if n_in == n_out else nn.Linear(n_in, n_out)


def axis_frequencies(pe_type: PositionalEncoding, box_size: int, n: int) -> Float[Tensor, " n"]:
    """Radians a unit coordinate (the box's frequency range is one unit) of the n frequencies of one axis."""
    half = box_size / 2
    steps = torch.arange(n, dtype=torch.float64) / max(n - 1, 1)
    if pe_type == "linear_lowf":
        return torch.arange(1, n + 1, dtype=torch.float64)
    first, last = {
        "geom_ft": (box_size * math.pi, 2 * math.pi),
        "geom_full": (box_size * math.pi, 1.0),
        "geom_lowf": (half, 1.0),
        "geom_nohighf": (half, 2 * math.pi),
    }[pe_type]
    return first * (last / first) ** steps


class Decoder(nn.Module):
    """Volume transform at points: sines and cosines of linear phases, then z, into a residual MLP.

    Points are frequencies over the box size, within [-0.5, 0.5]. Two outputs (Re, Im) in domain "fourier",
    where only points with third coordinate <= 0 are evaluated and the others follow by Hermitian symmetry;
    one in "hartley" (Re - Im).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n = config.n_frequencies_per_axis
        self.zdim = config.zdim
        self.domain = config.domain
        self.scale = config.box_size / 2
        if config.pe_type == "gaussian":
            # A frozen parameter, not a buffer: upstream's optimiser state counts it.
            self.rand_freqs = nn.Parameter(config.feat_sigma * torch.randn(3 * n, 3), requires_grad=False)
            order = torch.arange(6 * n)
        else:
            matrix = torch.kron(
                torch.eye(3, dtype=torch.float64),
                axis_frequencies(config.pe_type, config.box_size, n)[:, None],
            )
            self.register_buffer("fixed_frequencies", matrix.float(), persistent=False)
            # Upstream's columns run axis by axis: n sines then n cosines of each.
            column = torch.arange(3)[:, None] * 2 * n + torch.arange(n)
            order = torch.cat([column.flatten(), column.flatten() + n])
        self.register_buffer("column_order", order, persistent=False)
        n_out = 2 if config.domain == "fourier" else 1
        self.decoder = ResidualMlp(
            6 * n + config.zdim, config.dec_layers, config.dec_dim, n_out, config.activation
        )

    @property
    def frequencies(self) -> Float[Tensor, "f 3"]:
        """Radians a unit coordinate of each of the 3 pe_dim phases."""
        if hasattr(self, "rand_freqs"):
            return self.rand_freqs * self.scale
        fixed = self.fixed_frequencies
        assert isinstance(fixed, Tensor)
        return fixed

    @property
    def order(self) -> Int[Tensor, " g"]:
        """Column of the first layer's weight behind each feature (all sines, then all cosines)."""
        order = self.column_order
        assert isinstance(order, Tensor)
        return order

    def forward(self, points: Float[Tensor, "b p 3"], z: Float[Tensor, "b z"]) -> Float[Tensor, "b p c"]:
        """Raw outputs at points as they are (no symmetry used); the plain definition of the network."""
        phase = points @ self.frequencies.to(points.dtype).T
        features = torch.cat([phase.sin(), phase.cos()], dim=-1)
        features = features[..., torch.argsort(self.order)]  # (b, p, 6 pe_dim) in upstream's columns
        out: Tensor = self.decoder(
            torch.cat([features, z[:, None, :].expand(-1, points.shape[1], -1).to(features.dtype)], dim=-1)
        )
        return out

    def transform(self, points: Float[Tensor, "b p 3"], z: Float[Tensor, "b z"]) -> Float[Tensor, "b p 2"]:
        """Re and Im of the volume's Fourier transform at points."""
        if self.domain == "hartley":
            here, there = self(points, z)[..., 0], self(-points, z)[..., 0]
            return torch.stack([(here + there) / 2, (there - here) / 2], dim=-1)
        sign = 1 - 2 * (points[..., 2:] > 0).to(points.dtype)
        out: Tensor = self(points * sign, z)
        return torch.cat([out[..., :1], out[..., 1:] * sign], dim=-1)


class HetVae(nn.Module):
    """Encoder and decoder of one model."""

    def __init__(self, config: ModelConfig, n_encoder_pixels: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = ResidualMlp(
            n_encoder_pixels, config.enc_layers, config.enc_dim, 2 * config.zdim, config.activation
        )
        self.decoder = Decoder(config)

    def infer(self, pixels: Float[Tensor, "b n"]) -> tuple[Float[Tensor, "b z"], Float[Tensor, "b z"]]:
        """Mean and log variance of z from phase-flipped Hartley pixels."""
        mean, logvar = self.encoder(pixels).split(self.config.zdim, dim=-1)
        return mean, logvar


def encoder_pixel_order(plane: HalfPlane, radius: int) -> Int[Tensor, " n"]:
    """Which Hartley pixel is the encoder's input 0, 1, ...

    Inputs run row by row (y, then x) over the lattice points with 0 < |k| <= radius. Entry i < P is pixel i
    of the half plane, entry P + i its mirror -k (the order of `hartley_from_half_plane`).
    """
    k = torch.cat([plane.k, -plane.k])
    inside = torch.nonzero(k.square().sum(-1) <= radius * radius).flatten()
    row_major = k[inside, 1] * (2 * plane.box_size) + k[inside, 0]
    return inside[torch.argsort(row_major)]


def encoder_pixels(
    coefficients: Tensor, ctf: Float[Tensor, "b p"], order: Int[Tensor, " n"]
) -> Float[Tensor, "b n"]:
    """Encoder input: Hartley transform of images (b, P) times the sign of their CTF, in this order."""
    flip = ctf.sign()
    re, im = coefficients.real * flip, coefficients.imag * flip
    return torch.cat([re - im, re + im], dim=-1).index_select(-1, order)


def reconstruction_loss_plain(
    decoder: Decoder,
    z: Float[Tensor, "b z"],
    target: Tensor,
    ctf: Float[Tensor, "b p"],
    rotations: Float[Tensor, "b 3 3"],
    points: Float[Tensor, "p 2"],
) -> Float[Tensor, " b"]:
    """Mean over the half plane of |CTF * prediction - image|^2, per image, by ordinary autograd.

    Equals the mean square of the Hartley difference over the full circle. `points` are (kx, ky)/D.
    """
    flat = functional.pad(points, (0, 1))
    predicted = central_slices(decoder, flat, rotations, z)
    residual = predicted * ctf[..., None] - torch.view_as_real(target)
    return residual.square().sum(-1).mean(-1)


def central_slices(decoder: Decoder, flat: Tensor, rotations: Tensor, z: Tensor) -> Tensor:
    """Re and Im on central slices: points (P, 3) with third coordinate 0, turned by k @ R."""
    return decoder.transform(torch.einsum("pi,bij->bpj", flat, rotations), z)


def kl_divergence(mean: Float[Tensor, "b z"], logvar: Float[Tensor, "b z"]) -> Float[Tensor, " b"]:
    """KL divergence of N(mean, e^logvar) from N(0, 1), per image."""
    return -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum(-1)
