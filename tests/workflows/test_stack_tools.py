"""translate_mrcs and phase_flip against numpy, through stacks, lists and star files."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest
from matplotlib.image import imread

from cryoscape.errors import InputError
from cryoscape.particles.keys import read_key_list
from cryoscape.particles.readers import load_particles
from cryoscape.workflows import stack_tools
from cryoscape.workflows.stack_tools import phase_flip, translate_mrcs
from particle_files import (
    legacy_ctf,
    noise_images,
    random_rotations,
    relion30_rows,
    write_pickle,
    write_poses_pickle,
    write_stack,
    write_star31,
)

N, BOX, PIXEL = 9, 16, 1.5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Images in one stack, in two with a list, and by a star file that names them backwards."""
    images = noise_images(N, BOX)
    write_stack(tmp_path / "s.mrcs", images, PIXEL)
    write_stack(tmp_path / "a.mrcs", images[:4], PIXEL)
    write_stack(tmp_path / "b.mrcs", images[4:], PIXEL)
    (tmp_path / "s.txt").write_text("a.mrcs\nb.mrcs\n")
    write_star31(tmp_path / "s.star", relion30_rows(N, "s.mrcs"), BOX, PIXEL)
    write_pickle(tmp_path / "ctf.pkl", legacy_ctf(N, BOX, PIXEL))
    monkeypatch.setattr(stack_tools, "working_batch", lambda _: 4)  # several blocks
    return tmp_path


def read(path: Path) -> np.ndarray:
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
        assert mrc.voxel_size.x == pytest.approx(PIXEL)
        return mrc.data.copy()


def whole_shifts() -> np.ndarray:
    return np.random.default_rng(1).integers(-4, 5, (N, 2))


@pytest.mark.parametrize("source", ["s.mrcs", "s.txt", "s.star"])
@pytest.mark.parametrize("bare", [True, False])
def test_whole_shifts_roll_the_pixels(folder: Path, source: str, bare: bool) -> None:
    shifts = whole_shifts() / BOX
    if bare:
        write_pickle(folder / "trans.pkl", shifts)
    else:
        write_poses_pickle(folder / "trans.pkl", random_rotations(N), shifts)
    translate_mrcs(folder / source, folder / "trans.pkl", folder / "out.mrcs", picture=folder / "out.png")
    expected = [
        np.roll(image, (y, x), (0, 1))
        for image, (x, y) in zip(noise_images(N, BOX), whole_shifts(), strict=True)
    ]
    np.testing.assert_allclose(read(folder / "out.mrcs"), expected, atol=1e-5)
    assert imread(folder / "out.png").shape[1] > 300


def test_a_factor_in_pixels_and_the_way_back(folder: Path) -> None:
    write_pickle(folder / "pixels.pkl", whole_shifts().astype(np.float32))
    translate_mrcs(folder / "s.mrcs", folder / "pixels.pkl", folder / "out.mrcs", scale=1 / BOX)
    translate_mrcs(folder / "out.mrcs", folder / "pixels.pkl", folder / "back.mrcs", scale=-1 / BOX)
    np.testing.assert_allclose(read(folder / "back.mrcs"), noise_images(N, BOX), atol=1e-5)


def ctf_of(row: np.ndarray) -> np.ndarray:
    """CTFFIND's formula on the grid of numpy's fft, negative at low frequency."""
    _, pixel, u, v, angle, kv, cs, w, phase = row.astype(np.float64)
    fy, fx = np.meshgrid(np.fft.fftfreq(BOX, pixel), np.fft.fftfreq(BOX, pixel), indexing="ij")
    squared, alpha = fx**2 + fy**2, np.arctan2(fy, fx)
    wavelength = 12.2643 / np.sqrt(kv * 1e3 * (1 + 0.978476e-6 * kv * 1e3))
    defocus = 0.5 * (u + v + (u - v) * np.cos(2 * (alpha - np.radians(angle))))
    gamma = 2 * np.pi * (-0.5 * defocus * wavelength * squared + 0.25 * cs * 1e7 * wavelength**3 * squared**2)
    gamma -= np.radians(phase)
    return np.sqrt(1 - w**2) * np.sin(gamma) - w * np.cos(gamma)


@pytest.mark.parametrize("source", ["s.mrcs", "s.txt"])
def test_phases_are_flipped_where_the_ctf_is_negative(folder: Path, source: str) -> None:
    phase_flip(folder / source, folder / "out.mrcs", folder / "ctf.pkl")
    before, after = (np.fft.fft2(images) for images in (noise_images(N, BOX), read(folder / "out.mrcs")))
    ctf = np.stack([ctf_of(row) for row in legacy_ctf(N, BOX, PIXEL)])
    # the frequency at -D/2 stands for two, of different CTF; and near a zero constants decide
    clear = (np.abs(ctf) > 0.05) & (np.indices((N, BOX, BOX))[1:] != BOX // 2).all(axis=0)
    assert clear.mean() > 0.7
    np.testing.assert_allclose(after[clear], (np.sign(ctf) * before)[clear], atol=1e-3)
    phase_flip(folder / "out.mrcs", folder / "back.mrcs", folder / "ctf.pkl")
    np.testing.assert_allclose(read(folder / "back.mrcs"), noise_images(N, BOX), atol=1e-4)


def test_the_ctf_of_a_star_file_is_its_own(folder: Path) -> None:
    phase_flip(folder / "s.star", folder / "own.mrcs")
    phase_flip(folder / "s.mrcs", folder / "named.mrcs", folder / "s.star")
    np.testing.assert_array_equal(read(folder / "own.mrcs"), read(folder / "named.mrcs"))
    with pytest.raises(InputError, match="has no CTF"):
        phase_flip(folder / "s.mrcs", folder / "no.mrcs")


def test_who_the_images_are_is_kept(folder: Path) -> None:
    """The stack made from a selection takes the poses and CTF of the whole set by its list of rows."""
    phase_flip(folder / "s.mrcs", folder / "out.mrcs", folder / "ctf.pkl")
    keys = read_key_list(folder / "out.mrcs")
    assert keys is not None
    np.testing.assert_array_equal(keys.row, np.arange(N))
    assert len(load_particles(folder / "out.mrcs", ctf=folder / "s.star")) == N


@pytest.mark.parametrize(
    ("shifts", "words"),
    [
        (np.zeros((N - 1, 2)), "8 shifts, but"),
        (np.full((N, 2), 5.0), "look like pixels"),
        (np.zeros((N, 3)), "does not hold poses"),
    ],
)
def test_shifts_that_do_not_fit(folder: Path, shifts: np.ndarray, words: str) -> None:
    write_pickle(folder / "trans.pkl", shifts)
    with pytest.raises(InputError, match=words):
        translate_mrcs(folder / "s.mrcs", folder / "trans.pkl", folder / "out.mrcs")
    assert not (folder / "out.mrcs").exists()


def test_nothing_is_replaced_and_no_input_is_written_over(folder: Path) -> None:
    write_pickle(folder / "trans.pkl", np.zeros((N, 2)))
    with pytest.raises(InputError, match="is an input"):
        translate_mrcs(folder / "s.txt", folder / "trans.pkl", folder / "a.mrcs", force=True)
    (folder / "out.mrcs").write_text("x")
    with pytest.raises(InputError, match="--force"):
        translate_mrcs(folder / "s.txt", folder / "trans.pkl", folder / "out.mrcs")
    translate_mrcs(folder / "s.txt", folder / "trans.pkl", folder / "out.mrcs", force=True)
    np.testing.assert_allclose(read(folder / "out.mrcs"), noise_images(N, BOX), atol=1e-5)


def test_images_made_from_made_images_are_known_by_the_first(folder: Path) -> None:
    moves = write_pickle(folder / "moves.pkl", np.zeros((N, 2)))
    translate_mrcs(folder / "s.star", moves, folder / "a2.mrcs")
    translate_mrcs(folder / "a2.mrcs", moves, folder / "b2.mrcs")
    first, second = (read_key_list(folder / name) for name in ("a2.mrcs", "b2.mrcs"))
    assert first is not None
    assert second is not None
    assert [Path(file).name for file in second.files] == ["s.mrcs"]
    np.testing.assert_array_equal(second.image_index, first.image_index)
    before = (folder / "b2.rows.parquet").read_bytes()
    with pytest.raises(InputError, match=r"b2.mrc: its list of rows b2.rows.parquet .* that of b2.mrcs"):
        translate_mrcs(folder / "s.mrcs", moves, folder / "b2.mrc")
    assert (folder / "b2.rows.parquet").read_bytes() == before
    assert not (folder / "b2.mrc").exists()
