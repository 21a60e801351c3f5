"""What is simulated: atoms in one frame, and the states they take (which parts are there, and where)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import torch
from jaxtyping import Float, Int

from cryoscape.errors import InputError
from cryoscape.io.atomic_model import read_atomic_model
from cryoscape.physics.density import atom_density


@dataclass(frozen=True)
class Scene:
    """Atoms of all model files in one frame, moved so that their mean lies at the origin.

    Attributes
    ----------
    coordinates_angstrom : (A, 3)
    electrons : (A,) atomic numbers.
    file, chain : (A,) text, stem of the file (without .gz) and chain name of each atom.
    centre_angstrom : (3,) the mean that was subtracted.
    """

    coordinates_angstrom: Float[np.ndarray, "a 3"]
    electrons: Float[np.ndarray, " a"]
    file: np.ndarray
    chain: np.ndarray
    centre_angstrom: Float[np.ndarray, " 3"]

    def __len__(self) -> int:
        return len(self.electrons)

    @property
    def radius_angstrom(self) -> float:
        """Distance of the outermost atom from the centre."""
        return float(np.linalg.norm(self.coordinates_angstrom, axis=1).max())

    def atoms_of(self, chains: Any, where: str) -> Int[np.ndarray, " m"]:
        """Rows of the atoms of some chains, ascending.

        ``chains`` maps file stems to one-letter names in a text, a list of names, or "*" for all chains.

        Raises
        ------
        InputError
            For a file or a chain that is not there; ``where`` names the place that asks for it.
        """
        if not isinstance(chains, Mapping):
            raise InputError(f'{where}: expected {{"file stem": "CHAINS"}}, found {type(chains).__name__}')
        chosen = np.zeros(len(self), dtype=bool)
        for stem, wanted in chains.items():
            of_file = self.file == stem
            if not of_file.any():
                known = ", ".join(dict.fromkeys(self.file.tolist()))
                raise InputError(f"{where}: no model file called {stem!r} was given; files: {known}")
            if wanted == "*":
                chosen |= of_file
                continue
            for name in wanted:
                of_chain = of_file & (self.chain == name)
                if not of_chain.any():
                    there = " ".join(sorted(set(self.chain[of_file].tolist())))
                    raise InputError(f"{where}: {stem} has no chain {name!r}; it has {there}")
                chosen |= of_chain
        return np.flatnonzero(chosen)


@dataclass(frozen=True)
class Placement:
    """Some atoms, moved as one rigid body: x' = x @ rotation.T + translation; None leaves them in place."""

    atoms: Int[np.ndarray, " m"]
    rotation: Float[np.ndarray, "3 3"] | None = None
    translation_angstrom: Float[np.ndarray, " 3"] | None = None

    @property
    def at_rest(self) -> bool:
        """Whether the atoms are where their file has them."""
        return self.rotation is None and self.translation_angstrom is None


@dataclass(frozen=True)
class State:
    """One structure of the ensemble: its share of the particles and its place along the motion, if any."""

    name: str
    fraction: float
    placements: tuple[Placement, ...]
    latent: float

    def coordinates(self, scene: Scene) -> tuple[Float[np.ndarray, "m 3"], Float[np.ndarray, " m"]]:
        """Positions and electrons of all atoms of the state."""
        parts = [_place(scene.coordinates_angstrom[p.atoms], p) for p in self.placements]
        rows = np.concatenate([p.atoms for p in self.placements])
        return np.concatenate(parts), scene.electrons[rows]


def _place(coordinates: np.ndarray, placement: Placement) -> np.ndarray:
    if placement.rotation is not None:
        coordinates = coordinates @ placement.rotation.T
    if placement.translation_angstrom is not None:
        coordinates = coordinates + placement.translation_angstrom
    return coordinates


def scene_from_arrays(
    coordinates_angstrom: np.ndarray, electrons: np.ndarray, file: np.ndarray, chain: np.ndarray
) -> Scene:
    """Make a scene of atoms given as arrays, centred on their mean."""
    centre = np.asarray(coordinates_angstrom, dtype=np.float64).mean(axis=0)
    return Scene(coordinates_angstrom - centre, electrons.astype(np.float64), file, chain, centre)


def read_scene(models: Sequence[Path]) -> Scene:
    """Read models (PDB or mmCIF, also .gz) that share one frame; waters are left out.

    Raises
    ------
    InputError
        If a file cannot be read, or two have the same stem.
    """
    stems = [_stem(path) for path in models]
    repeated = {stem for stem in stems if stems.count(stem) > 1}
    if repeated:
        raise InputError(
            f"two model files are called {repeated.pop()!r}: chains are told by that name, rename one"
        )
    if not models:
        raise InputError("no atomic model given; name one or more .pdb or .cif files")
    read = [read_atomic_model(path, waters=False) for path in models]
    elements = np.concatenate([model.element for model in read])
    number = {e: max(1, int(gemmi.Element(str(e)).atomic_number)) for e in np.unique(elements)}
    return scene_from_arrays(
        np.concatenate([model.coordinates_angstrom for model in read]),
        np.array([number[e] for e in elements], dtype=np.float64),
        np.repeat(np.array(stems), [len(model) for model in read]),
        np.concatenate([model.chain for model in read]),
    )


def _stem(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    return name.rsplit(".", 1)[0] if "." in name else name


def whole(scene: Scene) -> tuple[State, ...]:
    """The one state that has all atoms."""
    return (State("all", 1.0, (Placement(np.arange(len(scene))),), 0.0),)


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    InputError
        If the file is missing or holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; check the path") from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(content).__name__}")
    return content


def read_states(path: Path, scene: Scene) -> tuple[State, ...]:
    """Read compositional states: ``{"fractions": {state: f}, "states": {state: {file stem: "CHAINS"}}}``.

    Without fractions all states are equally frequent; fractions are scaled to sum to 1. Further keys are
    ignored.

    Raises
    ------
    InputError
        If the file does not have this form, or names files, chains or states that are not there.
    """
    content = read_json(path)
    chain_sets = content.get("states")
    if not isinstance(chain_sets, dict) or not chain_sets:
        raise InputError(f'{path}: no "states": expected {{"states": {{name: {{file stem: "CHAINS"}}}}}}')
    fractions = _fractions(content.get("fractions"), list(chain_sets), path)
    return tuple(
        State(
            str(name),
            fractions[name],
            (Placement(scene.atoms_of(chains, f"{path}, state {name}")),),
            float(number),
        )
        for number, (name, chains) in enumerate(chain_sets.items())
    )


def _fractions(given: Any, names: list[str], path: Path) -> dict[str, float]:
    if given is None:
        return dict.fromkeys(names, 1 / len(names))
    if not isinstance(given, dict) or set(given) != set(names):
        wrong = set(names) ^ set(given) if isinstance(given, dict) else names
        raise InputError(
            f'{path}: "fractions" must give one number for each of "states"; differing: {sorted(wrong)}'
        )
    values = {name: given[name] for name in names}
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not v >= 0 for v in values.values()):
        raise InputError(f"{path}: fractions must be numbers of 0 or more, found {list(values.values())}")
    total = float(sum(values.values()))
    if not 0 < total < np.inf:
        raise InputError(f"{path}: fractions sum to {total:g}, expected a positive number")
    return {name: value / total for name, value in values.items()}


def wrong_states(scene: Scene, n: int, rng: np.random.Generator, n_blocks: int = 12) -> tuple[State, ...]:
    """Other particles of the same mass: the atoms in blocks that are turned and scattered at random."""
    blocks = np.array_split(np.arange(len(scene)), min(n_blocks, len(scene)))
    spread = float(np.sqrt((scene.coordinates_angstrom**2).sum(axis=1).mean()))
    states = []
    for number in range(n):
        placements = []
        for block in blocks:
            turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
            turn[:, 0] *= np.sign(np.linalg.det(turn))
            to = rng.normal(scale=0.6 * spread / np.sqrt(3), size=3)
            centre = scene.coordinates_angstrom[block].mean(axis=0)
            placements.append(Placement(block, turn, to - turn @ centre))
        states.append(State(f"wrong {number}", 0.0, tuple(placements), -1.0))
    return tuple(states)


class DensityMaker:
    """Maps of states on one grid, electrons per cubic angstrom; what stays at rest is computed once.

    ``n_dropped`` is the largest number of atoms of one state that lay outside the box.
    """

    def __init__(
        self, scene: Scene, sigma_angstrom: float, box_size: int, pixel_size_angstrom: float
    ) -> None:
        self._scene, self._sigma = scene, sigma_angstrom
        self._box, self._pixel = box_size, pixel_size_angstrom
        self._kept: tuple[bytes, torch.Tensor, int] | None = None
        self.n_dropped = 0

    def __call__(self, state: State) -> Float[torch.Tensor, "z y x"]:
        """Density of a state, (D, D, D) float32, the scene's centre at voxel D // 2."""
        moving = [p for p in state.placements if not p.at_rest]
        resting = [p for p in state.placements if p.at_rest]
        density, dropped = torch.zeros((self._box,) * 3), 0
        if resting:
            key = np.concatenate([p.atoms for p in resting]).tobytes()
            if self._kept is None or self._kept[0] != key:
                self._kept = (key, *self._density(resting))
            density, dropped = self._kept[1].clone(), self._kept[2]
        if moving:
            part, n = self._density(moving)
            density, dropped = density + part, dropped + n
        self.n_dropped = max(self.n_dropped, dropped)
        return density

    def _density(self, placements: list[Placement]) -> tuple[torch.Tensor, int]:
        coordinates, electrons = State("", 0.0, tuple(placements), 0.0).coordinates(self._scene)
        return atom_density(
            torch.from_numpy(coordinates).float(),
            torch.from_numpy(electrons).float(),
            self._sigma,
            self._box,
            self._pixel,
        )
