"""Maps by regression in eval_vol and analyze: those of reconstruct, finished as asked; what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoscape.engines.run_folder import load_run
from cryoscape.errors import InputError
from cryoscape.io.mrc import read_volume
from cryoscape.workflows.analyze import AnalyzeOptions, analyze
from cryoscape.workflows.eval_vol import EvalVolRequest, eval_vol
from cryoscape.workflows.reconstruct import ReconstructRequest, reconstruct
from cryoscape.workflows.reconstruct_files import BESIDE_MAP
from cryoscape.workflows.regressed_maps import images_of, preprocessing_of, regression_of
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, ZDIM, N, write_linear_run
from particle_files import noise_images, random_rotations, write_poses_pickle, write_stack

ZERO = (0.0,) * ZDIM


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that used every second of the images its configuration names."""
    stack, poses = tmp_path / "images.mrcs", tmp_path / "poses.pkl"
    write_stack(stack, noise_images(2 * N, BOX))
    write_poses_pickle(poses, random_rotations(2 * N), np.zeros((2 * N, 2)))
    return write_linear_run(
        tmp_path / "run", particles=str(stack), poses=str(poses), window=True, window_r=0.8
    )


def test_eval_vol_makes_the_map_of_reconstruct(run: Path, tmp_path: Path) -> None:
    (file,) = eval_vol(EvalVolRequest(run, tmp_path / "out", z=ZERO, maps="regression")).files
    reconstruct(
        ReconstructRequest(
            tmp_path / "images.mrcs", tmp_path / "maps", tmp_path / "poses.pkl", run=run, z=ZERO
        )
    )
    found, expected = read_volume(file), read_volume(tmp_path / "maps" / "map_000.mrc")
    # not the same window of the images
    assert np.corrcoef(found.data.ravel(), expected.data.ravel())[0, 1] > 0.99
    assert found.pixel_size_angstrom == pytest.approx(PIXEL_SIZE_ANGSTROM)
    for suffix in BESIDE_MAP:
        assert (tmp_path / "out" / f"vol_000{suffix}").is_file()
    table = pd.read_csv(tmp_path / "out" / "maps.csv")
    assert table.file.tolist() == ["vol_000.mrc"]


def test_options_of_maps_apply_to_map_and_half_maps(run: Path, tmp_path: Path) -> None:
    plain = EvalVolRequest(run, tmp_path / "plain", z=ZERO, maps="regression")
    eval_vol(plain)
    eval_vol(replace(plain, output=tmp_path / "turned", flip=True, invert=True))
    small = eval_vol(replace(plain, output=tmp_path / "small", downsample=8))
    assert small.pixel_size_angstrom == pytest.approx(2 * PIXEL_SIZE_ANGSTROM)
    for name in ("vol_000.mrc", "vol_000_half_a.mrc", "vol_000_half_b.mrc"):
        before, after = (read_volume(tmp_path / place / name).data for place in ("plain", "turned"))
        np.testing.assert_allclose(after[1:], -before[:0:-1], atol=1e-6)
        assert read_volume(tmp_path / "small" / name).data.shape == (8, 8, 8)
    tables = [pd.read_csv(tmp_path / place / "maps.csv") for place in ("plain", "turned")]
    assert tables[0].resolution_0143_angstrom[0] == pytest.approx(tables[1].resolution_0143_angstrom[0])


def test_analyze_writes_half_maps_and_a_table_a_folder(run: Path, tmp_path: Path) -> None:
    options = AnalyzeOptions(ksample=3, pc=1, n_per_pc=2, skip_umap=True, maps_from="regression")
    done = analyze(run, options=options, output=tmp_path / "out")
    assert [len(one.paths) for one in done.map_sets] == [3, 2]
    for one in done.map_sets:
        table = pd.read_csv(tmp_path / "out" / one.name / "maps.csv")
        assert table.resolution_0143_angstrom.tolist() == pytest.approx(list(one.resolutions_angstrom))
        assert table.file.tolist() == [path.name for path in one.paths]
        assert len(list((tmp_path / "out" / one.name).glob("vol_*_half_?.mrc"))) == 2 * len(one.paths)
    assert "FSC 0.143 of half maps" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(InputError, match="maps_from"):
        analyze(run, options=replace(options, maps_from="decoder"), output=tmp_path / "out")
    analyze(run, options=replace(options, maps_from="decoder"), output=tmp_path / "out", force=True)
    assert sorted(path.name for path in (tmp_path / "out" / "kmeans3").glob("vol_*")) == [
        f"vol_{i:03d}.mrc" for i in range(3)
    ]


def test_images_are_treated_as_in_training(run: Path) -> None:
    found = preprocessing_of(load_run(run))
    assert (found.invert, found.window, found.window_radius) == (True, True, 0.8)


def test_half_sets_stay_those_of_the_run_where_an_image_is_missing(run: Path, tmp_path: Path) -> None:
    images = noise_images(2 * N, BOX)
    images[6] = 1.0  # constant, so left out: the fourth image of the run
    write_stack(tmp_path / "images.mrcs", images)
    loaded = load_run(run)
    made = regression_of(loaded, images_of(loaded), preprocessing_of(loaded), tmp_path, PIXEL_SIZE_ANGSTROM)
    assert made.store.particles.row.tolist() == [row for row in loaded.original_rows if row not in (4, 6)]
    assert made.store.halves()[2:].tolist() == [0, 1] * (N // 2 - 2)
    assert len(made.regression.z) == N - 2


def test_missing_images_and_other_engines_are_refused_before_anything_is_written(
    run: Path, tmp_path: Path
) -> None:
    asked = EvalVolRequest(run, tmp_path / "out", z=ZERO, maps="regression")
    (tmp_path / "images.mrcs").rename(tmp_path / "gone.mrcs")
    with pytest.raises(InputError, match=r"images\.mrcs.*put them back"):
        eval_vol(asked)
    with pytest.raises(InputError, match="put them back"):
        analyze(run, options=AnalyzeOptions(maps_from="regression"), output=tmp_path / "out")
    with pytest.raises(InputError, match="z has 1 values"):
        eval_vol(replace(asked, z=(0.0,)))
    assert not (tmp_path / "out").exists()
