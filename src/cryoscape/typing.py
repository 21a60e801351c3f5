"""Array aliases and choices shared by all rooms; imports neither torch nor pandas."""

from os import PathLike
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

PathLikeStr = str | PathLike[str]

Image = Float[np.ndarray, "y x"]
Images = Float[np.ndarray, "n y x"]
Volume = Float[np.ndarray, "z y x"]
Volumes = Float[np.ndarray, "n z y x"]
Rotations = Float[np.ndarray, "n 3 3"]
"""Volume frequency of an image frequency k = (kx, ky, 0) is k @ R (RELION's Euler matrix)."""
Shifts = Float[np.ndarray, "n 2"]
"""(x, y); the image content moves by +shift to be centred."""
Latents = Float[np.ndarray, "n zdim"]
Rows = Int[np.ndarray, " n"]
"""Row numbers of the original input, 0-based."""

Device = Literal["auto", "cpu", "cuda", "mps"]
