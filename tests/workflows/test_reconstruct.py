"""reconstruct around the engine: files, rows of the original input, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.reconstruct import ReconstructRequest, reconstruct
from cryoscape.workflows.reconstruct_files import local_agreement
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, ZDIM, N, write_linear_run
from particle_files import noise_images, random_rotations, write_pickle, write_poses_pickle, write_stack


@pytest.fixture
def request_(tmp_path: Path) -> ReconstructRequest:
    """Images of all rows of the input, of which the run used every second."""
    run = write_linear_run(tmp_path / "run")
    stack, poses = tmp_path / "images.mrcs", tmp_path / "poses.pkl"
    write_stack(stack, noise_images(2 * N, BOX))
    write_poses_pickle(poses, random_rotations(2 * N), np.zeros((2 * N, 2)))
    return ReconstructRequest(stack, tmp_path / "maps", poses, run=run or tmp_path / "run", z=(0.0,) * ZDIM)


def test_map_half_maps_fsc_and_list_are_written(request_: ReconstructRequest) -> None:
    (found,) = reconstruct(request_)
    folder = request_.output
    for name in ("map_000", "map_000_half_a", "map_000_half_b", "map_000_confidence"):
        volume = read_volume(folder / f"{name}.mrc")
        assert volume.data.shape == (BOX,) * 3
        assert np.isfinite(volume.data).all()
        assert volume.pixel_size_angstrom == pytest.approx(PIXEL_SIZE_ANGSTROM)
    table = pd.read_csv(folder / "maps.csv")
    assert table.file.tolist() == ["map_000.mrc"]
    assert table.z0[0] == 0
    assert len((folder / "map_000_fsc-vals.txt").read_text().splitlines()) == BOX // 2 + 2
    assert found.n_near == table.n_near[0]


def test_a_selection_names_rows_of_the_original_input(request_: ReconstructRequest, tmp_path: Path) -> None:
    rows = np.arange(0, 40)  # of which the run used the twenty even ones
    ind = write_pickle(tmp_path / "ind.pkl", rows)
    (found,) = reconstruct(replace(request_, z=None, ind=ind))
    assert found.n_near == 20


def test_what_cannot_be_done_is_refused_before_anything_is_written(request_: ReconstructRequest) -> None:
    for change, message in (
        ({"z": None}, "exactly one"),
        ({"run": None}, "--run"),
        ({"z": (1.0,)}, "zdim"),
        ({"box_size": 32}, "--box 32"),
    ):
        with pytest.raises(InputError, match=message):
            reconstruct(replace(request_, **change))
    assert not request_.output.exists()


def test_local_agreement_is_one_where_half_maps_are_alike() -> None:
    import torch

    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(BOX, BOX, BOX, generator=generator) for _ in range(2))
    b[:, :, : BOX // 2] = a[:, :, : BOX // 2]
    found = local_agreement(a, b, 4.0)
    assert float(found[:, :, BOX // 4].mean()) > 0.95
    assert abs(float(found[:, :, 3 * BOX // 4].mean())) < 0.3
