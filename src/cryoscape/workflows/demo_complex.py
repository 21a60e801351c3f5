"""A made-up complex for the demonstration: helical chains of beads, and sub-units that come and go."""

import numpy as np
from jaxtyping import Float

from cryoscape.particles.simulation_states import Placement, Scene, State, scene_from_arrays

ELECTRONS_A_BEAD = 54.0
"""About those of an amino acid."""
_HELIX_RADIUS, _HELIX_RISE, _HELIX_TURN = 2.3, 1.5, np.deg2rad(100.0)
"""Alpha helix: angstrom, angstrom a bead, radians a bead."""
_HELIX_SPACING = 10.0

STATES: dict[str, tuple[float, tuple[str, ...]]] = {
    "core": (0.20, ("ring", "pillar")),
    "core + cap": (0.27, ("ring", "pillar", "cap")),
    "core + arm": (0.19, ("ring", "pillar", "arm")),
    "core + cap + arm": (0.26, ("ring", "pillar", "cap", "arm")),
    "complete": (0.08, ("ring", "pillar", "cap", "arm", "foot")),
}
"""Name to share of the particles and sub-units; the complete complex is the minor state."""


def demo_scene() -> Scene:
    """About 2000 beads in five sub-units, some 150 A across; the same at every call."""
    parts = {
        "ring": _ring(radius=42.0, tube=11.0, from_degrees=-30.0, to_degrees=250.0),
        "pillar": _bundle((0.0, -4.0, 24.0), (17.0, 17.0, 34.0)),
        "cap": _bundle((4.0, -8.0, 70.0), (36.0, 24.0, 17.0), axis="x"),
        "arm": _bundle((52.0, 20.0, 32.0), (19.0, 19.0, 38.0), lean=(0.35, 0.2)),
        "foot": _bundle((-30.0, 16.0, -34.0), (24.0, 30.0, 20.0), axis="y"),
    }
    names = np.concatenate([np.full(len(beads), name) for name, beads in parts.items()])
    electrons = np.full(len(names), ELECTRONS_A_BEAD)
    return scene_from_arrays(
        np.concatenate(list(parts.values())), electrons, np.full(len(names), "demo"), names
    )


def demo_states(scene: Scene) -> tuple[State, ...]:
    """The states of `STATES`."""
    return tuple(
        State(name, fraction, (Placement(scene.atoms_of({"demo": list(parts)}, name)),), float(number))
        for number, (name, (fraction, parts)) in enumerate(STATES.items())
    )


def _ring(
    radius: float, tube: float, from_degrees: float, to_degrees: float, n_beads: int = 640
) -> Float[np.ndarray, "n 3"]:
    """A solenoid along an arc of a circle in the x, y plane: a helix of helices."""
    arc = np.deg2rad(np.linspace(from_degrees, to_degrees, n_beads))
    winding = 2 * np.pi * np.arange(n_beads) / n_beads * 11
    outward = np.stack([np.cos(arc), np.sin(arc), np.zeros_like(arc)], axis=1)
    up = np.array([0.0, 0.0, 1.0])
    swell = (tube * (1 + 0.15 * np.sin(3 * arc)))[:, None]
    across = np.cos(winding)[:, None] * outward + np.sin(winding)[:, None] * up
    return np.asarray(radius * outward + swell * across)


def _bundle(
    centre: tuple[float, float, float],
    half_axes: tuple[float, float, float],
    axis: str = "z",
    lean: tuple[float, float] = (0.0, 0.0),
) -> Float[np.ndarray, "n 3"]:
    """Parallel helices that fill an ellipsoid, along one of its axes, sheared by ``lean``."""
    order = {"x": (1, 2, 0), "y": (2, 0, 1), "z": (0, 1, 2)}[axis]
    a, b, c = (half_axes[i] for i in order)
    helices = []
    reach = int(max(a, b) / _HELIX_SPACING) + 1
    for i in range(-reach, reach + 1):
        for j in range(-reach, reach + 1):
            u = _HELIX_SPACING * (i + 0.5 * (j % 2))
            v = _HELIX_SPACING * 0.866 * j
            room = 1 - (u / a) ** 2 - (v / b) ** 2
            if room > 0.08:
                length = c * np.sqrt(room)
                t = np.arange(-length, length, _HELIX_RISE)
                turn = _HELIX_TURN * np.arange(len(t)) + i + j
                x = u + _HELIX_RADIUS * np.cos(turn) + lean[0] * t
                y = v + _HELIX_RADIUS * np.sin(turn) + lean[1] * t
                helices.append(np.stack([x, y, t], axis=1))
    local = np.concatenate(helices)
    out = np.empty_like(local)
    out[:, list(order)] = local
    return np.asarray(out + centre)
