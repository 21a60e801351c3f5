"""The verdict of a back-projection, in words: sign, poses, CTF, hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from cryoscape.analysis.consistency import Assumption, Observed, Trial, try_assumptions
from cryoscape.analysis.data_sign import ImagesSign, MapSign, images_sign
from cryoscape.analysis.reference_map import ReferenceMatch
from cryoscape.particles.fourier_store import FourierStore
from cryoscape.physics.grids import HalfPlane

Outcome = Literal["right", "wrong", "unsure"]
MAX_TRIED = 1000
"""Particles on which assumptions are tried; more only makes sure findings surer."""
_TRIAL_RADIUS = 32.0
_SURE_Z = 4.0
_SURE_P = 1e-3
_SURE_SKEWNESS = 0.3
_FLAGS = {True: "--uninvert-data", False: "without --uninvert-data"}

_ADVICE: dict[Assumption, str] = {
    "poses of other particles": "check that poses and images are of the same particles in the same order",
    "inverse rotations": "rotations are transposed: parse the poses again from the star or .cs file",
    "mirrored images": "images are upside down against the poses: were they flipped when converted?",
    "opposite shifts": "shifts have the opposite sign: parse the poses again from the star or .cs file",
    "no CTF": "are the images corrected for the CTF already? Then leave --ctf out",
    "CTF of other particles": "check that CTF and images are of the same particles in the same order",
}


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict."""

    subject: str
    outcome: Outcome
    sentence: str

    def line(self) -> str:
        """The finding as shown to the user."""
        mark = {"right": "ok", "wrong": "WRONG", "unsure": "unsure"}[self.outcome]
        return f"{self.subject} [{mark}]: {self.sentence}"


def chosen_rows(n: int) -> np.ndarray:
    """Positions of at most MAX_TRIED particles, evenly spaced, as many of each half set."""
    step = max(1, n // MAX_TRIED)
    return np.arange(0, n, step)[:MAX_TRIED]


def try_on(store: FourierStore, seed: int = 0) -> tuple[ImagesSign, list[Trial]]:
    """Evidence of some images: their sign, and where there are poses every assumption tried."""
    n_pixels = store.plane.count_within(min(_TRIAL_RADIUS, float(store.box_size // 2)))
    rows = torch.arange(store.n)
    coefficients, ctf = store.batch(rows, n_pixels), store.ctf(rows, n_pixels)
    plane = HalfPlane(store.box_size, store.plane.k[:n_pixels], store.plane.radius[:n_pixels])
    sign = images_sign(coefficients, ctf, plane)
    poses = store.particles.poses
    if poses is None or store.n < 4:
        return sign, []
    shift = torch.as_tensor(poses.shift_fraction, dtype=torch.float32)
    return sign, try_assumptions(Observed(plane, coefficients, ctf, store.rotations, shift), seed)


def sign_finding(images: ImagesSign, density: MapSign | None, inverted: bool, told: int | None) -> Finding:
    """Sign of the data.

    Parameters
    ----------
    images, density
        Evidence of single images and of the map.
    inverted
        Whether images were multiplied by -1 (the default).
    told
        blob/sign of cryoSPARC where there is one: -1, images are dark on light.
    """
    sure_images = images.p_value < _SURE_P
    skewness = 0.0 if density is None else density.skewness
    sure_map = abs(skewness) > _SURE_SKEWNESS
    evidence = []
    if density is not None:
        evidence.append(
            f"strongest features +{density.brightest:.1f} and -{density.darkest:.1f} standard deviations"
        )
    evidence.append(f"{images.n_images} single images: t = {images.t:+.1f}")
    if told is not None:
        evidence.append(f"the .cs file says sign {told:+d}")
    reasons = "; ".join(evidence)
    votes = [np.sign(images.t)] * sure_images + [np.sign(skewness)] * sure_map
    if votes and all(vote > 0 for vote in votes):
        return Finding("Sign", "right", f"the particle is bright with the sign used ({reasons}).")
    if votes and all(vote < 0 for vote in votes):
        return Finding("Sign", "wrong", f"the particle is dark ({reasons}). Run again {_FLAGS[inverted]}.")
    return Finding("Sign", "unsure", f"bright or dark cannot be told ({reasons}): look at the map.")


def pose_findings(trials: Sequence[Trial]) -> list[Finding]:
    """What the trials say of poses, shifts and CTF."""
    if not trials:
        return []
    by_name = {trial.assumption: trial for trial in trials}
    poses: tuple[Assumption, ...] = (
        "poses of other particles",
        "inverse rotations",
        "mirrored images",
        "opposite shifts",
    )
    found = [_judged("Poses", by_name, poses)]
    transfer: tuple[Assumption, ...] = ("no CTF", "CTF of other particles")
    if "no CTF" in by_name:
        found.append(_judged("CTF", by_name, transfer))
    else:
        found.append(Finding("CTF", "unsure", "none is given, images are taken as not modulated."))
    return found


def _judged(subject: str, trials: dict[Assumption, Trial], others: Sequence[Assumption]) -> Finding:
    given = trials["given"].correlation
    tried = [trials[name] for name in others if name in trials]
    best = min(tried, key=lambda trial: trial.z_given)
    compared = ", ".join(f"{t.assumption} {t.correlation:.3f}" for t in tried)
    numbers = f"images correlate {given:.3f} with the other half's map; {compared}"
    if best.z_given > _SURE_Z:
        return Finding(subject, "right", f"they explain the images better than any alternative ({numbers}).")
    chance = trials.get("poses of other particles")
    if best.z_given < -_SURE_Z:
        text = f"'{best.assumption}' explains the images better ({numbers}): {_ADVICE[best.assumption]}."
        return Finding(subject, "wrong", text)
    if subject == "Poses" and chance is not None and chance.z_given < _SURE_Z:
        best = chance
        text = f"no better than poses of other particles ({numbers}): {_ADVICE[best.assumption]}."
        return Finding(subject, "wrong", text)
    return Finding(subject, "unsure", f"no better than '{best.assumption}', within the noise ({numbers}).")


def reference_finding(match: ReferenceMatch, resolution_angstrom: float) -> Finding:
    """Hand and likeness against a reference map."""
    numbers = (
        f"FSC {match.same:.2f} with the reference, {match.mirrored:.2f} with its mirror image, "
        f"to {resolution_angstrom:.1f} A"
    )
    best = max(match.same, match.mirrored, key=abs)
    if abs(best) < 0.3:
        return Finding(
            "Reference",
            "wrong",
            f"the map does not look like it ({numbers}): another particle, box centre, or wrong poses?",
        )
    if best < 0:
        return Finding("Reference", "wrong", f"same shape, inverted density ({numbers}).")
    if match.same > match.mirrored + 0.05:
        return Finding("Reference", "right", f"same structure, same hand ({numbers}).")
    if match.mirrored > match.same + 0.05:
        return Finding(
            "Reference", "wrong", f"same structure, other hand ({numbers}): later maps need --flip."
        )
    return Finding("Reference", "unsure", f"same structure, hand cannot be told ({numbers}).")
