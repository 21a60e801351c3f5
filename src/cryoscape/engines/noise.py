"""Noise of the images: one variance a shell, the scale of every engine's likelihood.

Images are windowed, which takes away noise outside the window but no signal. A coefficient's variance falls
by the mean square of the window, and neighbours become correlated; what an image tells of the particle stays
what it was. So the variance that counts is that of unwindowed images: the measured one divided by the
window's mean square.
"""

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

from cryoscape.particles.fourier_store import FourierStore
from cryoscape.particles.preprocessing import window_of

_SAMPLE = 2000


def window_power(store: FourierStore) -> float:
    """Mean square of the window that the images of a store were multiplied with."""
    return float((window_of(store.config, store.box_size) ** 2).mean())


def pixel_shells(store: FourierStore) -> Int[Tensor, " p"]:
    """Shell of each pixel of the half plane: its radius rounded."""
    return store.plane.radius.round().long()


def shell_means(values: Float[Tensor, " p"], shells: Int[Tensor, " p"]) -> Float[Tensor, " s"]:
    """Mean over the pixels of each shell; shell 0, which has none, as shell 1."""
    n = int(shells.max()) + 1
    sums = torch.zeros(n, dtype=values.dtype, device=values.device).index_add_(0, shells, values)
    count = torch.bincount(shells, minlength=n).clamp(min=1)
    means = sums / count
    means[0] = means[min(1, n - 1)]
    return means


def total_power(store: FourierStore, sample: int = _SAMPLE) -> Float[Tensor, " s"]:
    """Power of the images a shell, signal included, of a regular sample: the first guess of the noise."""
    rows = torch.arange(0, store.n, max(1, store.n // sample))[:sample]
    power = torch.zeros(store.plane.n_pixels, device=store.device)
    for part in torch.split(rows, 256):
        power += store.batch(part).abs().square().sum(0)
    return shell_means(power / len(rows), pixel_shells(store)) / window_power(store)


def residual_power(
    images: Complex[Tensor, "b p"],
    slices: Complex[Tensor, "b p n"],
    t: Float[Tensor, "b n"],
    tt: Float[Tensor, "b n n"],
) -> Float[Tensor, " p"]:
    """Mean over images of E |image - slices . x|^2, with E x = t and E x x^T = tt.

    Parameters
    ----------
    slices
        Of mean and bases, times the CTF.
    """
    cross = torch.einsum("bpn,bn->bp", slices, t.to(slices.dtype))
    model = torch.einsum("bpm,bmn,bpn->bp", slices.conj(), tt.to(slices.dtype), slices).real
    return (images.abs() ** 2 - 2 * (images.conj() * cross).real + model).mean(0)
