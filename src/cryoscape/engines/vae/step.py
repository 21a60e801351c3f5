"""Reconstruction loss and its gradients in one pass over cache-sized chunks.

The loss is a sum over pixels, so forward and backward of a chunk need nothing of the others: activations of a
chunk (a few images on a CPU, many on a GPU) are used while still in cache and never stored. The encoding has
no gradient, z enters as one vector per image, half precision copies of the weights are made once per call,
and identity skips are folded into them. Gradients equal those of ordinary autograd.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from cryoscape.engines.vae.fused_network import FusedNetwork, GradientSums, Workspace
from cryoscape.engines.vae.model import Decoder

CPU_ROWS = 5000
"""Pixels a chunk at width 256: activations of all layers stay within the last-level cache."""
GPU_ROWS = 1 << 18


@dataclass(frozen=True)
class SliceBatch:
    """Images and what is known of them.

    Attributes
    ----------
    target : (b, P) complex, centred half-plane coefficients.
    ctf : (b, P).
    rotations : (b, 3, 3), volume frequency = k @ R.
    points : (P, 2), (kx, ky)/D.
    """

    target: Tensor
    ctf: Float[Tensor, "b p"]
    rotations: Float[Tensor, "b 3 3"]
    points: Float[Tensor, "p 2"]


def has_fast_step(decoder: Decoder) -> bool:
    """Whether the fused step covers this decoder (domain fourier, no skip at the ends)."""
    layers = decoder.decoder.main
    return (
        decoder.domain == "fourier" and isinstance(layers[0], nn.Linear) and isinstance(layers[-1], nn.Linear)
    )


def reconstruction_loss(
    decoder: Decoder,
    z: Float[Tensor, "b z"],
    batch: SliceBatch,
    compute_dtype: torch.dtype,
    workspace: Workspace | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, " b"]]:
    """Mean loss of a batch (differentiable in z and the decoder's parameters) and the loss of each image.

    Parameters
    ----------
    compute_dtype : of the matrix products of the network; phases, loss and sums stay in z's precision.
    workspace : buffers to reuse between calls.
    """
    parameters = [p for layer in decoder.decoder.main for p in layer.parameters()]
    loss, per_image = _ReconstructionLoss.apply(  # type: ignore[no-untyped-call]
        decoder, batch, compute_dtype, workspace or Workspace(), torch.is_grad_enabled(), z, *parameters
    )
    return loss, per_image


class _ReconstructionLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        decoder: Decoder,
        batch: SliceBatch,
        dtype: torch.dtype,
        work: Workspace,
        with_gradients: bool,
        z: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, Tensor]:
        network = FusedNetwork(decoder, z, dtype)
        per_image = z.new_zeros(len(z))
        n_pixels = batch.points.shape[0]
        sums = GradientSums(network, len(z)) if with_gradients else None
        rows = _rows_per_chunk(network, z)
        # Sized for a full chunk even where this batch is smaller, so that the last batch does not reallocate.
        work.prepare(network, rows if n_pixels >= rows else rows // n_pixels * n_pixels)
        for images, pixels in _chunks(len(z), n_pixels, rows):
            _run_chunk(network, batch, images, pixels, work, per_image, sums)
        per_image /= n_pixels
        if sums is not None:
            ctx.save_for_backward(*sums.finish(network, z))
        ctx.mark_non_differentiable(per_image)
        return per_image.mean(), per_image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, None, None, None, *(grad_loss * gradient for gradient in ctx.saved_tensors))


def _rows_per_chunk(network: FusedNetwork, z: Tensor) -> int:
    if z.device.type != "cpu":
        return GPU_ROWS
    return max(512, CPU_ROWS * 256 // max(network.width, 256))


def _chunks(n_images: int, n_pixels: int, rows: int) -> Iterator[tuple[slice, slice]]:
    if n_pixels >= rows:
        parts = -(-n_pixels // rows)
        step = -(-n_pixels // parts)
        for image in range(n_images):
            for start in range(0, n_pixels, step):
                yield slice(image, image + 1), slice(start, min(start + step, n_pixels))
        return
    step = rows // n_pixels
    for image in range(0, n_images, step):
        yield slice(image, min(image + step, n_images)), slice(0, n_pixels)


def _encode(network: FusedNetwork, points: Tensor, rotations: Tensor, out: Tensor) -> Float[Tensor, "b p"]:
    """Write sines and cosines of the points turned into the half space; returns the sign that turned them."""
    # The product with the frequencies is separable: phase = kx (R f)_x + ky (R f)_y. Double precision for the
    # tiny product, so that reduced-precision float32 modes of a GPU cannot touch the phases.
    plane = (rotations[:, :2].double() @ network.frequencies.T).to(points.dtype)  # (b, 2, f)
    kx, ky = points[:, 0], points[:, 1]
    depth = kx * rotations[:, 0, 2, None] + ky * rotations[:, 1, 2, None]  # (b, p)
    sign = 1 - 2 * (depth > 0).to(points.dtype)
    phase = torch.addcmul(
        (sign * ky)[..., None] * plane[:, 1:], (sign * kx)[..., None], plane[:, :1]
    ).flatten(0, 1)  # (b p, f)
    half = phase.shape[1]
    out[:, :half].copy_(torch.sin(phase))
    out[:, half:].copy_(phase.cos_())
    return sign


def _forward(network: FusedNetwork, n_images: int, images: slice, x: Tensor, layers: list[Tensor]) -> None:
    bias = network.image_bias[images]
    if n_images == 1:
        torch.addmm(bias[0], x, network.encoding_weight_t, out=layers[0])
    else:
        torch.mm(x, network.encoding_weight_t, out=layers[0])
        layers[0].view(n_images, -1, network.width).add_(bias[:, None])
    _activate(layers[0], network.slope)
    for i, (_, b) in enumerate(network.hidden):
        torch.addmm(b, layers[i], network.hidden_t[i], out=layers[i + 1])
        _activate(layers[i + 1], network.slope)


def _activate(x: Tensor, slope: float) -> None:
    if slope:
        functional.leaky_relu(x, slope, inplace=True)
    else:
        x.relu_()


def _activation_gradient_(gradient: Tensor, output: Tensor, slope: float) -> None:
    """Multiply the gradient in place by the activation's slope, read from the sign of its output."""
    if slope:
        gradient.mul_(torch.where(output > 0, gradient.new_ones(()), gradient.new_tensor(slope)))
    else:
        torch.ops.aten.threshold_backward.grad_input(gradient, output, 0, grad_input=gradient)


def _run_chunk(
    network: FusedNetwork,
    batch: SliceBatch,
    images: slice,
    pixels: slice,
    work: Workspace,
    per_image: Tensor,
    sums: GradientSums | None,
) -> None:
    points = batch.points[pixels]
    n_images = images.stop - images.start
    rows = n_images * len(points)
    x = work.features[:rows]
    layers = [layer[:rows] for layer in work.layers]
    sign = _encode(network, points, batch.rotations[images], x)
    _forward(network, n_images, images, x, layers)
    top = layers[len(network.hidden)]
    out = functional.linear(top, network.last_weight, network.last_bias).to(per_image.dtype)
    out = out.view(n_images, -1, 2)
    ctf = batch.ctf[images, pixels].to(per_image.dtype)
    target = batch.target[images, pixels]
    residual_re = out[..., 0] * ctf - target.real
    residual_im = out[..., 1] * (ctf * sign) - target.imag
    per_image[images] += (residual_re.square() + residual_im.square()).sum(-1)
    if sums is None:
        return
    scale = 2.0 / (sums.n_images * batch.points.shape[0])
    gradient = torch.stack([residual_re * ctf * scale, residual_im * (ctf * sign) * scale], dim=-1)
    _backward(network, gradient.view(rows, 2), images, x, layers, sums)


def _backward(
    network: FusedNetwork,
    gradient: Tensor,
    images: slice,
    x: Tensor,
    layers: list[Tensor],
    sums: GradientSums,
) -> None:
    n_hidden = len(network.hidden)
    current, spare = layers[n_hidden + 1], layers[n_hidden + 2]
    sums.last_bias += gradient.sum(0)
    low = gradient.to(network.dtype)
    sums.last_weight += low.T @ layers[n_hidden]
    torch.mm(low, network.last_weight, out=current)
    for i in range(n_hidden - 1, -1, -1):
        _activation_gradient_(current, layers[i + 1], network.slope)
        weight_sum, bias_sum = sums.hidden[i]
        weight_sum += current.T @ layers[i]
        bias_sum += current.sum(0)
        torch.mm(current, network.hidden[i][0], out=spare)
        current, spare = spare, current
    _activation_gradient_(current, layers[0], network.slope)
    sums.encoding_weight += current.T @ x
    sums.image_bias[images] += current.view(images.stop - images.start, -1, network.width).sum(1)
