"""Maps of a run of a linear engine, by its folder or its weights, against the sum of mean and bases."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.eval_vol import EvalVolRequest, eval_vol
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, linear_maps, write_linear_run

Z = (0.5, -1.0, 2.0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_linear_run(tmp_path / "run")


def expected() -> np.ndarray:
    maps = linear_maps()
    return maps.mean + 0.5 * maps.bases[0] - maps.bases[1] + 2 * maps.bases[2]


def evaluate(weights: Path, output: Path, **more: Any) -> tuple[np.ndarray, float]:
    (file,) = eval_vol(EvalVolRequest(weights, output, **{"z": Z, **more})).files
    found = read_volume(file)
    return found.data, found.pixel_size_angstrom


@pytest.mark.parametrize("given", [".", "weights.pkl"])
@pytest.mark.parametrize("engine", ["subspace", "states"])
def test_a_folder_or_its_weights_give_the_map(tmp_path: Path, given: str, engine: str) -> None:
    run = write_linear_run(tmp_path / "run", engine)
    volume, pixel_size = evaluate(run / given, tmp_path / "one.mrc")
    np.testing.assert_allclose(volume, expected(), atol=1e-5)
    assert pixel_size == pytest.approx(PIXEL_SIZE_ANGSTROM)


def test_the_options_of_maps_apply(run: Path, tmp_path: Path) -> None:
    small, pixel_size = evaluate(run, tmp_path / "small.mrc", downsample=8)
    assert (small.shape, pixel_size) == ((8, 8, 8), pytest.approx(2 * PIXEL_SIZE_ANGSTROM))
    assert small.sum() == pytest.approx(expected().sum(), rel=1e-4)
    mirrored, _ = evaluate(run, tmp_path / "mirrored.mrc", flip=True, invert=True)
    np.testing.assert_allclose(mirrored[1:], -expected()[:0:-1], atol=1e-5)
    _, given = evaluate(run, tmp_path / "given.mrc", pixel_size_angstrom=4.0)
    assert given == pytest.approx(4.0)


def test_latents_and_boxes_that_do_not_fit_are_refused(run: Path, tmp_path: Path) -> None:
    for more, words in (
        ({"z": (1.0,)}, "z has 1 values, the model's zdim is 3"),
        ({"downsample": 2 * BOX}, "expected an even box of at most 16 px"),
    ):
        with pytest.raises(InputError, match=words):
            evaluate(run, tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()
