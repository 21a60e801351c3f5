import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.errors import InputError
from cryoscape.io.mrc import open_mrc, read_volume, write_volume
from cryoscape.particles.simulation_drawing import ImagingConfig
from cryoscape.physics.fsc import fourier_shell_correlation
from cryoscape.workflows.backproject import BackprojectRequest, BackprojectResult, backproject
from cryoscape.workflows.demo_complex import demo_scene, demo_states
from cryoscape.workflows.preprocess import preprocess
from cryoscape.workflows.simulate import SimulateRequest, simulate_scene
from particle_files import write_pickle, write_stack

N, BOX, PIXEL = 600, 32, 7.0


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backproject") / "simulated"
    scene = demo_scene()
    imaging = ImagingConfig(BOX, PIXEL, snr=0.3, shift_sigma_px=1.0, seed=3)
    request = SimulateRequest((), folder, N, imaging, pixel_size_angstrom=PIXEL)
    simulate_scene(scene, demo_states(scene), request)
    return folder


@pytest.fixture
def request_of(simulated: Path, tmp_path: Path) -> Callable[..., BackprojectRequest]:
    def make(**changes: object) -> BackprojectRequest:
        request = BackprojectRequest(
            particles=simulated / "particles.mrcs",
            output=tmp_path / "out",
            poses=simulated / "poses.pkl",
            ctf=simulated / "ctf.pkl",
            pixel_size_angstrom=PIXEL,
        )
        return replace(request, **changes)

    return make


Make = Callable[..., BackprojectRequest]


def outcomes(result: BackprojectResult) -> dict[str, str]:
    return {finding.subject: finding.outcome for finding in result.findings}


def sentence(result: BackprojectResult, subject: str) -> str:
    return next(finding.sentence for finding in result.findings if finding.subject == subject)


def test_the_map_is_the_true_mean_and_everything_is_found_right(request_of: Make, simulated: Path) -> None:
    truth = read_volume(simulated / "truth" / "mean.mrc").data
    result = backproject(request_of(reference=simulated / "truth" / "mean.mrc"))
    assert outcomes(result) == {"Sign": "right", "Poses": "right", "CTF": "right", "Reference": "right"}
    assert result.files is not None
    found = read_volume(result.files.full)
    assert found.pixel_size_angstrom == pytest.approx(PIXEL)
    curve = fourier_shell_correlation(torch.from_numpy(found.data), torch.from_numpy(truth))
    assert float(curve[1 : BOX // 4 + 1].min()) > 0.95
    assert float((found.data * truth).sum() / (truth**2).sum()) == pytest.approx(1.0, abs=0.1)
    assert 2 * PIXEL <= result.resolution_angstrom < 3 * PIXEL


def test_the_files_are_complete_and_agree(request_of: Make) -> None:
    result = backproject(request_of())
    files = result.files
    assert files is not None
    assert files.half_a is not None
    assert files.half_b is not None
    half_a, half_b = read_volume(files.half_a).data, read_volume(files.half_b).data
    lines = files.fsc_table.read_text().splitlines()
    assert lines[0] == "pixres NoMask Spherical Loose Tight Corrected"
    table = np.loadtxt(lines[1:])
    assert table.shape == (BOX // 2 + 1, 6)
    np.testing.assert_allclose(table[:, 0], np.arange(BOX // 2 + 1) / BOX, atol=1e-6)
    curve = fourier_shell_correlation(torch.from_numpy(half_a), torch.from_numpy(half_b))
    np.testing.assert_allclose(table[1:, 1], curve[1:].numpy(), atol=1e-4)
    verdict = files.verdict.read_text()
    assert f"{N} particles" in verdict
    assert "Sign [ok]" in verdict
    for picture in (files.fsc_plot, files.overview):
        assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_map_name_puts_the_rest_beside_it(request_of: Make, tmp_path: Path) -> None:
    backproject(request_of(output=tmp_path / "new" / "map.128.mrc", first=100, half_maps=False))
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {"map.128.mrc"} | {
        f"map.128_{rest}" for rest in ("fsc-vals.txt", "fsc-plot.png", "map.png", "verdict.txt")
    }


def test_a_wrong_sign_is_found_and_the_flag_named(request_of: Make) -> None:
    result = backproject(request_of(invert=False))
    assert outcomes(result)["Sign"] == "wrong"
    assert "without --uninvert-data" in sentence(result, "Sign")
    assert outcomes(result)["Poses"] == "right"


def test_images_of_the_other_sign_ask_for_the_flag(request_of: Make, simulated: Path, tmp_path: Path) -> None:
    images = -np.array(open_mrc(simulated / "particles.mrcs", as_="stack"))
    result = backproject(request_of(particles=write_stack(tmp_path / "dark.mrcs", images, PIXEL)))
    assert outcomes(result)["Sign"] == "wrong"
    assert sentence(result, "Sign").endswith("Run again --uninvert-data.")


def wrong_poses(simulated: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    rotation, shift = pickle.loads((simulated / "poses.pkl").read_bytes())
    if kind == "shuffled":
        order = np.random.default_rng(0).permutation(N)
        return rotation[order], shift[order]
    if kind == "inverse":
        return rotation.transpose(0, 2, 1), shift
    return rotation, -shift


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("shuffled", "same particles in the same order"),
        ("inverse", "rotations are transposed"),
        ("opposite", "shifts have the opposite sign"),
    ],
)
def test_wrong_poses_are_found_and_named(
    request_of: Make, simulated: Path, tmp_path: Path, kind: str, says: str
) -> None:
    poses = write_pickle(tmp_path / "poses.pkl", wrong_poses(simulated, kind))
    result = backproject(request_of(poses=poses))
    assert outcomes(result)["Poses"] == "wrong"
    assert says in sentence(result, "Poses")


def test_images_upside_down_are_found(request_of: Make, simulated: Path, tmp_path: Path) -> None:
    images = np.array(open_mrc(simulated / "particles.mrcs", as_="stack"))
    flipped = np.roll(images[:, ::-1], 1, axis=1)
    result = backproject(request_of(particles=write_stack(tmp_path / "flipped.mrcs", flipped, PIXEL)))
    assert "upside down" in sentence(result, "Poses")


def test_ctf_of_other_particles_is_found(request_of: Make, simulated: Path, tmp_path: Path) -> None:
    table = pickle.loads((simulated / "ctf.pkl").read_bytes())
    # at this coarse pixel only a strong defocus makes itself felt
    table[:, 2:4] += np.random.default_rng(0).uniform(10_000, 60_000, (N, 1))
    result = backproject(request_of(ctf=write_pickle(tmp_path / "ctf.pkl", table)))
    assert outcomes(result)["CTF"] != "right"


@pytest.mark.parametrize(("change", "outcome"), [("mirror", "other hand"), ("noise", "does not look like")])
def test_a_reference_of_another_grid_tells_the_hand(
    request_of: Make, simulated: Path, tmp_path: Path, change: str, outcome: str
) -> None:
    truth = read_volume(simulated / "truth" / "mean.mrc").data
    if change == "mirror":
        other = np.roll(truth[::-1], 1, axis=0)
    else:
        other = np.random.default_rng(0).standard_normal(truth.shape).astype(np.float32)
    padded = np.pad(other, 3)  # 38 voxels
    write_volume(tmp_path / "reference.mrc", padded, PIXEL)
    result = backproject(request_of(reference=tmp_path / "reference.mrc"))
    assert outcome in sentence(result, "Reference")


def test_a_store_gives_the_same_map(request_of: Make, tmp_path: Path) -> None:
    direct = backproject(request_of(first=301))
    request = request_of()
    preprocess(request.particles, tmp_path / "store", request.poses, request.ctf)
    stored = replace(request, particles=tmp_path / "store", poses=None, ctf=None, output=tmp_path / "two.mrc")
    second = backproject(replace(stored, first=301))
    assert direct.files is not None
    assert second.files is not None
    a, b = read_volume(direct.files.full).data, read_volume(second.files.full).data
    assert second.n_images == 301
    assert float(np.abs(a - b).max()) < 0.02 * float(np.abs(a).max())  # half precision, other scale
    with pytest.raises(InputError, match="a store has its own poses"):
        backproject(replace(stored, poses=request.poses))


def test_without_poses_only_the_sign_is_tested(request_of: Make, tmp_path: Path) -> None:
    result = backproject(request_of(poses=None))
    assert result.files is None
    assert outcomes(result) == {"Sign": "right"}
    assert not (tmp_path / "out").exists()


def test_constant_images_are_left_out_and_counted(request_of: Make, simulated: Path, tmp_path: Path) -> None:
    images = np.array(open_mrc(simulated / "particles.mrcs", as_="stack"))
    images[[3, 10]] = 0.0
    result = backproject(request_of(particles=write_stack(tmp_path / "gaps.mrcs", images, PIXEL)))
    assert result.n_images == N - 2
    assert result.files is not None
    assert "(2 left out)" in result.files.verdict.read_text()


def test_another_folder_and_other_faults_are_refused(request_of: Make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds files of something else"):
        backproject(request_of())
    with pytest.raises(InputError, match="--first 0"):
        backproject(request_of(first=0))
    shutil.rmtree(tmp_path / "out")
    backproject(request_of(first=50))
    assert backproject(request_of(first=60)).n_images == 60  # its own results may be replaced


@pytest.mark.shared_data
def test_seven_real_images_tell_their_sign(shared_data: Path, tmp_path: Path) -> None:
    """Particles of EMPIAR-10076 are dark on light: the protocol gives --uninvert-data."""
    folder = shared_data / "particles"
    request = BackprojectRequest(folder / "empiar_10076_7.star", tmp_path / "out", datadir=folder)
    assert outcomes(backproject(request)) == {"Sign": "wrong"}
    assert outcomes(backproject(replace(request, invert=False))) == {"Sign": "right"}
