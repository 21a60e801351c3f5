"""Data sets of the benchmarks, simulated once from the segmented 50S models and used again.

    python benchmarks/datasets.py assembly swing20 junk --models DATA/50s -o sets

DATA/50s holds the models (*.pdb) and assembly_states.json. Each set is a folder as `cryoscape simulate`
writes it, with the truth inside. ``-n`` and ``-D`` make a smaller or finer version, in a folder of its own.
"""

import argparse
import json
import logging
import sys
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from scipy.spatial import cKDTree

from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from cryoscape.io.mrc import read_volume
from cryoscape.particles.simulation_drawing import ImagingConfig, Junk, Noise
from cryoscape.particles.simulation_states import Scene, read_json, read_scene
from cryoscape.workflows.simulate import SimulateRequest, simulate

BOX_ANGSTROM = 420.0
STATES_FILE = "assembly_states.json"
SWINGING = ("L1stalk", "CP")
N_STEPS = 60
_HINGE_ATOMS = 200
Path_ = Literal["closed", "line"]
Kind = Literal["states", "closed", "line"]


@dataclass(frozen=True)
class Recipe:
    """How a set is simulated; box 420 A, shifts of 1 % of the box, defocus 8,000 to 25,000 A.

    Attributes
    ----------
    swing_degrees : amplitude of stalk and protuberance; None for the 14 assembly states.
    path : of the swing; on the closed one the two are a quarter turn apart, on the line they go together.
    """

    about: str
    n_particles: int = 20_000
    box_size: int = 64
    snr: float = 0.05
    swing_degrees: float | None = None
    path: Path_ = "closed"
    noise: Noise = "white"
    contrast_sigma: float = 0.0
    junk_fraction: float = 0.0
    junk: tuple[Junk, ...] = ("noise", "poses", "edges")


RECIPES: dict[str, Recipe] = {
    "assembly": Recipe("14 states of an assembling 50S ribosome"),
    "assembly128": Recipe("the same, larger and finer", 100_000, 128, 0.04),
    "swing20": Recipe("stalk and protuberance turn by 20 degrees, closed path", swing_degrees=20.0),
    "swing8": Recipe("the same by 8 degrees", swing_degrees=8.0),
    "swing20line": Recipe("20 degrees, open path", swing_degrees=20.0, path="line"),
    "swing8line": Recipe("8 degrees, open path", swing_degrees=8.0, path="line"),
    "junk": Recipe(
        "assembly with 20 % junk, varying contrast, radial noise",
        noise="radial",
        contrast_sigma=0.3,
        junk_fraction=0.2,
    ),
}


@dataclass(frozen=True)
class Truth:
    """What a simulated set holds beside its images.

    Attributes
    ----------
    kind : "states", or the path of a motion.
    labels : (N,) state of each particle; -1 for junk.
    latent : (N,) place along the path, 0 to 1; NaN for junk.
    contrast : (N,)
    junk : (N,) kind of junk, text, empty for none.
    names, fractions : of the K states; fractions are those of the particles that are not junk.
    """

    folder: Path
    kind: Kind
    labels: np.ndarray
    latent: np.ndarray
    contrast: np.ndarray
    junk: np.ndarray
    names: tuple[str, ...]
    fractions: np.ndarray
    map_files: tuple[str, ...]

    @property
    def known(self) -> np.ndarray:
        """(N,) whether a particle is no junk."""
        return self.labels >= 0

    @cached_property
    def maps(self) -> np.ndarray:
        """True maps (K, D, D, D) float32."""
        return np.stack([read_volume(self.folder / "truth" / name).data for name in self.map_files])


def load_truth(folder: Path) -> Truth:
    """Read the truth of a set.

    Raises
    ------
    InputError
        If the folder is no simulation.
    """
    truth = folder / "truth"
    if not (truth / "simulation.yaml").is_file():
        raise InputError(f"{folder}: no truth/simulation.yaml; make the set with benchmarks/datasets.py")
    record = yaml.safe_load((truth / "simulation.yaml").read_text())
    particles = pd.read_parquet(truth / "particles.parquet")
    states = pd.read_csv(truth / "states.csv")
    none = np.where(particles["label"] < 0, "noise", "")  # sets made before kinds were told apart
    return Truth(
        folder=folder,
        kind=_kind(record.get("motion"), folder),
        labels=particles["label"].to_numpy(),
        latent=particles["latent"].to_numpy(),
        contrast=particles["contrast"].to_numpy(),
        junk=particles["junk"].to_numpy(dtype=str) if "junk" in particles else none,
        names=tuple(states["state"].astype(str)),
        fractions=states["particles"].to_numpy() / states["particles"].sum(),
        map_files=tuple(states["map"]),
    )


def _kind(motion: str | None, folder: Path) -> Kind:
    if not motion:
        return "states"
    beside = folder / Path(motion).name  # sets may be moved
    kind: Kind = read_json(beside if beside.is_file() else Path(motion)).get("path", "closed")
    return kind


def swing_motion(scene: Scene, states: dict[str, Any], degrees: float, path: Path_) -> dict[str, Any]:
    """Motion of the two swinging blocks, as `cryoscape simulate --motion` reads it.

    Each turns about its hinge, the mean of its 200 atoms nearest to the core (all other blocks); the axis is
    perpendicular to hinge -> body and hinge -> core. On the closed path the protuberance follows the stalk by
    a quarter turn.
    """
    blocks = states["blocks"]
    atoms = {name: scene.atoms_of(chains, name) for name, chains in blocks.items()}
    core = np.concatenate([rows for name, rows in atoms.items() if name not in SWINGING])
    core_xyz = scene.coordinates_angstrom[core]
    tree, bodies = cKDTree(core_xyz), {}
    for name, phase in zip(SWINGING, (0.0, -0.25), strict=True):
        own = scene.coordinates_angstrom[atoms[name]]
        distance, _ = tree.query(own)
        hinge = own[np.argsort(distance, kind="stable")[:_HINGE_ATOMS]].mean(axis=0)
        axis = np.cross(own.mean(axis=0) - hinge, core_xyz.mean(axis=0) - hinge)
        bodies[name] = {
            "chains": blocks[name],
            "rotation_degrees": degrees,
            "axis": (axis / np.linalg.norm(axis)).tolist(),
            "pivot": (hinge + scene.centre_angstrom).tolist(),
            "phase": phase,
        }
    return {"path": path, "steps": N_STEPS, "bodies": bodies}


def folder_of(name: str, recipe: Recipe, sets: Path) -> Path:
    """Where a set lies: under its name, with size and box where they are not the usual ones."""
    usual = RECIPES[name]
    if (recipe.n_particles, recipe.box_size) == (usual.n_particles, usual.box_size):
        return sets / name
    return sets / f"{name}-{recipe.n_particles}x{recipe.box_size}"


def recipe_for(name: str, n_particles: int | None = None, box_size: int | None = None) -> Recipe:
    """Recipe of a set, in another size if asked for.

    Raises
    ------
    InputError
        If there is no such set.
    """
    if name not in RECIPES:
        raise InputError(f"no data set {name!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    return replace(
        recipe, n_particles=n_particles or recipe.n_particles, box_size=box_size or recipe.box_size
    )


def make_set(name: str, recipe: Recipe, sets: Path, models: Path | None) -> Path:
    """Simulate a set, unless it is there; return its folder.

    Raises
    ------
    InputError
        If models are missing, or the folder holds a simulation of another size.
    """
    folder = folder_of(name, recipe, sets)
    record = folder / "truth" / "simulation.yaml"
    if record.is_file():
        _check_same(yaml.safe_load(record.read_text()), recipe, folder)
        return folder
    if models is None:
        raise InputError(f"{folder}: not there yet; give --models, the folder of *.pdb and {STATES_FILE}")
    files, states = tuple(sorted(models.glob("*.pdb"))), models / STATES_FILE
    if not files or not states.is_file():
        raise InputError(f"{models}: does not hold *.pdb and {STATES_FILE}")
    pixel = BOX_ANGSTROM / recipe.box_size
    imaging = ImagingConfig(
        recipe.box_size,
        pixel,
        snr=recipe.snr,
        noise=recipe.noise,
        shift_sigma_px=0.01 * recipe.box_size,
        contrast_sigma=recipe.contrast_sigma,
        junk_fraction=recipe.junk_fraction,
        junk=recipe.junk,
    )
    request = SimulateRequest(files, folder, recipe.n_particles, imaging, pixel_size_angstrom=pixel)
    if recipe.swing_degrees is None:
        request = replace(request, states=states)
    else:
        motion = swing_motion(read_scene(files), read_json(states), recipe.swing_degrees, recipe.path)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "motion.json", json.dumps(motion, indent=1))
        request = replace(request, motion=folder / "motion.json")
    start = time.perf_counter()
    simulate(request)
    print(f"{folder}: simulated in {time.perf_counter() - start:.1f} s")
    return folder


def _check_same(record: dict[str, Any], recipe: Recipe, folder: Path) -> None:
    imaging = record["imaging"]
    found = (record["n_particles"], imaging["box_size"], imaging["snr"], imaging["junk_fraction"])
    asked = (recipe.n_particles, recipe.box_size, recipe.snr, recipe.junk_fraction)
    if found != asked:
        raise InputError(
            f"{folder}: holds a simulation of (particles, box, SNR, junk) {found}, expected {asked}; "
            "remove it or choose another folder"
        )


def add_size_options(parser: argparse.ArgumentParser) -> None:
    """Options that say where sets lie and how large they are."""
    parser.add_argument("--models", type=Path, help=f"folder of the models (*.pdb) and {STATES_FILE}")
    parser.add_argument("-n", type=int, help="particles [those of the recipe]")
    parser.add_argument("-D", dest="box_size", type=int, help="side of the images in px [of the recipe]")


def main() -> None:
    """Make the sets named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sets", nargs="+", metavar="SET", help=f"one or more of {', '.join(RECIPES)}")
    parser.add_argument("-o", "--outdir", type=Path, required=True, help="folder of the sets")
    add_size_options(parser)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in arguments.sets:
            recipe = recipe_for(name, arguments.n, arguments.box_size)
            print(make_set(name, recipe, arguments.outdir, arguments.models), recipe.about)
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
