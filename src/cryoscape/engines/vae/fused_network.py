"""A decoder's weights as the fused step uses them, the buffers it works in, and the sums it collects."""

import torch
from torch import Tensor, nn

from cryoscape.engines.vae.model import Decoder, ResidualLinear


class FusedNetwork:
    """Weights of the decoder cast once, identity skips folded in, the first layer split in encoding and z."""

    def __init__(self, decoder: Decoder, z: Tensor, dtype: torch.dtype) -> None:
        layers = [layer for layer in decoder.decoder.main if any(True for _ in layer.parameters())]
        first, *hidden, last = layers
        self.order = decoder.order
        self.n_features = len(self.order)
        self.frequencies = decoder.frequencies.detach().to(torch.float64)
        self.dtype = dtype
        self.slope = next(
            (a.negative_slope for a in decoder.decoder.main if isinstance(a, nn.LeakyReLU)), 0.0
        )
        weight, first_bias = _weight_and_bias(first)
        self.encoding_weight = weight[:, self.order].to(dtype)  # (h, 6F)
        self.z_weight = weight[:, self.n_features :]  # (h, zdim)
        self.image_bias = (z.detach() @ self.z_weight.T + first_bias).to(dtype)  # (b, h)
        self.hidden = [_folded(layer, dtype) for layer in hidden]
        self.last_weight, self.last_bias = (part.to(dtype) for part in _weight_and_bias(last))
        # Row-major "in x out" copies: the CPU kernels are quicker on them than on transposed views.
        self.encoding_weight_t = self.encoding_weight.T.contiguous()
        self.hidden_t = [weight.T.contiguous() for weight, _ in self.hidden]

    @property
    def width(self) -> int:
        """Width of the hidden layers."""
        return self.encoding_weight.shape[0]


def _folded(layer: nn.Module, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    weight, bias = _weight_and_bias(layer)
    if isinstance(layer, ResidualLinear):
        weight = weight + torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    return weight.to(dtype), bias.to(dtype)


def _weight_and_bias(layer: nn.Module) -> tuple[Tensor, Tensor]:
    weight, bias = layer.parameters()
    return weight.detach(), bias.detach()


class Workspace:
    """Buffers of one chunk, kept from step to step: fresh pages cost a twentieth of a step."""

    def __init__(self) -> None:
        self.features = torch.empty(0)
        self.layers: list[Tensor] = []

    def prepare(self, network: FusedNetwork, rows: int) -> None:
        """Make room for chunks of this many rows."""
        device, dtype = network.encoding_weight.device, network.dtype
        shapes = [(rows, network.n_features)] + [(rows, network.width)] * (len(network.hidden) + 3)
        held = [self.features, *self.layers]
        wanted = [(shape, dtype, device) for shape in shapes]
        if [(tuple(t.shape), t.dtype, t.device) for t in held] != wanted:
            self.features, *self.layers = (torch.empty(s, dtype=dtype, device=device) for s in shapes)


class GradientSums:
    """Sums over chunks, in the precision of the parameters."""

    def __init__(self, network: FusedNetwork, n_images: int) -> None:
        def zeros(like: Tensor) -> Tensor:
            return torch.zeros(like.shape, dtype=network.z_weight.dtype, device=like.device)

        self.n_images = n_images
        self.encoding_weight = zeros(network.encoding_weight)
        self.image_bias = zeros(network.image_bias)
        self.hidden = [(zeros(weight), zeros(bias)) for weight, bias in network.hidden]
        self.last_weight, self.last_bias = zeros(network.last_weight), zeros(network.last_bias)

    def finish(self, network: FusedNetwork, z: Tensor) -> list[Tensor]:
        """Gradients of z and of all parameters in the order of the network."""
        first = torch.empty(network.width, network.n_features + z.shape[1], dtype=z.dtype, device=z.device)
        first[:, network.order] = self.encoding_weight
        first[:, network.n_features :] = self.image_bias.T @ z
        middle = [gradient for pair in self.hidden for gradient in pair]
        return [
            self.image_bias @ network.z_weight,
            first,
            self.image_bias.sum(0),
            *middle,
            self.last_weight,
            self.last_bias,
        ]
