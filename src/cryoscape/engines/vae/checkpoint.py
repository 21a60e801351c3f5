"""Weights on disk: the published archive layout, read without executing anything, written atomically."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cryoscape.engines.vae.config import ModelConfig, model_config_from_upstream
from cryoscape.engines.vae.model import Decoder, HetVae
from cryoscape.engines.vae.volumes import VaeVolumeSource
from cryoscape.errors import InputError, TrainingError
from cryoscape.io.atomic import replace_when_done


def pick_device(device: str = "auto") -> torch.device:
    """The device meant by "auto" (cuda, then mps, then cpu) or named; InputError where it is not there."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {device}: no CUDA GPU is usable here; use --device cpu or auto")
    if device == "mps" and not torch.backends.mps.is_available():
        raise InputError("--device mps: no Metal GPU is usable here; use --device cpu or auto")
    return torch.device(device)


def _numpy_globals() -> list[Any]:
    """What old checkpoints hold beside tensors: numpy arrays and scalars (their normalisation)."""
    reconstruct = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    return [
        (reconstruct, "numpy.core.multiarray._reconstruct"),
        (reconstruct, "numpy._core.multiarray._reconstruct"),
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.ndarray,
        np.dtype,
        type(np.dtype(np.float32)),
        type(np.dtype(np.float64)),
        type(np.dtype(np.int64)),
    ]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a weights.E.pkl, tensors on the CPU; unpickles tensors and numpy arrays only.

    Raises InputError where the file is missing, cut short, damaged or holds other things.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such weights file; give a weights.E.pkl of a training run")
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, OSError, ValueError, KeyError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path}: not a readable weights file, damaged or cut short ({first_line}); use another epoch"
        ) from error
    if not isinstance(content, dict) or "model_state_dict" not in content:
        raise InputError(f"{path}: holds no model_state_dict; expected the weights.E.pkl of a train_vae run")
    return content


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a weights file under a temporary name, then rename; refuses non-finite weights."""
    for name, tensor in content["model_state_dict"].items():
        if not bool(torch.isfinite(tensor).all()):
            raise TrainingError(f"{path}: not written, {name} is not finite")
    with replace_when_done(path) as temporary:
        torch.save(content, temporary)


def n_encoder_pixels(state: dict[str, torch.Tensor]) -> int:
    """Inputs of the encoder that a state dict belongs to."""
    weight = state.get("encoder.main.0.weight")
    return 0 if weight is None else int(weight.shape[1])


def load_decoder(path: Path, model: ModelConfig) -> tuple[Decoder, dict[str, Any]]:
    """Decoder with weights from a file, and the file's content.

    Raises InputError naming what differs where the weights are of another architecture.
    """
    content = read_checkpoint(path)
    decoder = Decoder(model)
    state = content["model_state_dict"]
    own = {name.removeprefix("decoder."): t for name, t in state.items() if name.startswith("decoder.")}
    check_fits(path, own, decoder.state_dict(), model)
    decoder.load_state_dict(own)
    decoder.eval()
    return decoder.requires_grad_(False), content


def load_model(path: Path, model: ModelConfig) -> tuple[HetVae, dict[str, Any]]:
    """Encoder and decoder with weights from a file, and the file's content; errors as `load_decoder`."""
    content = read_checkpoint(path)
    state = content["model_state_dict"]
    n_pixels = n_encoder_pixels(state)
    if not n_pixels:
        raise InputError(f"{path}: holds no plain image encoder; only eval_vol works with these weights")
    network = HetVae(model, n_pixels)
    check_fits(path, state, network.state_dict(), model)
    network.load_state_dict(state)
    return network, content


def check_fits(
    path: Path, found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], model: ModelConfig
) -> None:
    """Raise InputError naming the first differences between two state dicts, in the user's terms."""
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    if shapes == wanted:
        return
    different = [
        f"{name} is {shapes.get(name, 'absent')}, expected {wanted.get(name, 'absent')}"
        for name in sorted(shapes.keys() | wanted.keys())
        if shapes.get(name) != wanted.get(name)
    ]
    raise InputError(
        f"{path}: weights do not fit this model (box {model.box_size}, zdim {model.zdim}, "
        f"encoder {model.enc_dim}x{model.enc_layers}, decoder {model.dec_dim}x{model.dec_layers}, "
        f"{model.pe_type} encoding): {'; '.join(different[:3])}; use the configuration they were trained with"
    )


def load_volume_source(
    weights: Path, config: dict[str, Any], pixel_size_angstrom: float, device: str = "auto"
) -> VaeVolumeSource:
    """Maps of a checkpoint, given the run's configuration in upstream's layout.

    Raises InputError as `load_decoder`.
    """
    model = model_config_from_upstream(config)
    decoder, _ = load_decoder(weights, model)
    norm = config.get("dataset_args", {}).get("norm") or (0.0, 1.0)
    return VaeVolumeSource(
        decoder=decoder.to(pick_device(device)),
        training_box=model.box_size,
        box_size=model.box_size,
        training_pixel_size_angstrom=pixel_size_angstrom,
        norm=(float(norm[0]), float(norm[1])),
    )
