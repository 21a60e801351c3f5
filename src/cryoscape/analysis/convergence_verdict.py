"""Has training converged, since when, and has it gone on for too long: in words, from the curves of Box 1."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from cryoscape.analysis.convergence_plateau import (
    FEWEST_POINTS,
    SHORT,
    Measure,
    Plateau,
    find_plateau,
    noise_of,
    rolling_mean,
)

State = Literal["converged", "not converged", "overtrained", "cannot be judged"]

TOTAL_LOSS = "total loss"
COSINE_DISTANCE = "cosine distance of shifts"
"""Names of the measures that are judged by more than their plateau."""

DRIFT_COSINE_DISTANCE = 0.8
"""A median cosine distance of successive shifts below this says that particles still drift."""
_NOISE_GROWTH = 1.15
_HIGH_FREQUENCY_GROWTH = 1.3
_MOST_MAPS = 0.7
_STEEP = 0.1
"""Part of its whole change by which a loss that falls steeply falls in the last fifth of the epochs."""
_UNSLOWED = 0.95
"""Part of its pace in the middle third of the epochs that a loss keeps in the last if it does not slow."""


@dataclass(frozen=True, eq=False)
class MapCurves:
    """What is known of the maps at the maxima, by used epoch.

    Attributes
    ----------
    epoch : (e,) used epochs.
    correlation, fsc_nyquist, high_frequency_noise : (maps, e - 1) with the map of the used epoch before.
    solvent_noise : (maps, e) outside the particle. Both noises are explained in `convergence_maps`.
    """

    epoch: Int[np.ndarray, " e"]
    correlation: Float[np.ndarray, "m p"]
    fsc_nyquist: Float[np.ndarray, "m p"]
    high_frequency_noise: Float[np.ndarray, "m p"]
    solvent_noise: Float[np.ndarray, "m e"]


@dataclass(frozen=True)
class Sign:
    """A sign of overtraining in words, and the last used epoch that does not show it."""

    text: str
    good_epoch: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the curves say together.

    Attributes
    ----------
    first_converged_epoch : by which most of the measures had become flat; None where they have not.
    suggested_epoch : to analyse; None where training should go on first.
    plateaus : of each measure, in the order given.
    """

    state: State
    first_converged_epoch: int | None
    suggested_epoch: int | None
    plateaus: tuple[tuple[Measure, Plateau], ...]
    unsettled: tuple[str, ...]
    overtraining: tuple[Sign, ...]


def map_measures(maps: MapCurves) -> tuple[Measure, ...]:
    """Medians over maps of the correlation and of the FSC at Nyquist, as measures of the decoder."""
    epoch = maps.epoch[1:]
    return (
        Measure("map-to-map correlation", "decoder", epoch, _median(maps.correlation), 0.005),
        Measure("map-to-map FSC at Nyquist", "decoder", epoch, _median(maps.fsc_nyquist), 0.03),
    )


def judge(measures: Sequence[Measure], maps: MapCurves | None, last_epoch: int) -> Verdict:
    """Weigh all measures: converged is the epoch by which most of them have become flat (protocol, step 7).

    While the loss still falls steeply nothing has converged, and noise may be that of maps being learned.

    Parameters
    ----------
    measures : of the whole network, encoder and decoder.
    maps : for signs of overtraining; None where no maps were made.
    last_epoch : the analysed one.
    """
    plateaus = tuple((m, find_plateau(m)) for m in measures)
    judged = [(m, p) for m, p in plateaus if p.judged]
    unsettled = tuple(_still_changing(m, p) for m, p in judged if not _settled(m, p))
    flat = sorted(p.epoch for m, p in judged if p.epoch is not None and _settled(m, p))
    most = len(judged) // 2 + 1
    first = flat[most - 1] if len(flat) >= most else None
    signs = () if maps is None else overtraining_signs(maps)
    by_heart = bool(signs) and any(_falls_on(m) for m, _ in judged)
    steep = any(_falls_steeply(m, p) for m, p in judged) and not by_heart
    suggested: int | None = None
    if len(judged) < 3:
        state: State = "cannot be judged"
    elif steep or (first is None and not signs):
        state = "not converged"
    elif signs:
        state, suggested = "overtrained", min(sign.good_epoch for sign in signs)
    else:
        state, suggested = "converged", last_epoch
    if state in ("cannot be judged", "not converged"):
        first = None
    return Verdict(state, first, suggested, plateaus, unsettled, signs)


def part_converged(verdict: Verdict, part: str) -> int | None:
    """Epoch by which most measures of one part of the network had become flat; None where they have not."""
    judged = [(m, p) for m, p in verdict.plateaus if m.part == part and p.judged]
    flat = sorted(p.epoch for m, p in judged if p.epoch is not None and _settled(m, p))
    most = len(judged) // 2 + 1
    return flat[most - 1] if judged and len(flat) >= most else None


def overtraining_signs(maps: MapCurves) -> tuple[Sign, ...]:
    """Signs that maps become worse, looked for once their correlation has come near its best.

    Before that, sharper maps and their noise cannot be told apart. Fewer than four used epochs show none.
    """
    if len(maps.epoch) < FEWEST_POINTS or not np.isfinite(maps.correlation).any():
        return ()
    correlation = _median(maps.correlation)
    best = np.nanmax(correlation)
    near = max(0.01, 0.1 * float(best - np.nanmin(correlation)))
    start = int(np.flatnonzero(correlation >= best - near)[0])
    pairs, high = maps.epoch[1:], maps.high_frequency_noise
    found = (
        _falling(pairs, maps.fsc_nyquist, 0.05, "the FSC at Nyquist between successive maps falls"),
        _falling(pairs, maps.correlation, 0.01, "the correlation between successive maps falls"),
        _growing(pairs, maps.solvent_noise[:, 1:], start, _NOISE_GROWTH, "noise outside the particle grows"),
        _growing(pairs, high, start, _HIGH_FREQUENCY_GROWTH, "noise at high frequencies grows"),
    )
    return tuple(sign for sign in found if sign is not None)


def sentences(verdict: Verdict, last_epoch: int) -> tuple[str, ...]:
    """The verdict for readers, the conclusion first."""
    first = verdict.first_converged_epoch
    lines: list[str] = []
    if verdict.state == "cannot be judged":
        lines.append("Convergence cannot be judged: there are too few epochs to see a plateau.")
        lines.append("Train for more epochs, or compare more of them with a smaller --epoch-interval.")
    elif verdict.state == "not converged":
        steep = any(_falls_steeply(m, p) for m, p in verdict.plateaus if p.judged)
        why = "the loss still falls steeply" if steep else "most measures still change"
        lines.append(f"Not converged by epoch {last_epoch}: {why}. Train further.")
    elif verdict.state == "converged":
        lines.append(
            f"Converged: most measures have been flat since epoch {first}, and no sign of overtraining is "
            f"seen. Analyse epoch {verdict.suggested_epoch}."
        )
    else:
        since = "" if first is None else f" Most measures have been flat since epoch {first}."
        lines.append(
            f"Overtrained: maps become worse after epoch {verdict.suggested_epoch}.{since} Look at the maps, "
            f"and analyse epoch {verdict.suggested_epoch}."
        )
        if any(_falls_on(m) for m, _ in verdict.plateaus):
            lines.append(
                "The loss falls on without slowing down, as where images are learned by heart: "
                "more particles or a smaller network help, not more epochs."
            )
    lines += [f"Sign of overtraining: {sign.text}." for sign in verdict.overtraining]
    lines += [f"{text[:1].upper()}{text[1:]}." for text in verdict.unsettled]
    return tuple(lines)


def plateau_text(measure: Measure, plateau: Plateau) -> str:
    """Since when a measure is flat, in a few words."""
    if not plateau.judged:
        return "too few epochs"
    return f"epoch {plateau.epoch}" if _settled(measure, plateau) else "still changing"


def _settled(measure: Measure, plateau: Plateau) -> bool:
    return plateau.epoch is not None and not _drifts(measure)


def _drifts(measure: Measure) -> bool:
    """Shifts that keep their direction are no convergence, however steady they are."""
    if measure.name != COSINE_DISTANCE:
        return False
    last = measure.value[np.isfinite(measure.value)][-3:]
    return bool(len(last) and np.median(last) < DRIFT_COSINE_DISTANCE)


def _falls_steeply(measure: Measure, plateau: Plateau) -> bool:
    falls = plateau.epoch is None and plateau.recent_change < 0
    return measure.name == TOTAL_LOSS and falls and plateau.recent_share >= _STEEP


def _falls_on(measure: Measure) -> bool:
    """Whether the loss falls as fast in the last third of the epochs as in the middle third.

    Learning what particles share slows down; learning each image by heart, noise included, does not.
    """
    value = measure.value[np.isfinite(measure.value)]
    if measure.name != TOTAL_LOSS or len(value) < SHORT:
        return False
    third = len(value) // 3
    middle, last = (
        np.polyfit(np.arange(third), part, 1)[0] for part in (value[-2 * third : -third], value[-third:])
    )
    return bool(last < 0 and last <= _UNSLOWED * middle)


def _still_changing(measure: Measure, plateau: Plateau) -> str:
    if plateau.epoch is not None:
        return f"{measure.name}: particles still drift in one direction"
    way = "falling" if plateau.recent_change < 0 else "rising"
    share = 100 * plateau.recent_share
    if share < 5:
        return f"{measure.name}: reached its last level only recently"
    # the slope of a curve that only bends may exceed its whole change
    much = "" if share > 100 else f", by {share:.0f} % of its whole change"
    return f"{measure.name}: still {way}{much} in the last fifth of the epochs"


def _median(values: Float[np.ndarray, "m n"]) -> Float[np.ndarray, " n"]:
    """Median over maps; NaN where no map has a value."""
    out = np.full(values.shape[1], np.nan)
    known = np.isfinite(values).any(axis=0)
    out[known] = np.nanmedian(values[:, known], axis=0)
    return out


def _falling(epoch: np.ndarray, values: np.ndarray, least: float, text: str) -> Sign | None:
    """A median over maps that has passed its peak, by more than its noise, in most maps."""
    curve = _median(values)
    if not np.isfinite(curve).all():
        return None
    peak = int(curve.argmax())
    end = float(curve[-2:].mean())
    fall = float(curve[peak]) - end
    if peak > len(curve) - 3 or fall < max(least, 4 * noise_of(curve) / np.sqrt(2)):
        return None
    falls = np.nanmean(values[:, -2:], axis=1) < values[:, peak]
    if falls.mean() < _MOST_MAPS:
        return None
    good = int(epoch[peak])
    return Sign(f"{text} from {curve[peak]:.3g} at epoch {good} to {curve[-1]:.3g}", good)


def _scatter(values: Float[np.ndarray, "m n"]) -> float:
    """Relative standard error of the median over maps, from how differently the maps vary by epoch."""
    relative = values / values.mean(axis=1, keepdims=True)
    return float(1.2533 * (relative / np.median(relative, axis=0)).std() / np.sqrt(len(values)))


def _growing(epoch: np.ndarray, values: np.ndarray, start: int, factor: float, text: str) -> Sign | None:
    """A median over maps that has grown steadily since its lowest value from `start` on, in most maps."""
    known = values[np.isfinite(values).all(axis=1)]
    if not len(known):
        return None
    curve = np.median(known, axis=0)
    width = 3 if len(curve) >= SHORT else 1
    smooth = rolling_mean(curve, width)
    low = start + int(smooth[start:].argmin())
    lowest, end = float(smooth[low]), float(curve[-width:].mean())
    noise = max(noise_of(curve), _scatter(known) * lowest) / np.sqrt(width)
    if len(curve) - low < 3 or lowest <= 0 or end < max(factor * lowest, lowest + 4 * noise):
        return None
    grows = known[:, -width:].mean(axis=1) > known[:, low]
    if (np.diff(smooth[low:]) > 0).mean() < 0.6 or grows.mean() < _MOST_MAPS:
        return None
    good = int(epoch[low])
    return Sign(f"{text}, by a factor of {end / lowest:.2f} since epoch {good}", good)
