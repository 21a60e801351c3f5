"""Numbers of an analysis of convergence and the files they are kept in."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from cryoscape.analysis.convergence_verdict import Verdict, part_converged, plateau_text
from cryoscape.analysis.local_maxima import LocalMaxima
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.typing import Latents, Rows
from cryoscape.workflows.analyze_convergence_latents import LatentHistory
from cryoscape.workflows.analyze_convergence_maps import MapComparison
from cryoscape.workflows.analyze_results import write_json, write_rows, write_table

SETTINGS_FILE = "convergence.json"
_ONLY_ADDING = ("skip_umap", "skip_volgen", "max_threads")


@dataclass(frozen=True, eq=False)
class Convergence:
    """All that an analysis of convergence found.

    Attributes
    ----------
    losses : (epochs, total loss); None where the run has no log of them.
    agreement : (e - 1,) correlation of distances between particles with the used epoch before.
    planes : (s, 2) plane of the subset by used epoch, and what it is ("UMAP").
    medians : (k, e) row of the subset that stands for each maximum at each used epoch.
    maps : None where none were made.
    """

    run_name: str
    last_epoch: int
    history: LatentHistory
    losses: tuple[Int[np.ndarray, " l"], Float[np.ndarray, " l"]] | None
    agreement: Float[np.ndarray, " p"]
    planes: dict[int, np.ndarray]
    plane_kind: str
    maxima: LocalMaxima
    medians: Int[np.ndarray, "k e"]
    maps: MapComparison | None
    verdict: Verdict

    def plateau_of(self, name: str) -> int | None:
        """First flat epoch of a measure; None where it is not flat, or not measured."""
        return next((p.epoch for m, p in self.verdict.plateaus if m.name == name), None)


def fingerprint(z: Latents) -> str:
    """Hash that tells latents apart."""
    return hashlib.sha256(np.ascontiguousarray(z).tobytes()).hexdigest()


def check_folder(folder: Path, settings: dict[str, Any], force: bool) -> None:
    """Refuse to overwrite results of other latents or settings."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; give a folder with -o.")
    if force or not folder.is_dir() or not any(folder.iterdir()):
        return
    way_out = "give another folder with -o, or --force to replace"
    try:
        earlier = json.loads((folder / SETTINGS_FILE).read_text())
        before = dict(earlier["options"])
        same_run = all(earlier[key] == settings[key] for key in ("latents_sha256", "epochs"))
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(
            f"{folder}: holds files that are not of this program's analysis; {way_out}."
        ) from None
    if not same_run:
        raise InputError(f"{folder}: holds the analysis of other latents or epochs; {way_out}.")
    now = json.loads(json.dumps(settings["options"]))
    differing = [name for name in now if name not in _ONLY_ADDING and before.get(name) != now[name]]
    if differing:
        raise InputError(
            f"{folder}: holds an analysis with other settings ({', '.join(differing)}); {way_out}."
        )


def write_latent_numbers(
    folder: Path,
    history: LatentHistory,
    maxima: LocalMaxima,
    medians: Int[np.ndarray, "k e"],
    original_rows: Rows,
) -> None:
    """Subset, shifts, maxima and representative latents, in the files and layout of cryoDRGN."""
    write_array_pickle(folder / "ind_subset.pkl", history.rows)
    write_array_pickle(folder / "vector_metrics.pkl", history.shifts)
    place = folder / "repr_particles"
    place.mkdir(exist_ok=True)
    for column, epoch in enumerate(history.used):
        write_rows(place / f"latent_representative.{epoch}.txt", history.z[epoch][medians[:, column]])
    last = history.rows[medians[:, -1]]
    table = {
        "label": list(maxima.labels),
        "map": np.arange(len(maxima)),
        "particles": [len(members) for members in maxima.members],
        "row": last,
        "original_row": original_rows[last],
    }
    write_table(folder / "maxima", pd.DataFrame(table))
    members = {
        "row": np.concatenate([history.rows[m] for m in maxima.members]),
        "label": np.repeat(maxima.labels, [len(m) for m in maxima.members]),
    }
    members["original_row"] = original_rows[members["row"]]
    write_table(folder / "maxima_particles", pd.DataFrame(members))


def write_map_numbers(folder: Path, maps: MapComparison, labels: Sequence[str]) -> None:
    """Correlations and FSC curves as arrays, and one row a map and epoch in a table."""
    curves = maps.curves
    write_array_pickle(folder / "cc_masked.pkl", curves.correlation)
    write_array_pickle(folder / "fsc_masked.pkl", maps.fsc)
    write_array_pickle(folder / "fsc_xaxis.pkl", maps.frequency)
    first = np.full((len(labels), 1), np.nan)
    table = {
        "label": np.repeat(labels, len(curves.epoch)),
        "epoch": np.tile(curves.epoch, len(labels)),
        "correlation_with_previous": np.hstack([first, curves.correlation]).ravel(),
        "fsc_nyquist_with_previous": np.hstack([first, curves.fsc_nyquist]).ravel(),
        "high_frequency_noise": np.hstack([first, curves.high_frequency_noise]).ravel(),
        "solvent_noise": curves.solvent_noise.ravel(),
    }
    write_table(folder / "maps", pd.DataFrame(table))


def write_verdict(folder: Path, found: Convergence, sentences: Sequence[str]) -> None:
    """verdict.txt, one row an epoch of what is measured by epoch, and the verdict in convergence.json."""
    with replace_when_done(folder / "verdict.txt") as temporary:
        temporary.write_text("\n".join(sentences) + "\n", encoding="utf-8")
    write_table(folder / "epochs", _epoch_table(found))
    verdict = found.verdict
    settings = json.loads((folder / SETTINGS_FILE).read_text())
    settings["verdict"] = {
        "state": verdict.state,
        "first_converged_epoch": verdict.first_converged_epoch,
        "suggested_epoch": verdict.suggested_epoch,
        "encoder_converged_epoch": part_converged(verdict, "encoder"),
        "decoder_converged_epoch": part_converged(verdict, "decoder"),
        "measures": {m.name: plateau_text(m, p) for m, p in verdict.plateaus},
        "signs_of_overtraining": [sign.text for sign in verdict.overtraining],
        "still_changing": list(verdict.unsettled),
    }
    write_json(folder / SETTINGS_FILE, settings)


def _epoch_table(found: Convergence) -> pd.DataFrame:
    parts = [
        pd.DataFrame(
            found.history.shifts,
            index=found.history.shift_epochs,
            columns=["shift_dot", "shift_magnitude", "shift_cosine_distance"],
        ),
        pd.DataFrame({"relative_positions": found.agreement}, index=np.array(found.history.used[1:])),
    ]
    if found.losses is not None:
        parts.insert(0, pd.DataFrame({"total_loss": found.losses[1]}, index=found.losses[0]))
    table = pd.concat(parts, axis=1).sort_index()
    return table.rename_axis("epoch").reset_index()
