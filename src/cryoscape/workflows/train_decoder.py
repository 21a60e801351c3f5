"""What `train_vae` trains: which decoder is meant, and which flags have a meaning with it."""

import logging
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Literal

from cryoscape.engines.distributed import process_group
from cryoscape.engines.run_folder import read_run_config
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.workflows import train_manifold, train_subspace, train_vae
from cryoscape.workflows.train_manifold_plan import TrainManifoldRequest, holds_configuration
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_plan import TrainVaeRequest

logger = logging.getLogger("cryoscape")

Decoder = Literal["mlp", "subspace+mlp", "subspace"]
_SHARED = (
    "particles",
    "outdir",
    "poses",
    "ctf",
    "ind",
    "datadir",
    "zdim",
    "invert_data",
    "lazy",
    "seed",
    "load",
    "max_threads",
    "device",
    "force",
    "command",
)
"""Of a request for the paper's model, what means the same for all decoders."""
_FLAGS = {
    "learning_rate": "--lr",
    "weight_decay": "--wd",
    "window": "--no-window",
    "window_radius": "--window-r",
    "amp": "--amp",
    "norm": "--norm",
}
"""Names of flags that are not those of their fields."""


def train_decoder(
    request: TrainVaeRequest, decoder: Decoder | None, epochs: int | None, subspace: Path | None
) -> None:
    """Train with the decoder that is asked for.

    Parameters
    ----------
    request : for the paper's model; others take from it what they share.
    decoder, epochs, subspace : as given on the command line; None where they were not.

    Raises
    ------
    InputError : a flag that has no meaning with this decoder, and what the training refuses.
    """
    with process_group():
        chosen = choose_decoder(request, subspace) if decoder is None else decoder
        if chosen == "mlp":
            if subspace is not None:
                raise InputError(
                    f"--from {subspace}: needs --decoder subspace+mlp, which starts from a subspace"
                )
            train_vae.train_vae(request)
        elif chosen == "subspace":
            train_subspace.train_subspace(subspace_alone(request, epochs, subspace))
        else:
            train_manifold.train_manifold(manifold_request(request, epochs, subspace))


def choose_decoder(request: TrainVaeRequest, subspace: Path | None) -> Decoder:
    """The decoder where none was named: `subspace+mlp`, unless flags or the run to continue are the paper's.

    Raises
    ------
    InputError : a subspace to start from, and a flag that only the paper's model has.
    """
    flag = _flag_of_paper(request, ("checkpoint",))
    if flag is not None and subspace is not None:
        raise InputError(f"{flag}: has no meaning with --from {subspace}; leave one of them out")
    if flag is not None:
        logger.info("%s is of the paper's model, which is trained: --decoder mlp", flag)
        return "mlp"
    if request.load is not None:
        folder = request.outdir if request.load == "latest" else Path(request.load).parent
        if holds_configuration(folder) and engine_name(read_run_config(folder)) == "vae":
            logger.info("the run in %s is of the paper's model: --decoder mlp", folder)
            return "mlp"
    return "subspace+mlp"


def subspace_alone(request: TrainVaeRequest, epochs: int | None, start: Path | None) -> TrainSubspaceRequest:
    """What `--decoder subspace` asks for, in terms of train_subspace.

    Raises
    ------
    InputError : a flag that has no meaning with this decoder.
    """
    _refuse_flags(request, "subspace")
    for flag, value in (("-n", epochs), ("--from", start)):
        if value is not None:
            raise InputError(f"{flag} {value}: has no meaning with --decoder subspace; leave it out")
    return TrainSubspaceRequest(**{name: getattr(request, name) for name in _SHARED})


def manifold_request(
    request: TrainVaeRequest, epochs: int | None, start: Path | None
) -> TrainManifoldRequest:
    """What `--decoder subspace+mlp` asks for.

    Raises
    ------
    InputError : a flag that has no meaning with this decoder.
    """
    _refuse_flags(request, "subspace+mlp", ("checkpoint",))
    same = {name: getattr(request, name) for name in (*_SHARED, "checkpoint")}
    return TrainManifoldRequest(**same, epochs=epochs, subspace=start)


def _refuse_flags(request: TrainVaeRequest, decoder: Decoder, known: tuple[str, ...] = ()) -> None:
    flag = _flag_of_paper(request, known)
    if flag is not None:
        raise InputError(
            f"{flag}: has no meaning with --decoder {decoder}; leave it out, or train with --decoder mlp"
        )


def _flag_of_paper(request: TrainVaeRequest, known: tuple[str, ...]) -> str | None:
    """The first flag that was given and only the paper's model has.

    Parameters
    ----------
    known : fields that the other decoder has too, beside those all share.
    """
    for field in fields(request):
        # epochs have a default of their own for each decoder: the command tells whether they were given
        if field.name in (*_SHARED, *known, "num_epochs") or field.default is MISSING:
            continue
        if getattr(request, field.name) != field.default:
            return _FLAGS.get(field.name, "--" + field.name.replace("_", "-"))
    return None
