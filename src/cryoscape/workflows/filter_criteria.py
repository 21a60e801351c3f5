"""What `filter` selects by: each criterion as a mask of the run's particles, in words, and for the record."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from cryoscape.analysis.selection import beyond_z_score, in_clusters, in_polygon
from cryoscape.analysis.selection_expression import evaluate_condition, has_value, read_condition
from cryoscape.analysis.selection_suggest import ClusterScores, ScoreSplit, score_clusters, split_score
from cryoscape.errors import InputError
from cryoscape.workflows.filter_columns import ClusterMethod, RunColumns


@dataclass(frozen=True)
class Criteria:
    """What to select by; criteria that are None or empty are not used.

    Attributes
    ----------
    kmeans, gmm : number of clusters of the method; at most one of the two.
    clusters : numbers of the clusters to select.
    suggest : select the clusters whose median of `score` stands out; without clusters, the particles.
    zscore : standard deviations of the latents' magnitude above the mean; below it where negative.
    where : condition on columns.
    polygon : corners "x,y x,y x,y", or a file with a corner a line.
    plane : names of the two columns that the polygon is drawn over.
    any_of : one criterion is enough; else all must hold.
    """

    kmeans: int | None = None
    gmm: int | None = None
    clusters: tuple[int, ...] = ()
    suggest: bool = False
    score: str = "junk_score"
    zscore: float | None = None
    where: str | None = None
    polygon: str | None = None
    plane: tuple[str, str] = ("umap1", "umap2")
    any_of: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Criterion:
    """One criterion: particles that meet it (n,), what it is in words, and its settings as plain values."""

    mask: Bool[np.ndarray, " n"]
    text: str
    record: Mapping[str, Any]


@dataclass(frozen=True)
class ClusterReport:
    """Clusters that were looked at: their name (gmm6), labels (n,), scores where there are any."""

    name: str
    labels: Int[np.ndarray, " n"]
    scores: ClusterScores | None
    split: ScoreSplit | None
    score: str


@dataclass(frozen=True)
class Selected:
    """Particles that meet the criteria (n,), each criterion by itself, and the clusters looked at."""

    mask: Bool[np.ndarray, " n"]
    criteria: tuple[Criterion, ...]
    clusters: ClusterReport | None = None
    outline: Float[np.ndarray, "m 2"] | None = field(default=None, repr=False)


def check_criteria(criteria: Criteria) -> None:
    """Raise InputError for criteria that contradict each other or lack something."""
    if criteria.kmeans is not None and criteria.gmm is not None:
        raise InputError(
            "--kmeans and --gmm are both given; give one, and combine the results with --and, --or."
        )
    if criteria.clusters and criteria.kmeans is None and criteria.gmm is None:
        raise InputError("--clusters: say of which clusters they are with --kmeans K or --gmm K.")
    if criteria.clusters and criteria.suggest:
        raise InputError("--clusters and --suggest are both given; give the numbers, or have them suggested.")
    k = criteria.kmeans if criteria.kmeans is not None else criteria.gmm
    wrong = [number for number in criteria.clusters if k is not None and not 0 <= number < k]
    if wrong:
        raise InputError(f"--clusters: there is no cluster {wrong[0]}; {k} are numbered 0 to {(k or 1) - 1}.")


def apply_criteria(columns: RunColumns, criteria: Criteria) -> Selected:
    """Particles that meet the criteria; none where no criterion is given.

    Raises
    ------
    InputError
        For clusters, columns or outlines that are not there or cannot be used.
    """
    check_criteria(criteria)
    found: list[Criterion] = []
    report = None
    if criteria.kmeans is not None or criteria.gmm is not None:
        report = _look_at_clusters(columns, criteria)
        if criteria.clusters or criteria.suggest:
            found.append(_by_clusters(report, criteria))
    elif criteria.suggest:
        found.append(_by_score(columns, criteria))
    if criteria.zscore is not None:
        found.append(_by_zscore(columns, criteria.zscore))
    if criteria.where is not None:
        found.append(_by_condition(columns, criteria.where))
    outline = None
    if criteria.polygon is not None:
        outline = read_polygon(criteria.polygon)
        found.append(_by_polygon(columns, outline, criteria.plane))
    combine: Callable[..., Any] = np.logical_or if criteria.any_of else np.logical_and
    mask = combine.reduce([c.mask for c in found]) if found else np.zeros(len(columns.rows), bool)  # type: ignore[attr-defined]
    return Selected(np.asarray(mask), tuple(found), report, outline)


def _look_at_clusters(columns: RunColumns, criteria: Criteria) -> ClusterReport:
    method: ClusterMethod = "kmeans" if criteria.kmeans is not None else "gmm"
    k = (criteria.kmeans if criteria.kmeans is not None else criteria.gmm) or 0
    score = _score(columns, criteria) if criteria.suggest or criteria.score in columns else None
    labels = columns.labels(method, k, criteria.seed)
    if score is None:
        return ClusterReport(f"{method}{k}", labels, None, None, criteria.score)
    split = split_score(score, criteria.seed)
    return ClusterReport(f"{method}{k}", labels, score_clusters(labels, score, split), split, criteria.score)


def _score(columns: RunColumns, criteria: Criteria) -> Float[np.ndarray, " n"]:
    """The column to judge by; InputError where there is none of numbers."""
    if criteria.score not in columns:
        raise InputError(
            f"--suggest: the run has no column {criteria.score!r} to judge by (runs of train_subspace and "
            "train_states have); give another with --score, or other criteria."
        )
    score = np.asarray(columns[criteria.score])
    if score.dtype.kind not in "iuf":
        raise InputError(f"--score: column {criteria.score!r} holds no numbers.")
    return score.astype(np.float64)


def _by_score(columns: RunColumns, criteria: Criteria) -> Criterion:
    score = _score(columns, criteria)
    split = split_score(score, criteria.seed)
    record: dict[str, Any] = {"by": "suggest", "score": criteria.score}
    if split is None:
        none = np.zeros(len(score), dtype=bool)
        return Criterion(none, f"{criteria.score} is of one group: nothing stands out", record)
    text = f"{criteria.score} above {split.threshold:.3g}, where it parts into two groups"
    return Criterion(score > split.threshold, text, record | {"threshold": split.threshold})


def _by_clusters(report: ClusterReport, criteria: Criteria) -> Criterion:
    numbers = criteria.clusters
    record: dict[str, Any] = {"by": report.name}
    if criteria.suggest and report.scores is not None:
        numbers = tuple(int(i) for i in report.scores.numbers[report.scores.suggested])
        record |= {
            "suggested_by": report.score,
            "threshold": None if report.split is None else report.split.threshold,
        }
    named = " ".join(map(str, numbers)) if numbers else "none"
    word = "cluster" if len(numbers) == 1 else "clusters"
    mask = in_clusters(report.labels, numbers)
    return Criterion(mask, f"{word} {named} of {report.name}", record | {"clusters": list(numbers)})


def _by_zscore(columns: RunColumns, threshold: float) -> Criterion:
    mask = beyond_z_score(np.asarray(columns["zscore"]), threshold)
    side = "above" if threshold > 0 else "below"
    text = f"magnitude {abs(threshold):g} SD or more {side} the mean"
    return Criterion(mask, text, {"by": "zscore", "threshold": threshold})


def _by_condition(columns: RunColumns, text: str) -> Criterion:
    if "umap" in text.casefold() and "umap1" not in columns:
        raise InputError(f"--where {text!r}: {columns.analysis} has no UMAP; run analyze first.")
    condition = read_condition(text, columns)
    mask = evaluate_condition(condition, columns)
    names = sorted(set(condition.columns.values()))
    without = int((~np.logical_and.reduce([has_value(columns[name]) for name in names])).sum())
    note = f" ({without:,} particles have no value there and are not selected)" if without else ""
    record = {"by": "where", "where": text, "columns": names, "without_value": without}
    return Criterion(mask, f"{text}{note}", record)


def _by_polygon(columns: RunColumns, outline: Float[np.ndarray, "m 2"], plane: tuple[str, str]) -> Criterion:
    missing = [name for name in plane if name not in columns]
    if missing:
        hint = "run analyze first, or " if missing[0].startswith("umap") else ""
        raise InputError(f"--plane: there is no column {missing[0]!r}; {hint}give others, such as pc1 pc2.")
    points = np.column_stack([np.asarray(columns[name], dtype=np.float64) for name in plane])
    text = f"outline of {len(outline)} corners over {plane[0]} and {plane[1]}"
    record = {"by": "polygon", "plane": list(plane), "corners": outline.tolist()}
    return Criterion(in_polygon(points, outline), text, record)


def read_polygon(text: str) -> Float[np.ndarray, "m 2"]:
    """Corners (m, 2) from "x,y x,y x,y", or from a file that holds as many lines as corners.

    Raises InputError where these are not at least three pairs of finite numbers.
    """
    path = Path(text)
    try:
        content = path.read_text(encoding="utf-8") if path.is_file() else text
    except OSError:  # a text longer than any file name
        content = text
    words = [word for word in re.split(r"[\s,;()\[\]]+", content) if word]
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        hint = "" if "," in text else " and no such file"
        raise InputError(f"--polygon: expected corners as x,y x,y x,y; {error}{hint}.") from None
    if len(numbers) % 2 or len(numbers) < 6 or not np.isfinite(numbers).all():
        raise InputError(f"--polygon: expected 3 or more corners x,y; found {len(numbers)} numbers.")
    return np.asarray(numbers).reshape(-1, 2)
