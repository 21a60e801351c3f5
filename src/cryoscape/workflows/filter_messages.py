"""What `filter` says of columns, clusters and counts."""

import logging

import numpy as np
from jaxtyping import Bool

from cryoscape.workflows.filter_columns import FROM_FILES, RunColumns
from cryoscape.workflows.filter_criteria import ClusterReport, Selected

logger = logging.getLogger("cryoscape")


def log_columns(columns: RunColumns) -> None:
    """Names that a condition may use."""
    names = [name for name in columns if name not in FROM_FILES and not name.startswith("cov_")]
    logger.info("Columns: %s", " ".join(names))
    if any(name.startswith("cov_") for name in columns):
        last = columns.z.shape[1] - 1
        logger.info("Covariances: cov_0_0 to cov_%d_%d", last, last)
    logger.info("From the particles' own files: %s", " ".join(sorted(FROM_FILES)))


def log_clusters(report: ClusterReport) -> None:
    """A line a cluster: particles, share, and scores where there are any."""
    labels, scores = report.labels, report.scores
    if scores is None:
        numbers, counts = np.unique(labels, return_counts=True)
        logger.info("%s: cluster, particles", report.name)
        for number, count in zip(numbers, counts, strict=True):
            logger.info("%7d %10s", number, f"{count:,}")
        return
    logger.info("%s: cluster, particles, share, median %s", report.name, report.score)
    for i, number in enumerate(scores.numbers):
        share = f"{100 * scores.counts[i] / len(labels):.1f} %"
        line = f"{number:7d} {scores.counts[i]:10,d} {share:>7} {scores.median[i]:8.2f}"
        logger.info("%s", line + ("  stands out" if scores.suggested[i] else ""))
    split = report.split
    if split is None:
        logger.info("The %s is of one group: no cluster stands out by it", report.score)
        return
    logger.info(
        "The %s parts into two groups at %.2f, with %.0f %% of the particles above",
        report.score,
        split.threshold,
        100 * split.share,
    )


def log_counts(selected: Selected, mask: Bool[np.ndarray, " n"], any_of: bool) -> None:
    """How many particles each criterion and all of them together select."""
    n = len(mask)
    for criterion in selected.criteria:
        logger.info("%s: %s", criterion.text, _of(int(criterion.mask.sum()), n))
    if len(selected.criteria) > 1:
        joined = int(selected.mask.sum())
        logger.info("%s of these: %s", "any" if any_of else "all", _of(joined, n))
    logger.info("Selected: %s", _of(int(mask.sum()), n))


def _of(count: int, n: int) -> str:
    return f"{count:,} of {n:,} particles ({100 * count / n:.1f} %)"
