"""What a states training is asked for."""

from dataclasses import dataclass, fields
from pathlib import Path

from cryoscape.engines.run_files import holds_run
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.volume_source import engine_name
from cryoscape.errors import InputError
from cryoscape.workflows.subspace_start import SUBSPACE_FOLDER, has_finished, was_stopped
from cryoscape.workflows.train_subspace_plan import (
    LinearTrainingRequest,
    TrainSubspaceRequest,
    check_linear_request,
)

ENGINE = "states"
WEIGHTS_FILE = "weights.pkl"


@dataclass(frozen=True)
class TrainStatesRequest(LinearTrainingRequest):
    """What the user asked for; ``zdim`` and ``mask`` are of the subspace that is trained first.

    Attributes
    ----------
    k : number of states; None for as many as can be told apart.
    subspace : run folder of train_subspace on the same particles; None to train one first.
    load : "latest" to continue a run that was stopped: what is done of the subspace is kept, states are
        looked for anew, with the same result as without a stop.
    """

    k: int | None = None
    subspace: Path | None = None
    load: str | None = None

    @property
    def subspace_folder(self) -> Path:
        """The subspace run to start from."""
        return self.outdir / SUBSPACE_FOLDER if self.subspace is None else self.subspace

    def subspace_request(self) -> TrainSubspaceRequest:
        """The training that goes before where no run is given, or goes on."""
        common = {one.name: getattr(self, one.name) for one in fields(LinearTrainingRequest)}
        load = "latest" if self.load is not None and was_stopped(self.subspace_folder) else None
        return TrainSubspaceRequest(**{**common, "outdir": self.subspace_folder, "load": load})

    @property
    def has_subspace(self) -> bool:
        """Whether the subspace is there: given, or left by a run that goes on."""
        if self.subspace is not None:
            return True
        return self.load is not None and has_finished(self.subspace_folder)


def check_states_request(request: TrainStatesRequest) -> None:
    """Refuse, before anything is read, what cannot be done or would overwrite another run."""
    if request.load not in (None, "latest"):
        raise InputError(f"--load {request.load}: expected `latest`, to continue the run in {request.outdir}")
    continues = request.load is not None
    check_linear_request(request, continues, or_else="continue it with --load latest, ")
    if continues:
        _check_goes_on(request)
    if request.k is not None and request.k < 1:
        raise InputError(f"--k {request.k}: expected at least 1")
    if request.subspace is not None:
        if request.subspace.resolve() == request.outdir.resolve():
            raise InputError(f"-o {request.outdir}: is the run given with --from; give another folder")
        if request.zdim is not None or request.mask != "solvent":
            raise InputError("--zdim and --mask belong to the subspace: leave them out where --from is given")


def _check_goes_on(request: TrainStatesRequest) -> None:
    """Refuse to continue a run that is finished, that never began, or that was asked for something else."""
    outdir = request.outdir
    if (outdir / WEIGHTS_FILE).is_file():
        raise InputError(
            f"{outdir}: the run is finished; see it with `cryoscape analyze {outdir}`, or train anew with "
            "--force"
        )
    began = holds_run(outdir)
    subspace = request.subspace_folder
    if not (began or was_stopped(subspace) or has_finished(subspace)):
        raise InputError(f"{outdir}: nothing to continue from; train without --load")
    if not began:
        return
    folder = RunFolder(outdir)
    config = folder.config()
    earlier = config.get("training", {})
    if engine_name(config) != ENGINE:
        raise InputError(f"{folder.path}: holds a run of train_{engine_name(config)}; give another -o")
    for flag, now, before in (
        ("--k", request.k, earlier.get("k")),
        ("--seed", request.seed if request.seed is not None else earlier.get("seed"), earlier.get("seed")),
    ):
        if now != before:
            raise InputError(
                f"{folder.path}: cannot continue with another {flag}: {before} there, {now} here; use the "
                "same one, or train anew with --force"
            )
