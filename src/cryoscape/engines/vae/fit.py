"""Training: one epoch at a time, resumable at any batch, robust to non-finite losses."""

import copy
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cryoscape.engines.distributed import gathered, own_part, sum_over_processes
from cryoscape.engines.vae.config import ModelConfig, TrainConfig, beta_at
from cryoscape.engines.vae.fused_network import Workspace
from cryoscape.engines.vae.model import (
    HetVae,
    encoder_pixel_order,
    encoder_pixels,
    kl_divergence,
    reconstruction_loss_plain,
)
from cryoscape.engines.vae.results import Encoded, EpochResult, Progress, machine_has_bfloat16
from cryoscape.engines.vae.step import SliceBatch, has_fast_step, reconstruction_loss
from cryoscape.errors import TrainingError
from cryoscape.particles.fourier_store import FourierStore

BAD_STEPS_IN_A_ROW = 5
_BATCHES_BETWEEN_CHECKS_ON_GPU = 32


class Trainer:
    """Model, optimiser and random state of one training run on one store of images.

    Parameters
    ----------
    store : images; moved to the device by the caller where they fit.
    norm_std : what coefficients are to be divided by in all, where not the store's own scale.
    model, config : architecture and schedule.
    device : where to compute.
    """

    def __init__(
        self,
        store: FourierStore,
        model: ModelConfig,
        config: TrainConfig,
        device: torch.device,
        norm_std: float | None = None,
    ) -> None:
        self.store, self.model_config, self.config, self.device = store, model, config, device
        amp = machine_has_bfloat16(device) if config.amp is None else config.amp
        self.compute_dtype = torch.bfloat16 if amp else torch.float32
        self.norm_std = store.scale if norm_std is None else norm_std
        self.pixel_order = encoder_pixel_order(store.plane, model.encoder_radius).to(device)
        self.points = store.plane.k.to(device, torch.float32) / store.box_size
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            self.network = HetVae(model, len(self.pixel_order)).to(device)
        # The fused kernel reads found_inf: a bad step is skipped on the device, without waiting for it.
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=device.type in ("cpu", "cuda"),
        )
        self.noise = torch.Generator().manual_seed(config.seed + 1)
        self.progress = Progress()
        self._workspace = Workspace()
        self._bad = torch.zeros((), dtype=torch.bool, device=device)
        self._good = self._snapshot()

    @property
    def epoch(self) -> int:
        """Epoch under way or next, from 0."""
        return self.progress.epoch

    @property
    def n_batches(self) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-self.store.n // self.config.batch_size)

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs, as tensors and plain values; upstream's keys where it has them."""
        return {
            "epoch": self.progress.epoch,
            "model_state_dict": self.network.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "random_state": self.noise.get_state(),
            "progress": dict(vars(self.progress)),
            "n_images": self.store.n,
            "batch_size": self.config.batch_size,
            "seed": self.config.seed,
        }

    def restore(self, content: dict[str, Any]) -> None:
        """Continue from `state()` exactly, or from upstream's weights with the next epoch."""
        self.network.load_state_dict(content["model_state_dict"])
        rate = self.config.learning_rate
        if "optimizer_state_dict" in content:
            self.optimizer.load_state_dict(content["optimizer_state_dict"])
        exact = (
            "random_state" in content
            and content["n_images"] == self.store.n
            and content["batch_size"] == self.config.batch_size
        )
        if exact:
            self.noise.set_state(content["random_state"].cpu())
            self.progress = Progress(**copy.deepcopy(content["progress"]))
        else:
            self.progress = Progress(epoch=int(content["epoch"]) + 1)
        if not self.progress.restored:
            for group in self.optimizer.param_groups:
                group["lr"] = rate
        self._good = self._snapshot()

    def run_epoch(
        self,
        update: Callable[[int], None] = lambda done: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> EpochResult:
        """Train to the end of the current epoch, or until should_stop() after some batch.

        Parameters
        ----------
        update : called with the number of images done in this epoch.

        Raises
        ------
        TrainingError : the loss stays non-finite though the last good weights were restored and the learning
            rate halved.
        """
        state, batch_size = self.progress, self.config.batch_size
        order = self._shuffled(state.epoch)
        every = 1 if self.device.type == "cpu" else _BATCHES_BETWEEN_CHECKS_ON_GPU
        pending: list[Tensor] = []
        start, first = time.perf_counter(), state.batch
        stopped = False
        while state.batch < self.n_batches and not stopped:
            rows = order[state.batch * batch_size : (state.batch + 1) * batch_size]
            pending.append(self._step(rows))
            state.batch += 1
            if len(pending) == every or state.batch == self.n_batches:
                self._collect(pending, order)
                pending = []
                update(min(state.batch * batch_size, self.store.n))
                stopped = should_stop()
        seconds = time.perf_counter() - start
        images = min(state.batch * batch_size, self.store.n) - first * batch_size
        state.seconds += seconds
        return self._finish(images / max(seconds, 1e-9), state.batch >= self.n_batches)

    def encode(
        self,
        batch_size: int = 256,
        with_losses: bool = False,
        update: Callable[[int], None] = lambda done: None,
    ) -> Encoded:
        """Latents (N, zdim) of all images in store order; with losses at the latents' means if asked."""
        columns: list[tuple[Tensor, ...]] = []
        done = 0
        with torch.no_grad():
            for rows in torch.split(own_part(torch.arange(self.store.n)), batch_size):
                batch = self._batch(rows)
                m, v = self.network.infer(encoder_pixels(batch.target, batch.ctf, self.pixel_order))
                losses = (self._reconstruction(m, batch)[1], kl_divergence(m, v)) if with_losses else ()
                columns.append(tuple(t.float().cpu() for t in (m, v, *losses)))
                done += len(rows)
                update(done)
        whole = gathered(tuple(torch.cat(column) for column in zip(*columns, strict=True)))
        return Encoded(*(column.numpy() for column in whole), *(() if with_losses else (None, None)))

    def _shuffled(self, epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + epoch)
        return torch.randperm(self.store.n, generator=generator)

    def _batch(self, rows: Tensor) -> SliceBatch:
        on_store = rows.to(self.store.device)
        target = self.store.batch(on_store)
        if self.norm_std != self.store.scale:
            target = target * (self.store.scale / self.norm_std)
        return SliceBatch(
            target=target.to(self.device),
            ctf=self.store.ctf(on_store).to(self.device),
            rotations=self.store.rotations[on_store].to(self.device),
            points=self.points,
        )

    def _reconstruction(self, z: Tensor, batch: SliceBatch) -> tuple[Tensor, Tensor]:
        if has_fast_step(self.network.decoder):
            return reconstruction_loss(self.network.decoder, z, batch, self.compute_dtype, self._workspace)
        losses = reconstruction_loss_plain(
            self.network.decoder, z, batch.target, batch.ctf, batch.rotations, batch.points
        )
        return losses.mean(), losses.detach()

    def _step(self, rows: Tensor) -> Tensor:
        """One optimiser step; returns (generative loss, KL, total loss, whether skipped) on the device.

        Of several processes each takes its part of the batch, with the noise it would have had in one.
        """
        config, zdim = self.config, self.model_config.zdim
        noise = torch.randn(len(rows), zdim, generator=self.noise)
        mine, share = _own_share(len(rows))
        batch = self._batch(rows[mine])
        mean, logvar = self.network.infer(encoder_pixels(batch.target, batch.ctf, self.pixel_order))
        z = mean + noise[mine].to(self.device, non_blocking=True) * torch.exp(0.5 * logvar)
        generative, _ = self._reconstruction(z, batch)
        kl = kl_divergence(mean, logvar).mean()
        weight = beta_at(config.beta, zdim, self._images_seen())
        n_pixels = 2 * len(self.points)
        if config.beta_control is None:
            total = generative + weight * kl / n_pixels
        else:
            total = generative + config.beta_control * (weight - kl).square() / n_pixels
        self.optimizer.zero_grad(set_to_none=True)
        (total * share).backward()  # type: ignore[no-untyped-call]
        losses = torch.stack([t.detach().float() for t in (generative, kl, total)]) * share
        sum_over_processes(losses, *(p.grad for p in self.network.parameters() if p.grad is not None))
        self._apply(losses[2])
        return torch.cat([losses, self._bad.float()[None]])

    def _apply(self, total: Tensor) -> None:
        gradients = [p.grad for p in self.network.parameters() if p.grad is not None]
        norm = torch.stack(torch._foreach_norm(gradients)).sum()
        self._bad = ~torch.isfinite(total + norm)
        if self.device.type in ("cpu", "cuda"):
            self.optimizer.grad_scale = None  # type: ignore[attr-defined]
            self.optimizer.found_inf = self._bad.float()  # type: ignore[attr-defined]
            self.optimizer.step()
        elif not bool(self._bad):
            self.optimizer.step()

    def _images_seen(self) -> int:
        return self.progress.epoch * self.store.n + self.progress.batch * self.config.batch_size

    def _collect(self, pending: list[Tensor], order: Tensor) -> None:
        """Read back the losses of the last batches; the only wait for the device."""
        state, size = self.progress, self.config.batch_size
        first = state.batch - len(pending)
        for number, values in enumerate(torch.stack(pending).cpu().tolist(), start=first):
            *losses, bad = values
            rows = order[number * size : (number + 1) * size].tolist()
            if not bad:
                state.bad_in_a_row = 0
                state.losses.extend([*losses, float(len(rows))])
                continue
            state.bad_in_a_row += 1
            state.skipped.extend(rows)
        if state.bad_in_a_row >= BAD_STEPS_IN_A_ROW:
            self._recover()

    def _recover(self) -> None:
        state = self.progress
        rows = state.skipped[-BAD_STEPS_IN_A_ROW * self.config.batch_size :]
        if state.restored:
            originals = self.store.particles.row[rows].tolist()
            raise TrainingError(
                f"epoch {state.epoch}: the loss stayed non-finite for {state.bad_in_a_row} batches in a row, "
                "also from the last good weights at half the learning rate; particle rows in them: "
                f"{originals[:40]}; look at these images, or lower --lr or use --no-amp"
            )
        self.network.load_state_dict(self._good["network"])
        self.optimizer.load_state_dict(copy.deepcopy(self._good["optimizer"]))
        for group in self.optimizer.param_groups:
            group["lr"] = group["lr"] / 2
        state.restored, state.bad_in_a_row = True, 0

    def _snapshot(self) -> dict[str, Any]:
        return {
            "network": {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()},
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
        }

    def _finish(self, rate: float, finished: bool) -> EpochResult:
        state = self.progress
        table = np.asarray(state.losses, dtype=np.float64).reshape(-1, 4)
        weights = table[:, 3]
        means = (table[:, :3] * weights[:, None]).sum(0) / max(weights.sum(), 1.0)
        result = EpochResult(
            epoch=state.epoch,
            generative_loss=float(means[0]),
            kl=float(means[1]),
            total_loss=float(means[2]),
            beta=beta_at(self.config.beta, self.model_config.zdim, self._images_seen()),
            images_per_second=rate,
            seconds=state.seconds,
            skipped_rows=tuple(state.skipped),
            finished=finished,
        )
        if finished:
            self.progress = Progress(
                epoch=state.epoch + 1, bad_in_a_row=state.bad_in_a_row, restored=state.restored
            )
            self._good = self._snapshot()
        return result


def _own_share(n: int) -> tuple[Tensor, float]:
    """Places in a batch of n that this process takes, and their share; one place and 0 if none is left."""
    mine = own_part(torch.arange(n))
    return (mine, len(mine) / n) if len(mine) else (torch.zeros(1, dtype=torch.long), 0.0)


def run_epochs(trainer: Trainer, last: int) -> Iterator[EpochResult]:
    """Train up to and including epoch number `last`; the plain loop for scripts and tests."""
    while trainer.epoch <= last:
        yield trainer.run_epoch()
