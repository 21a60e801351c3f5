"""Files of a run of the curved subspace: networks of each epoch, and maps and evidence that epochs share.

``weights.E.pkl`` holds both networks and the state of training after epoch E, about a megabyte. The maps are
in ``bases.0.pkl`` (the subspace's) and ``bases.1.pkl`` (made again), which the weights name by their round.
``evidence.pkl`` is what images say of the latter, so that a run goes on without reading them again.
"""

from pathlib import Path
from typing import Any

import torch

from cryoscape.engines.linear_maps import (
    LinearMaps,
    LinearWeights,
    read_linear_maps,
    read_tensors,
    write_linear_maps,
    write_tensors,
)
from cryoscape.engines.manifold.maps import MapsRead
from cryoscape.engines.manifold.networks import Gaussians
from cryoscape.engines.manifold.trainer import Trainer
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.states.evidence import Evidence
from cryoscape.errors import InputError, TrainingError
from cryoscape.io.legacy_pickle import write_array_pickle

EVIDENCE_FILE = "evidence.pkl"
_READINGS = ("learning", "placing")


def bases_file(which: int) -> str:
    """Name of the file of mean and bases of a round: 0 the subspace's, 1 those made again."""
    return f"bases.{which}.pkl"


def save_epoch(folder: Path, epoch: int, trainer: Trainer, posterior: Gaussians) -> Path:
    """Write z.E.pkl, then weights.E.pkl, so that weights present mean that the epoch is whole.

    Raises
    ------
    TrainingError : the networks are not finite; nothing is written.
    """
    run = RunFolder(folder)
    path, averaged = run.weights(epoch), trainer.averaged.state()
    for part in averaged.values():
        for name, tensor in part.items():
            if not bool(torch.isfinite(tensor).all()):
                raise TrainingError(f"{path}: not written, {name} is not finite")
    variance = torch.diagonal(posterior.covariance, dim1=1, dim2=2)
    write_array_pickle(
        run.latents(epoch), posterior.mean.cpu().numpy(), variance.clamp(min=1e-30).log().cpu().numpy()
    )
    write_tensors(path, {**averaged, "training": trainer.state()})
    return path


def read_epoch(path: Path) -> dict[str, Any]:
    """Content of a weights.E.pkl; tensors and plain values only, nothing is executed.

    Raises
    ------
    InputError : missing or damaged, or the weights of another engine.
    """
    content = read_tensors(path)
    decoder, training = content.get("decoder"), content.get("training")
    whole = isinstance(decoder, dict) and {"linear.weight", "network.0.weight"} <= set(decoder)
    if not whole or not isinstance(training, dict) or "round" not in training or "encoder" not in content:
        raise InputError(
            f"{path}: no networks on a subspace found; give the weights.E.pkl of a run of train_vae whose "
            "config.yaml lies beside it"
        )
    return content


def write_maps(folder: Path, which: int, read: MapsRead, noise_variance: torch.Tensor) -> None:
    """Write the bases of a round and, of those made again, the evidence; the bases last.

    Raises
    ------
    TrainingError : maps or noise are not finite.
    """
    if which:
        content = {name: _evidence_tensors(getattr(read, name)) for name in _READINGS}
        write_tensors(folder / EVIDENCE_FILE, {**content, "misfit": read.misfit.cpu()})
    write_linear_maps(folder / bases_file(which), LinearWeights(read.maps, noise_variance))


def read_maps(folder: Path, device: torch.device) -> MapsRead:
    """Maps that were made again, and what images say of them.

    Raises
    ------
    InputError : missing or damaged.
    """
    path = folder / EVIDENCE_FILE
    if not path.is_file():
        raise InputError(f"{path}: is missing, without it the run cannot go on; train anew with --force")
    content = read_tensors(path)
    maps: LinearMaps = read_linear_maps(folder / bases_file(1), 1.0).maps
    learning, placing = (
        Evidence(one["gram"].to(device), one["image"].to(device), float(one["contrast_spread"]))
        for one in (content[name] for name in _READINGS)
    )
    return MapsRead(maps, learning, placing, content["misfit"].to(device))


def _evidence_tensors(evidence: Evidence) -> dict[str, Any]:
    return {
        "gram": evidence.gram.cpu(),
        "image": evidence.image.cpu(),
        "contrast_spread": evidence.contrast_spread,
    }
