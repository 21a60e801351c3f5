"""The learning curve of a run, from our metrics stream or from the text log of cryoDRGN."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class LearningCurve:
    """Average losses per epoch, epochs rising; NaN where a term was not recorded."""

    epoch: Int[np.ndarray, " e"]
    total: Float[np.ndarray, " e"]
    reconstruction: Float[np.ndarray, " e"]
    kl: Float[np.ndarray, " e"]

    def __len__(self) -> int:
        return len(self.epoch)


_NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+|nan|inf))"
_UPSTREAM_EPOCH = re.compile(
    rf"=+>\s*Epoch:\s*(\d+)\s+Average gen loss\s*=\s*{_NUMBER},\s*KLD\s*=\s*{_NUMBER},\s*"
    rf"total loss\s*=\s*{_NUMBER}",
    re.IGNORECASE,
)
# names under which a metrics stream may keep each term, in order of preference
_TOTAL = ("total_loss", "loss", "total", "train_loss")
_RECONSTRUCTION = ("reconstruction_loss", "reconstruction", "gen_loss", "recon")
_KL = ("kl_divergence", "kl", "kld", "kl_loss")


def parse_cryodrgn_log(text: str) -> LearningCurve:
    """Losses from the epoch lines of cryoDRGN's run.log, numbered as the log numbers them.

    Reads any number of digits (losses of 10 and more too) and exponents; of an epoch that was run again
    after a restart the last line counts.
    """
    found = {int(e): (float(t), float(r), float(k)) for e, r, k, t in _UPSTREAM_EPOCH.findall(text)}
    return _curve(found)


def parse_metrics(lines: Iterable[str]) -> LearningCurve:
    """Losses from a metrics.jsonl stream: the last complete record of each epoch that has a total loss."""
    found: dict[int, tuple[float, float, float]] = {}
    for line in lines:
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # the last line of a run that was cut off
            continue
        if not isinstance(record, dict) or "epoch" not in record:
            continue
        total = _first(record, _TOTAL)
        if not np.isnan(total):
            found[int(record["epoch"])] = (total, _first(record, _RECONSTRUCTION), _first(record, _KL))
    return _curve(found)


def _first(record: dict[str, object], names: tuple[str, ...]) -> float:
    for name in names:
        value = record.get(name)
        if isinstance(value, (int, float)):
            return float(value)
    return float("nan")


def _curve(found: dict[int, tuple[float, float, float]]) -> LearningCurve:
    epochs = sorted(found)
    values = np.array([found[e] for e in epochs], dtype=np.float64).reshape(len(epochs), 3)
    return LearningCurve(np.array(epochs, dtype=np.int64), values[:, 0], values[:, 1], values[:, 2])
