"""Plot of one particle's contrast transfer."""

import numpy as np
from matplotlib.figure import Figure


def plot_ctf(image: np.ndarray, frequencies: np.ndarray, curve: np.ndarray, title: str) -> Figure:
    """CTF of one particle as an image and as a curve along x.

    Parameters
    ----------
    image
        (D, D), centred, axes [ky, kx], from -Nyquist to Nyquist.
    frequencies, curve
        (n,) in 1/Å and the CTF there.
    title
        One line above both.
    """
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.4))
    nyquist = float(frequencies[-1])
    extent = (-nyquist, nyquist, -nyquist, nyquist)
    picture = left.imshow(image, cmap="RdBu", vmin=-1, vmax=1, origin="lower", extent=extent)
    left.set(xlabel="kx (1/Å)", ylabel="ky (1/Å)")
    figure.colorbar(picture, ax=left, shrink=0.8)
    right.axhline(0, color="0.7", linewidth=0.8)
    right.plot(frequencies, curve, color="C0", linewidth=1)
    right.set(xlabel="spatial frequency (1/Å)", ylabel="CTF", ylim=(-1.05, 1.05), xlim=(0, nyquist))
    figure.suptitle(title)
    return figure
