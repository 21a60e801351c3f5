"""Continuous heterogeneity: parts of a complex that swing and slide as rigid bodies along a path.

The motion file is JSON::

    {
        "path": "closed",
        "steps": 60,
        "bodies": {
            "stalk": {
                "chains": {"rna": "BC", "proteins": "F"},
                "rotation_degrees": 20,
                "axis": [0, 0, 1],
                "pivot": [12.0, 3.5, -8.0],
                "translation_angstrom": [0, 0, 5],
                "phase": 0.25,
            }
        },
    }

Along a "closed" path, t runs once around from 0 to 1 and each body is moved by cos(2 pi (t + phase)) times
its rotation and translation; along a "line", by 2 t - 1 (the phase is not used). Bodies rotate about ``axis``
(right-handed) through ``pivot``, in the frame of the files; without a pivot it is where the body touches the
rest, without an axis the one across body and rest, so that the body swings like a gate.
"""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cryoscape.errors import InputError
from cryoscape.particles.simulation_states import Placement, Scene, State, read_json

_KEYS = {"chains", "rotation_degrees", "axis", "pivot", "translation_angstrom", "phase"}
_CONTACT_SHARE = 0.05
_MIN_CONTACT_ATOMS = 20
MAX_STEPS = 10_000


def read_motion(path: Path, scene: Scene) -> tuple[State, ...]:
    """Read a motion file: one state a step, equally frequent, ``latent`` being t.

    Raises
    ------
    InputError
        If the file does not have the form above, or bodies share atoms.
    """
    content = read_json(path)
    kind, steps = content.get("path", "closed"), content.get("steps", 60)
    if kind not in ("closed", "line"):
        raise InputError(f'{path}: "path" is {kind!r}, expected "closed" or "line"')
    if isinstance(steps, bool) or not isinstance(steps, int) or not 2 <= steps <= MAX_STEPS:
        raise InputError(f'{path}: "steps" is {steps!r}, expected a whole number from 2 to {MAX_STEPS}')
    bodies = content.get("bodies")
    if not isinstance(bodies, dict) or not bodies:
        raise InputError(f'{path}: no "bodies": expected {{"bodies": {{name: {{"chains": {{...}}}}}}}}')
    atoms = {
        name: scene.atoms_of(_checked(body, path, name)["chains"], f"{path}, body {name}")
        for name, body in bodies.items()
    }
    times_moved = np.bincount(np.concatenate(list(atoms.values())), minlength=len(scene))
    if (times_moved > 1).any():
        raise InputError(f"{path}: {int((times_moved > 1).sum())} atoms belong to more than one body")
    rest = np.flatnonzero(times_moved == 0)
    hinges = {name: _hinge(scene, atoms[name], rest, body, path, name) for name, body in bodies.items()}
    states = []
    for step in range(steps):
        t = step / steps if kind == "closed" else step / (steps - 1)
        placements = [Placement(rest)] if len(rest) else []
        for name, body in bodies.items():
            amount = 2 * t - 1 if kind == "line" else np.cos(2 * np.pi * (t + float(body.get("phase", 0.0))))
            placements.append(_moved(scene, atoms[name], body, hinges[name], float(amount)))
        states.append(State(f"step {step}", 1 / steps, tuple(placements), t))
    return tuple(states)


def _checked(body: Any, path: Path, name: str) -> dict[str, Any]:
    if not isinstance(body, dict) or "chains" not in body:
        raise InputError(f'{path}, body {name}: expected {{"chains": {{file stem: "CHAINS"}}, ...}}')
    unknown = set(body) - _KEYS
    if unknown:
        raise InputError(
            f"{path}, body {name}: unknown key {sorted(unknown)[0]!r}; known: {', '.join(sorted(_KEYS))}"
        )
    for key in ("rotation_degrees", "phase"):
        if not isinstance(body.get(key, 0.0), int | float):
            raise InputError(f"{path}, body {name}: {key} is {body[key]!r}, expected a number")
    if not body.get("rotation_degrees") and not body.get("translation_angstrom"):
        raise InputError(f"{path}, body {name}: nothing moves; give rotation_degrees or translation_angstrom")
    return body


def _vector(body: dict[str, Any], key: str, path: Path, name: str) -> np.ndarray | None:
    value = body.get(key)
    if value is None:
        return None
    try:
        vector = np.array(value, dtype=np.float64)
    except (TypeError, ValueError):
        vector = np.empty(0)
    if vector.shape != (3,) or not np.isfinite(vector).all():
        raise InputError(f"{path}, body {name}: {key} is {value!r}, expected three numbers [x, y, z]")
    return vector


def _hinge(
    scene: Scene, atoms: np.ndarray, rest: np.ndarray, body: dict[str, Any], path: Path, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pivot (centred frame) and unit axis of a body."""
    _vector(body, "translation_angstrom", path, name)
    pivot, axis = _vector(body, "pivot", path, name), _vector(body, "axis", path, name)
    own = scene.coordinates_angstrom[atoms]
    if (pivot is None or axis is None) and not len(rest):
        raise InputError(f"{path}, body {name}: give pivot and axis, there is no part at rest to hinge on")
    pivot = (
        _contact(own, scene.coordinates_angstrom[rest]) if pivot is None else pivot - scene.centre_angstrom
    )
    if axis is None:
        axis = np.cross(own.mean(axis=0) - pivot, scene.coordinates_angstrom[rest].mean(axis=0) - pivot)
    length = float(np.linalg.norm(axis))
    if length < 1e-9:
        raise InputError(f"{path}, body {name}: the axis has no direction; give another one")
    return pivot, axis / length


def _contact(own: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """Mean of the atoms of a body that are nearest to the rest."""
    distance, _ = cKDTree(rest).query(own)
    n = min(len(own), max(_MIN_CONTACT_ATOMS, int(_CONTACT_SHARE * len(own))))
    return np.asarray(own[np.argsort(distance, kind="stable")[:n]].mean(axis=0))


def _moved(
    scene: Scene,
    atoms: np.ndarray,
    body: dict[str, Any],
    hinge: tuple[np.ndarray, np.ndarray],
    amount: float,
) -> Placement:
    pivot, axis = hinge
    angle = np.deg2rad(float(body.get("rotation_degrees", 0.0))) * amount
    rotation = Rotation.from_rotvec(angle * axis).as_matrix()
    slide = amount * np.asarray(body.get("translation_angstrom") or (0.0, 0.0, 0.0), dtype=np.float64)
    return Placement(atoms, rotation, pivot - rotation @ pivot + slide)
