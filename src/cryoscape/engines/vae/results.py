"""What training and encoding return, and where a run stands."""

from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass(frozen=True)
class EpochResult:
    """Means over the images of one epoch.

    Attributes
    ----------
    generative_loss : mean |dF|^2 a Fourier pixel in normalised units.
    kl : KL divergence, nats an image.
    total_loss : what was minimised.
    images_per_second : of the training steps alone.
    skipped_rows : positions of images in batches whose loss was not finite (not trained on).
    finished : False where a stop was asked for before the last batch.
    """

    epoch: int
    generative_loss: float
    kl: float
    total_loss: float
    beta: float
    images_per_second: float
    seconds: float
    skipped_rows: tuple[int, ...]
    finished: bool


@dataclass(frozen=True)
class Encoded:
    """Latents of all images and the losses that go with them."""

    mean: np.ndarray
    logvar: np.ndarray
    generative_loss: np.ndarray | None = None
    kl: np.ndarray | None = None


def machine_has_bfloat16(device: torch.device) -> bool:
    """Whether bf16 matrix products run in hardware, so that they are faster than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        checks = (
            getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
        return any(bool(check()) for check in checks if check is not None)
    return False


@dataclass
class Progress:
    """Where training stands; all that a resumed run needs beside weights and optimiser."""

    epoch: int = 0
    batch: int = 0
    bad_in_a_row: int = 0
    restored: bool = False
    losses: list[float] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    seconds: float = 0.0
