"""Networks between latents u ~ N(0, I) and coefficients of the bases, both a correction to the linear map."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from cryoscape.engines.manifold.config import ManifoldConfig

_LARGEST_LOG_SCALE = 3.0
"""Of a posterior: far wider than the prior, which no image asks for."""


@dataclass(frozen=True)
class Gaussians:
    """A normal distribution of u for each particle, u = mean + scale e with e ~ N(0, I).

    Attributes
    ----------
    mean : (B, d)
    scale : (B, d, d), lower triangular with a positive diagonal.
    """

    mean: Float[Tensor, "b d"]
    scale: Float[Tensor, "b d d"]

    @property
    def log_determinant(self) -> Float[Tensor, " b"]:
        """Logarithm of the determinant of ``scale``."""
        return torch.diagonal(self.scale, dim1=1, dim2=2).log().sum(1)

    @property
    def covariance(self) -> Float[Tensor, "b d d"]:
        """Covariance of u."""
        return self.scale @ self.scale.transpose(1, 2)

    def kl(self) -> Float[Tensor, " b"]:
        """Divergence from the prior N(0, I), in nats."""
        square = self.mean.square().sum(1) + self.scale.square().sum((1, 2)) - self.mean.shape[1]
        return square / 2 - self.log_determinant

    def at(self, noise: Float[Tensor, "s b d"]) -> Float[Tensor, "s b d"]:
        """Points for given e."""
        moved: Tensor = torch.einsum("bij,sbj->sbi", self.scale, noise)
        return self.mean + moved


class Decoder(nn.Module):
    """Coefficients c(u) (..., q): a linear map of u (..., d) plus a network of it.

    It starts as the linear subspace in its first d components, with a small network beside.
    """

    def __init__(self, zdim: int, n_bases: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(zdim, n_bases, bias=False)
        self.network = _network(zdim, n_bases, width)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(n_bases, zdim))

    def forward(self, u: Float[Tensor, "*any d"]) -> Float[Tensor, "*any q"]:
        """Coefficients at u."""
        coefficients: Tensor = self.linear(u) + self.network(u)
        return coefficients


class Encoder(nn.Module):
    """Posterior of u from the subspace's exact posterior of the coefficients.

    It starts as that posterior's first d components, without their correlations.

    Parameters
    ----------
    features
        (N, 2 q + 1) of all particles, see `linear.features`; what they are centred and scaled by is kept.
    """

    centre: Tensor
    spread: Tensor

    def __init__(
        self, zdim: int, n_bases: int, width: int, features: Float[Tensor, "n f"] | None = None
    ) -> None:
        super().__init__()
        n_features = 2 * n_bases + 1
        self.zdim, self.n_bases = zdim, n_bases
        self.linear = nn.Linear(n_bases, zdim, bias=False)
        self.network = _network(n_features, 2 * zdim + zdim * (zdim - 1) // 2, width)
        self.register_buffer("centre", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        if features is not None:
            self.standardise(features)
        with torch.no_grad():
            self.linear.weight.copy_(torch.eye(zdim, n_bases))

    def standardise(self, features: Float[Tensor, "n f"]) -> None:
        """Centre and scale by what these features are."""
        self.centre = features.mean(0)
        self.spread = features.std(0, correction=0).clamp(min=1e-6)

    def forward(self, features: Float[Tensor, "b f"]) -> Gaussians:
        """Posteriors of some particles."""
        d, q = self.zdim, self.n_bases
        found = self.network((features - self.centre) / self.spread)
        mean = self.linear(features[:, :q]) + found[:, :d]
        start = features[:, q : q + min(d, q)] / 2
        log_scale = found[:, d : 2 * d] + nn.functional.pad(start, (0, d - start.shape[1]))
        log_scale = log_scale.clamp(max=_LARGEST_LOG_SCALE)
        unit = torch.eye(d, device=features.device).repeat(len(features), 1, 1)
        i, j = torch.tril_indices(d, d, -1, device=features.device)
        unit[:, i, j] = found[:, 2 * d :]
        return Gaussians(mean, log_scale.exp()[:, :, None] * unit)


@dataclass(frozen=True, eq=False)
class Networks:
    """Encoder and decoder."""

    encoder: Encoder
    decoder: Decoder

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of both."""
        yield from self.encoder.parameters()
        yield from self.decoder.parameters()

    def state(self) -> dict[str, Any]:
        """Tensors of both on the CPU, by name; copies, where they are there already."""
        return {
            name: {key: value.detach().cpu().clone() for key, value in part.state_dict().items()}
            for name, part in (("encoder", self.encoder), ("decoder", self.decoder))
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over tensors; RuntimeError or KeyError where they do not fit."""
        self.encoder.load_state_dict(state["encoder"])
        self.decoder.load_state_dict(state["decoder"])


def new_networks(config: ManifoldConfig, n_bases: int, features: Float[Tensor, "n f"]) -> Networks:
    """Encoder and decoder as they start: the linear subspace, seeded."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(config.zdim, n_bases, config.width, features)
        decoder = Decoder(config.zdim, n_bases, config.width)
    return Networks(encoder.to(features.device), decoder.to(features.device))


def _network(n_in: int, n_out: int, width: int) -> nn.Sequential:
    """Two hidden layers; small at first, so that what stands beside it decides."""
    layers = nn.Sequential(
        nn.Linear(n_in, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, n_out)
    )
    last = layers[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return layers
