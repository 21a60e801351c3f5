"""What a training that starts from the subspace writes: epochs, metrics, and the table at the end."""

import logging
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from cryoscape.engines.latent_table import LATENTS_FILE, write_latents
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.epochs import EVIDENCE_FILE, bases_file, save_epoch
from cryoscape.engines.manifold.fit import encode, epoch_to_use, verdict, weigh
from cryoscape.engines.manifold.likelihood import linear_model
from cryoscape.engines.manifold.maps import MapsRead
from cryoscape.engines.manifold.source import latent_table
from cryoscape.engines.manifold.trainer import EpochReport, Trainer
from cryoscape.engines.run_files import append_metrics_line, drop_metrics_from, write_run_files
from cryoscape.engines.run_folder import RunFolder
from cryoscape.engines.states.evidence import Evidence
from cryoscape.engines.vae.results import Encoded
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.workflows.progress import format_seconds
from cryoscape.workflows.subspace_start import SubspaceStart
from cryoscape.workflows.train_manifold_plan import (
    ENGINE,
    FINISHED_FILE,
    Continuation,
    TrainManifoldRequest,
)
from cryoscape.workflows.training_images import dataset_args, training_record
from cryoscape.workflows.training_session import LatentShifts

logger = logging.getLogger("cryoscape")


@dataclass(frozen=True, eq=False)
class Session:
    """One training: what was asked for, the folder this process writes to, what it starts from and when."""

    request: TrainManifoldRequest
    folder: Path
    config: ManifoldConfig
    start: SubspaceStart
    store: FourierStore
    started: float


@dataclass(frozen=True)
class TrainManifoldResult:
    """Where the run lies and how it went; log-likelihoods in nats an image over pure noise, held out.

    Attributes
    ----------
    last_epoch : whose weights and latents are the result.
    best_epoch : of highest held-out likelihood, among those with maps made again.
    linear_log_likelihood : of the linear subspace with the same maps.
    """

    folder: Path
    last_epoch: int
    best_epoch: int
    held_out_log_likelihood: float
    linear_log_likelihood: float
    verdict: str


class EpochWriter:
    """Tells of each epoch in the log and in metrics.jsonl, and saves those that are asked for."""

    def __init__(self, session: Session, trainer: Trainer, read: MapsRead) -> None:
        self.session, self.trainer = session, trainer
        self.shifts = LatentShifts(session.folder, trainer.number)
        self.seconds_of_networks, self._saved = 0.0, -1
        self._use(read)
        drop_metrics_from(session.folder, trainer.number)

    def _use(self, read: MapsRead) -> None:
        self.read, self.linear = read, linear_model(read.placing)

    def renewed(self, read: MapsRead) -> Evidence:
        """Go on with maps that were made again; what is trained on."""
        self._use(read)
        return read.learning

    def __call__(self, report: EpochReport) -> None:
        """Log one epoch, and save it where it is its turn."""
        self.posterior = encode(self.linear.features, self.trainer.averaged.encoder)
        variance = torch.diagonal(self.posterior.covariance, dim1=1, dim2=2)
        latents = Encoded(self.posterior.mean.cpu().numpy(), variance.log().cpu().numpy())
        self.seconds_of_networks += report.seconds
        self._append(report, self.shifts.add(latents))
        epoch, trainer = report.epoch, self.trainer
        last = trainer.n_epochs - 1
        turn = epoch % self.session.request.checkpoint == 0 or epoch == last
        # where training may end early, the best epoch is the result; and making maps again takes long
        best = trainer.config.epochs is None and trainer.kept_epoch == epoch
        if turn or best or epoch + 1 == trainer.config.renewed_before(trainer.n_epochs):
            self.save()
        logger.info(
            "epoch %d of 0 to %d: held-out log-likelihood %.3f nats an image, bound %.3f (in training %.3f), "
            "KL %.2f; %.1f s, at most %s left",
            *(epoch, last, report.held_out_log_likelihood, report.held_out_bound),
            *(report.training_bound, report.kl, report.seconds),
            format_seconds((last - epoch) * report.seconds),
        )

    def save(self) -> Path:
        """Save the last epoch, if it is not yet; the path of its weights."""
        epoch = self.trainer.number - 1
        if self._saved == epoch:
            return RunFolder(self.session.folder).weights(epoch)
        self._saved = epoch
        return save_epoch(self.session.folder, epoch, self.trainer, self.posterior)

    def _append(self, report: EpochReport, shifts: dict[str, float | None]) -> None:
        """Line of metrics; losses, which fall, have the names that they have for the paper's model."""
        line = asdict(report)
        line["wall_seconds"] = round(line.pop("seconds"), 3)
        line["total_loss"] = -report.training_bound
        line["reconstruction_loss"] = -report.training_bound - report.prior_weight * report.kl
        line["kl_divergence"] = line.pop("kl")
        append_metrics_line(self.session.folder, {**line, **shifts})


def take_over(folder: Path, earlier: Continuation) -> None:
    """Bring the files that epochs share where a run goes on, and remove what it will write anew."""
    origin, run = earlier.weights.parent, RunFolder(folder)
    if origin.resolve() != folder.resolve():
        shared = [bases_file(which) for which in range(earlier.maps_round + 1)]
        for name in (*shared, *([EVIDENCE_FILE] if earlier.maps_round else [])):
            if (origin / name).is_file() and not (folder / name).exists():
                shutil.copy2(origin / name, folder / name)
    stale = [run.weights(e) for e in run.epochs("weights") if e >= earlier.following]
    stale += [run.latents(e) for e in run.epochs("z") if e >= earlier.following]
    if stale:
        logger.info("epochs from %d on are trained again", earlier.following)
    for path in (*stale, folder / FINISHED_FILE, folder / LATENTS_FILE):
        path.unlink(missing_ok=True)


def write_files(session: Session, **found: Any) -> None:
    """Configuration, record and rows; ``found`` once training is done."""
    request, store = session.request, session.store
    inputs = (request.particles, request.poses, request.ctf, request.ind)
    write_run_files(
        session.folder,
        engine=ENGINE,
        box_size=store.box_size,
        model_args={"zdim": session.config.zdim},
        dataset_args=dataset_args(request.source, store, float(store.scale)),
        training={**asdict(session.config), "subspace": str(request.subspace_folder.resolve())},
        record=training_record(request.command, session.config.seed, store, inputs) | found,
        rows=store.particles.row,
    )


def write_result(session: Session, trainer: Trainer, writer: EpochWriter) -> TrainManifoldResult:
    """Write the latents of the resulting epoch as a table; epochs beyond the best go, if not asked for."""
    writer.save()
    config, folder, read = session.config, session.folder, writer.read
    all_kept = config.epochs is not None
    last = trainer.number - 1
    first = trainer.number - len(trainer.history)
    epoch = last if all_kept else first + epoch_to_use(trainer.history)
    networks = trainer.averaged if epoch == last else trainer.kept
    run = RunFolder(folder)
    for later in range(epoch + 1, trainer.number):
        run.weights(later).unlink(missing_ok=True)
        run.latents(later).unlink(missing_ok=True)
    result = TrainManifoldResult(
        folder=session.request.outdir,
        last_epoch=epoch,
        best_epoch=trainer.kept_epoch,
        held_out_log_likelihood=trainer.history[epoch - first],
        linear_log_likelihood=float(trainer.linear.log_likelihood[trainer.held_out].mean()),
        verdict=verdict(trainer.history, first, all_kept),
    )
    seconds = time.perf_counter() - session.started
    found = {
        "epoch": epoch,
        "best_epoch": trainer.kept_epoch,
        "held_out_log_likelihood": result.held_out_log_likelihood,
        "held_out_log_likelihood_of_subspace": result.linear_log_likelihood,
        "verdict": result.verdict,
        "seconds": round(seconds, 2),
    }
    write_files(session, result=found)
    posterior = encode(writer.linear.features, networks.encoder)
    sampled = weigh(read.placing, posterior, networks, config.final_samples, config.seed)
    table = latent_table(posterior, sampled, writer.linear, read.misfit)
    write_latents(folder, table, session.store.particles.row)
    _tell(result, writer.seconds_of_networks, seconds)
    return result


def _tell(result: TrainManifoldResult, seconds_of_networks: float, seconds: float) -> None:
    """The summary at the end of the log, and what to do next."""
    logger.info("%s", result.verdict)
    logger.info(
        "held-out log-likelihood %.3f nats an image, of the linear subspace %.3f: gained %+.3f",
        *(result.held_out_log_likelihood, result.linear_log_likelihood),
        result.held_out_log_likelihood - result.linear_log_likelihood,
    )
    logger.info("Finished in %s, networks %.1f s of it", format_seconds(seconds), seconds_of_networks)
    logger.info("next: cryoscape analyze %s %d", result.folder, result.last_epoch)
