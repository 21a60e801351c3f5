"""What a training that starts from the subspace is asked for; flags of the paper's model are refused."""

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np

from cryoscape.engines.run_files import RESUME_FILE, holds_run
from cryoscape.errors import InputError
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.workflows.train_states_plan import SUBSPACE_FOLDER, SubspaceStart
from cryoscape.workflows.train_subspace_plan import TrainSubspaceRequest
from cryoscape.workflows.training_images import ImageSource
from cryoscape.workflows.training_plan import TrainVaeRequest

ENGINE = "subspace_mlp"
Decoder = Literal["mlp", "subspace+mlp", "subspace"]
WEIGHTS_FILE = "weights.pkl"
_LEAST_COMPONENTS = 12
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
"""Of a request for the paper's model, what means the same here."""
_FLAGS = {
    "learning_rate": "--lr",
    "weight_decay": "--wd",
    "window": "--no-window",
    "window_radius": "--window-r",
    "amp": "--amp",
    "norm": "--norm",
}
"""Names of flags that are not those of their fields."""


@dataclass(frozen=True)
class TrainManifoldRequest:
    """What the user asked for.

    Attributes
    ----------
    zdim : dimension of the latent space.
    epochs : None for as many as the number of particles asks for.
    subspace : run folder of train_subspace on the same particles; None to train one first.
    load : "latest" to continue a run that was stopped: what is done of the subspace is not done again.
    """

    particles: Path
    outdir: Path
    zdim: int
    poses: Path | None = None
    ctf: Path | None = None
    ind: Path | None = None
    datadir: Path | None = None
    epochs: int | None = None
    subspace: Path | None = None
    invert_data: bool = True
    lazy: bool = False
    seed: int | None = None
    load: str | None = None
    max_threads: int | None = None
    device: str = "auto"
    force: bool = False
    command: tuple[str, ...] = ()

    @property
    def source(self) -> ImageSource:
        """The files of images and metadata."""
        return ImageSource(self.particles, self.poses, self.ctf, self.ind, self.datadir)

    @property
    def subspace_folder(self) -> Path:
        """The subspace run to start from."""
        return self.outdir / SUBSPACE_FOLDER if self.subspace is None else self.subspace

    @property
    def n_components(self) -> int:
        """Bases of the subspace that is trained first: more than latents, as a curve needs them."""
        return max(_LEAST_COMPONENTS, 2 * self.zdim)

    def subspace_request(self) -> TrainSubspaceRequest | None:
        """The training that goes before, or goes on; None where its run is there."""
        folder = self.subspace_folder
        if self.subspace is not None or (self.load is not None and (folder / WEIGHTS_FILE).is_file()):
            return None
        return _subspace_request(self, folder, self.n_components, self.load)


def _subspace_request(
    request: TrainManifoldRequest | TrainVaeRequest, outdir: Path, zdim: int, load: str | None
) -> TrainSubspaceRequest:
    same = {name: getattr(request, name) for name in _SHARED}
    return TrainSubspaceRequest(**{**same, "outdir": outdir, "zdim": zdim, "load": load})


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
    return _subspace_request(request, request.outdir, request.zdim, request.load)


def manifold_request(
    request: TrainVaeRequest, epochs: int | None, start: Path | None
) -> TrainManifoldRequest:
    """What `--decoder subspace+mlp` asks for.

    Raises
    ------
    InputError : a flag that has no meaning with this decoder.
    """
    _refuse_flags(request, "subspace+mlp")
    same = {name: getattr(request, name) for name in _SHARED}
    return TrainManifoldRequest(**same, epochs=epochs, subspace=start)


def _refuse_flags(request: TrainVaeRequest, decoder: Decoder) -> None:
    """Refuse what only the paper's model has."""
    for field in fields(request):
        # epochs have a default of their own for each decoder: the command tells whether they were given
        if field.name in (*_SHARED, "num_epochs") or field.default is MISSING:
            continue
        if getattr(request, field.name) != field.default:
            flag = _FLAGS.get(field.name, "--" + field.name.replace("_", "-"))
            raise InputError(
                f"{flag}: has no meaning with --decoder {decoder}; leave it out, or train with --decoder mlp"
            )


def check_manifold_request(request: TrainManifoldRequest) -> None:
    """Refuse, before anything is read, what cannot be done or would overwrite another run."""
    if request.outdir.exists() and not request.outdir.is_dir():
        raise InputError(f"{request.outdir}: is a file; -o must name a folder")
    for flag, value in (
        ("--zdim", request.zdim),
        ("-n", request.epochs),
        ("--max-threads", request.max_threads),
    ):
        if value is not None and value < 1:
            raise InputError(f"{flag} {value}: expected at least 1")
    if request.load not in (None, "latest"):
        raise InputError(f"--load {request.load}: expected `latest`, to continue the run in {request.outdir}")
    if request.subspace is not None and request.subspace.resolve() == request.outdir.resolve():
        raise InputError(f"-o {request.outdir}: is the run given with --from; give another folder")
    if request.load is None:
        if not request.force and holds_run(request.outdir):
            raise InputError(
                f"{request.outdir}: holds a training run already; continue it with --load latest, "
                "replace it with --force, or give another -o"
            )
        return
    if (request.outdir / WEIGHTS_FILE).is_file():
        raise InputError(
            f"{request.outdir}: the run is finished; see it with `cryoscape analyze {request.outdir}`, "
            "or train anew with --force"
        )
    folder = request.subspace_folder
    if not any((folder / name).is_file() for name in (RESUME_FILE, WEIGHTS_FILE)):
        raise InputError(f"{request.outdir}: nothing to continue from; train without --load")


def check_same_images(folder: Path, start: SubspaceStart, store: FourierStore) -> None:
    """Refuse a subspace of other particles or of another box."""
    if not np.array_equal(store.particles.row, start.rows):
        raise InputError(
            f"{folder}: has {len(start.rows)} particles, the input {store.n}, or others; "
            "give the same particles and --ind"
        )
    if len(start.mask) != store.box_size:
        raise InputError(
            f"{folder}: images of {len(start.mask)} px, the input has {store.box_size} px; "
            "give the same images"
        )
