"""From model files to the elements whose occupancy is measured, checked against the maps."""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from cryoscape.errors import InputError
from cryoscape.io.atomic_model import AtomicModel, read_atomic_model
from cryoscape.io.element_list import read_element_list
from cryoscape.occupancy.elements import Element, chain_elements, moved, named_elements
from cryoscape.occupancy.fit import ModelFit, Placing, find_placing, measure_fit
from cryoscape.occupancy.model import MapGrid
from cryoscape.typing import Volume, Volumes

logger = logging.getLogger("cryoscape")

FitMode = Literal["check", "shift", "rigid", "ignore"]

_MAPS_AVERAGED = 20


@runtime_checkable
class Ensemble(Protocol):
    """Maps of an ensemble, from files or from a model."""

    @property
    def grid(self) -> MapGrid:
        """Common to all maps."""
        ...

    def __len__(self) -> int: ...

    def volumes(self, first: int, last: int) -> Volumes:
        """Maps first to last - 1, (n, z, y, x) float32."""
        ...


@dataclass(frozen=True)
class ModelRequest:
    """Which parts of which models, at what resolution.

    Attributes
    ----------
    models : PDB or mmCIF files in one frame; each is called by its stem.
    resolution_angstrom : of the elements' maps.
    chains : which chains; None for all.
    elements : list of elements, .toml or .csv, in place of chains.
    fit : "check" refuses a model that lies elsewhere than the maps; "shift" moves it there first, "rigid"
        turns it too; "ignore" uses it as it is.
    """

    models: tuple[Path, ...]
    resolution_angstrom: float
    chains: tuple[str, ...] | None = None
    elements: Path | None = None
    fit: FitMode = "check"


@dataclass(frozen=True)
class PreparedModel:
    """Elements where they lie in the maps.

    Attributes
    ----------
    placing : the motion that put them there; None for as in the files.
    fit : of all atoms, after that.
    """

    request: ModelRequest
    elements: tuple[Element, ...]
    placing: Placing | None
    fit: ModelFit

    def record(self) -> dict[str, Any]:
        """What elements.json keeps."""
        return {
            "models": {stem_of(path): str(path.resolve()) for path in self.request.models},
            "resolution_angstrom": self.request.resolution_angstrom,
            "elements": {e.name: [part.text for part in e.parts] for e in self.elements},
            "placing": None if self.placing is None else placing_matrix(self.placing),
            "fit": {**asdict(self.fit), "verdict": self.fit.verdict},
        }


def placing_matrix(placing: Placing) -> list[list[float]]:
    """Rotation and translation in angstrom, three rows of four."""
    return np.column_stack([placing.rotation, placing.translation_angstrom]).tolist()


def stem_of(path: Path) -> str:
    """Name of a model: that of its file without .gz and .pdb or .cif."""
    name = path.name.removesuffix(".gz")
    return Path(name).stem


def read_models(paths: tuple[Path, ...]) -> dict[str, AtomicModel]:
    """Read model files, by stem.

    Raises
    ------
    InputError
        For none, unreadable ones, or two of one name.
    """
    if not paths:
        raise InputError("no atomic model given; name one or more .pdb or .cif files with --model")
    models: dict[str, AtomicModel] = {}
    for path in paths:
        if stem_of(path).lower() in (stem.lower() for stem in models):
            raise InputError(f"two model files are called {stem_of(path)!r}; rename one")
        models[stem_of(path)] = read_atomic_model(path)
    return models


def choose_elements(request: ModelRequest, models: Mapping[str, AtomicModel]) -> tuple[Element, ...]:
    """Elements asked for; InputError for a resolution or a choice that cannot be."""
    if not request.resolution_angstrom > 0:
        raise InputError(f"--resolution {request.resolution_angstrom:g}: expected a resolution in A, above 0")
    if request.chains is not None and request.elements is not None:
        raise InputError("--chains and --elements exclude each other; give one of them")
    if request.elements is None:
        return chain_elements(models, request.chains)
    try:
        return named_elements(models, read_element_list(request.elements))
    except InputError as error:
        if str(request.elements) in str(error):
            raise
        raise InputError(f"{request.elements}: {error}") from error


def prepare_model(request: ModelRequest, maps: Ensemble) -> PreparedModel:
    """Read the models, choose elements, and see that the models lie in the maps.

    Raises
    ------
    InputError
        As `read_models` and `choose_elements`, and for a model that does not fit (unless ignored).
    """
    models = read_models(request.models)
    elements = choose_elements(request, models)
    if request.resolution_angstrom < maps.grid.voxel_angstrom / 2:
        logger.warning(
            "--resolution %g: finer than the voxels of %.3g A can hold; about the voxel size is finest",
            request.resolution_angstrom, maps.grid.voxel_angstrom,
        )  # fmt: skip
    whole = chain_elements(models)
    mean = mean_map(maps)
    # a model's own density is smoother than its elements' masks need be: compare where voxels can follow
    resolution = max(request.resolution_angstrom, 1.5 * maps.grid.voxel_angstrom)
    placing = None
    if request.fit in ("shift", "rigid"):
        placing = find_placing(whole, resolution, mean, maps.grid, turn=request.fit == "rigid")
        whole = moved(whole, placing.rotation, placing.translation_angstrom)
        elements = moved(elements, placing.rotation, placing.translation_angstrom)
    fit = measure_fit(whole, resolution, mean, maps.grid)
    _judge(fit, request.fit)
    if placing is not None:
        logger.info("model moved by %s A", _numbers(_centre_shift(placing, whole)))
    return PreparedModel(request, elements, placing, fit)


def _centre_shift(placing: Placing, moved_elements: tuple[Element, ...]) -> np.ndarray:
    now = np.concatenate([e.coordinates_angstrom for e in moved_elements]).mean(axis=0)
    before = (now - placing.translation_angstrom) @ placing.rotation
    return np.asarray(now - before)


def mean_map(maps: Ensemble) -> Volume:
    """Mean of up to 20 maps spread over the ensemble."""
    chosen = np.unique(np.linspace(0, len(maps) - 1, _MAPS_AVERAGED).round().astype(int))
    total = np.zeros(maps.grid.shape)
    for i in chosen:
        total += maps.volumes(int(i), int(i) + 1)[0]
    return (total / len(chosen)).astype(np.float32)


def _numbers(values: Any) -> str:
    return " ".join(f"{float(value):.1f}" for value in values)


def _judge(fit: ModelFit, mode: FitMode) -> None:
    """Log how the model sits; InputError where occupancies would mean nothing."""
    wrong = {
        "other hand": f"the maps have the other hand of the model (details agree by {fit.best_detail:.2f}, "
        f"mirrored by {fit.mirrored_detail:.2f}); make the maps with --flip",
        "inverted": f"the maps are the negative of the model (correlation {fit.correlation:.2f}); make them "
        "with --invert",
        "misplaced": f"the model lies {fit.shift_px:.1f} voxels or more from where it fits "
        f"({_numbers(fit.best_shift_angstrom)} A); let it be moved with --fit shift, or align it",
        "none": f"the model is nowhere near the maps' density (correlation {fit.correlation:.2f}); "
        "let it be moved with --fit shift or --fit rigid, or align it",
    }
    if fit.verdict in wrong and mode != "ignore":
        raise InputError(f"--model: {wrong[fit.verdict]} (--fit ignore goes on regardless)")
    logger.info(
        "model in the mean map: correlation %.2f, of gradients %.2f, at best %.2f when moved by %s A (%.1f "
        "voxels), %.2f in maps of the other hand",
        fit.correlation, fit.detail, fit.best_detail, _numbers(fit.best_shift_angstrom), fit.shift_px,
        fit.mirrored_detail,
    )  # fmt: skip
    if fit.verdict in wrong:
        logger.warning("%s", wrong[fit.verdict])
    elif fit.verdict == "shifted":
        logger.warning(
            "the model would fit better moved by %s A (%.1f voxels): occupancies suffer, see --fit shift%s",
            _numbers(fit.best_shift_angstrom), fit.shift_px, _flip_hint(fit),
        )  # fmt: skip
    elif fit.verdict == "poor":
        logger.warning(
            "the model and the mean map are little alike (correlation %.2f): a small part of the structure, "
            "or misplaced?", fit.correlation,
        )  # fmt: skip


def _flip_hint(fit: ModelFit) -> str:
    x, y, z = np.abs(fit.best_shift_angstrom) / fit.voxel_angstrom
    if max(x, y) < 0.3 and 0.7 < z < 1.3:
        return "; one voxel along z is what cryoDRGN's --flip leaves at one box size but not at another"
    return ""
