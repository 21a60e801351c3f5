"""Downsampling against numpy transforms, in every form of input and output."""

import resource
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.mrc import open_mrc, read_mrc_header, read_volume
from cryoscape.io.stack_list import read_stack_list, write_stack_list
from cryoscape.io.star import read_star
from cryoscape.particles.keys import read_key_list
from cryoscape.particles.readers import load_particles
from cryoscape.workflows.disk import check_free_space
from cryoscape.workflows.downsample import downsample, downsample_volume
from particle_files import (
    noise_images,
    random_rotations,
    relion30_rows,
    write_map,
    write_pickle,
    write_poses_pickle,
    write_stack,
    write_star30,
    write_star31,
)

N, BOX, SMALL = 20, 16, 8


def smooth_images(n: int, box: int, limit: int, seed: int = 0) -> np.ndarray:
    """Images without power at |kx| or |ky| >= limit: cropping to 2 limit loses nothing."""
    transform = np.fft.fft2(noise_images(n, box, seed))
    k = np.abs(np.fft.fftfreq(box) * box)
    transform[:, k >= limit] = 0
    transform[:, :, k >= limit] = 0
    return np.fft.ifft2(transform).real.astype(np.float32)


def cropped(images: np.ndarray, box: int) -> np.ndarray:
    """Centred transform, the middle box x box of it, back; the sum is kept."""
    old = images.shape[-1]
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images.astype(float), axes=(1, 2))), axes=(1, 2))
    part = slice(old // 2 - box // 2, old // 2 - box // 2 + box)
    small = np.fft.ifft2(np.fft.ifftshift(centred[:, part, part], axes=(1, 2)))
    return np.fft.fftshift(small.real, axes=(1, 2))


@pytest.fixture
def images() -> np.ndarray:
    return smooth_images(N, BOX, SMALL // 2)


@pytest.fixture
def stack(tmp_path: Path, images: np.ndarray) -> Path:
    return write_stack(tmp_path / "s.mrcs", images, 1.5)


def test_a_stack(stack: Path, images: np.ndarray, tmp_path: Path) -> None:
    result = downsample(stack, SMALL, tmp_path / "out" / "d.mrcs")
    found = open_mrc(tmp_path / "out" / "d.mrcs")
    np.testing.assert_allclose(found, cropped(images, SMALL), atol=1e-5)
    np.testing.assert_allclose(found.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=1e-4, atol=1e-3)
    assert (result.n_images, result.box_size, result.pixel_size_angstrom) == (N, SMALL, pytest.approx(3.0))
    assert mrcfile.validate(tmp_path / "out" / "d.mrcs")
    assert read_mrc_header(tmp_path / "out" / "d.mrcs").pixel_size_angstrom == pytest.approx(3.0)


@pytest.mark.parametrize("box", [6, 10, 14, 16])
def test_frequencies_below_nyquist_are_kept(tmp_path: Path, box: int) -> None:
    images = noise_images(3, BOX)
    downsample(write_stack(tmp_path / "s.mrcs", images, 1.5), box, tmp_path / "d.mrcs")
    expected = np.fft.fft2(cropped(images, box))
    found = np.fft.fft2(open_mrc(tmp_path / "d.mrcs").astype(float))
    inside = np.abs(np.fft.fftfreq(box) * box) < box // 2
    np.testing.assert_allclose(found[:, inside][:, :, inside], expected[:, inside][:, :, inside], atol=1e-3)


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_threads_and_chunks_do_not_matter(
    stack: Path, images: np.ndarray, tmp_path: Path, batch: int
) -> None:
    result = downsample(stack, SMALL, tmp_path / "d.mrcs", chunk=6, batch_size=batch, max_threads=1)
    assert [path.name for path in result.stacks] == ["d.0.mrcs", "d.1.mrcs", "d.2.mrcs", "d.3.mrcs"]
    assert [open_mrc(path).shape[0] for path in result.stacks] == [6, 6, 6, 2]
    assert read_stack_list(tmp_path / "d.txt") == result.stacks
    found = np.concatenate([open_mrc(path) for path in result.stacks])
    np.testing.assert_allclose(found, cropped(images, SMALL), atol=1e-5)


def test_more_stacks_than_files_may_be_open(tmp_path: Path) -> None:
    images = smooth_images(200, BOX, SMALL // 2)
    source = write_stack(tmp_path / "s.mrcs", images)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 120), hard))
    try:
        result = downsample(source, SMALL, tmp_path / "d.mrcs", chunk=1)
        found = downsample(tmp_path / "d.txt", 4, tmp_path / "e.txt")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(result.stacks) == len(found.stacks) == 200
    np.testing.assert_allclose(open_mrc(result.stacks[150])[0], cropped(images[150:151], SMALL)[0], atol=1e-5)


def test_a_selection_keeps_its_original_rows(stack: Path, images: np.ndarray, tmp_path: Path) -> None:
    rows = np.array([18, 2, 3])
    downsample(stack, SMALL, tmp_path / "d.mrcs", ind=write_pickle(tmp_path / "ind.pkl", rows))
    np.testing.assert_allclose(open_mrc(tmp_path / "d.mrcs"), cropped(images[rows], SMALL), atol=1e-5)
    poses = write_poses_pickle(tmp_path / "p.pkl", random_rotations(N))
    particles = load_particles(tmp_path / "d.mrcs", poses)
    assert particles.row.tolist() == rows.tolist()
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.rotation, random_rotations(N)[rows])


def test_images_made_from_made_images_are_known_by_the_first(stack: Path, tmp_path: Path) -> None:
    downsample(stack, 12, tmp_path / "a.mrcs", ind=write_pickle(tmp_path / "ind.pkl", np.array([18, 2, 3])))
    downsample(tmp_path / "a.mrcs", SMALL, tmp_path / "b.mrcs")
    keys = read_key_list(tmp_path / "b.mrcs")
    assert keys is not None
    assert [Path(file).name for file in keys.files] == ["s.mrcs"]
    assert keys.image_index is not None
    assert (keys.image_index.tolist(), keys.row.tolist()) == ([18, 2, 3], [18, 2, 3])


def test_an_odd_box_is_remembered_by_images_made_from_made_images(tmp_path: Path) -> None:
    """Shifts are fractions of the box that was cropped by a pixel before all else."""
    downsample(write_stack(tmp_path / "s.mrcs", noise_images(3, 17), 1.5), 16, tmp_path / "a.mrcs")
    downsample(tmp_path / "a.mrcs", SMALL, tmp_path / "b.mrcs")
    poses = write_poses_pickle(tmp_path / "p.pkl", random_rotations(3), np.full((3, 2), 0.1))
    particles = load_particles(tmp_path / "b.mrcs", poses)
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.shift_fraction, 0.1 * 17 / 16, rtol=1e-6)


def test_a_list_of_rows_that_is_anothers_is_not_replaced(stack: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    downsample(stack, SMALL, out / "d.mrcs")
    downsample(stack, SMALL, out / "d.mrcs")
    before = (out / "d.rows.parquet").read_bytes()
    with pytest.raises(InputError, match=r"d.txt: its list of rows d.rows.parquet .* that of d.mrcs"):
        downsample(stack, SMALL, out / "d.txt")
    assert (out / "d.rows.parquet").read_bytes() == before
    assert not (out / "d.txt").exists()


def test_a_list_gives_a_stack_each(stack: Path, images: np.ndarray, tmp_path: Path) -> None:
    more = smooth_images(5, BOX, SMALL // 2, seed=9)
    write_stack(tmp_path / "t.mrcs", more, 1.5)
    write_stack_list(tmp_path / "set.txt", ["t.mrcs", "s.mrcs"])
    result = downsample(tmp_path / "set.txt", SMALL, tmp_path / "out" / "d.txt")
    assert [open_mrc(path).shape[0] for path in result.stacks] == [5, N]
    found = np.concatenate([open_mrc(path) for path in read_stack_list(tmp_path / "out" / "d.txt")])
    np.testing.assert_allclose(found, cropped(np.concatenate([more, images]), SMALL), atol=1e-5)


@pytest.mark.parametrize("dialect", ["30", "31"])
def test_a_star_file_gives_the_same_particles_at_a_smaller_box(
    stack: Path, images: np.ndarray, tmp_path: Path, dialect: str
) -> None:
    rows = relion30_rows(N, "s.mrcs", pixel_size=1.5)
    order = np.random.default_rng(0).permutation(N)
    rows = [rows[i] for i in order]
    source = tmp_path / "a.star"
    write_star30(source, rows) if dialect == "30" else write_star31(source, rows, BOX, 1.5)
    output = tmp_path / "small" / "d.star"
    result = downsample(source, SMALL, output, outdir=tmp_path / "stacks", chunk=8)
    assert all(path.parent == tmp_path / "stacks" for path in result.stacks)
    before, after = load_particles(source), load_particles(output)
    assert before.poses is not None
    assert after.poses is not None
    assert before.ctf is not None
    assert after.ctf is not None
    np.testing.assert_allclose(after.poses.rotation, before.poses.rotation, atol=1e-12)
    np.testing.assert_allclose(after.poses.shift_fraction, before.poses.shift_fraction, atol=1e-12)
    np.testing.assert_allclose(after.ctf.defocus_u_angstrom, before.ctf.defocus_u_angstrom)
    np.testing.assert_allclose(after.pixel_size_at(SMALL), 3.0)
    np.testing.assert_allclose(before.pixel_size_at(SMALL), 3.0)
    assert after.box_size_px == SMALL
    assert after.images is not None
    found = [
        open_mrc(after.images.files[f])[i]
        for f, i in zip(after.images.file_index, after.images.image_index, strict=True)
    ]
    np.testing.assert_allclose(found, cropped(images[order], SMALL), atol=1e-5)
    columns = set(read_star(source).particles) - {"rlnImageName"}
    assert columns <= set(read_star(output).particles)
    assert not [notice for notice in after.notices if "pixel size" in notice]


def test_a_star_file_downsampled_twice_with_selections(stack: Path, tmp_path: Path) -> None:
    """The second file holds rows of the first input; each line still belongs to its image."""
    rows = relion30_rows(N, "s.mrcs", pixel_size=1.5)
    source = write_star30(tmp_path / "a.star", rows)
    one, two = tmp_path / "one.star", tmp_path / "two.star"
    downsample(source, 12, one, ind=write_pickle(tmp_path / "1.pkl", np.array([19, 4, 11, 7])))
    downsample(one, SMALL, two, ind=write_pickle(tmp_path / "2.pkl", np.array([7, 19])))
    found = read_star(two).particles
    assert found["rlnDefocusU"].tolist() == [rows[7]["rlnDefocusU"], rows[19]["rlnDefocusU"]]
    particles = load_particles(two)
    assert particles.row.tolist() == [7, 19]
    assert particles.poses is not None
    reference = load_particles(source).poses
    assert reference is not None
    np.testing.assert_allclose(particles.poses.shift_fraction, reference.shift_fraction[[7, 19]], atol=1e-12)
    np.testing.assert_allclose(
        open_mrc(tmp_path / "two.mrcs")[0], cropped(open_mrc(stack)[7:8], SMALL)[0], atol=1e-5
    )


def test_odd_boxes_lose_a_row_and_a_column_first(tmp_path: Path) -> None:
    images = noise_images(3, 17)
    source = write_stack(tmp_path / "s.mrcs", images, 1.5)
    result = downsample(source, SMALL, tmp_path / "d.mrcs")
    small = smooth_images(3, 16, 4)
    assert small.shape[1] == 16
    found = np.fft.fft2(open_mrc(tmp_path / "d.mrcs").astype(float))[:, :4, :4]
    np.testing.assert_allclose(found, np.fft.fft2(cropped(images[:, :16, :16], SMALL))[:, :4, :4], atol=1e-3)
    assert result.pixel_size_angstrom == pytest.approx(3.0)
    shift = np.full((3, 2), 2 / 17)
    particles = load_particles(
        tmp_path / "d.mrcs", write_poses_pickle(tmp_path / "p.pkl", random_rotations(3), shift)
    )
    assert particles.poses is not None
    np.testing.assert_allclose(particles.poses.shift_fraction * 16, 2)


def test_bad_images_are_told_by_their_rows(tmp_path: Path) -> None:
    images = noise_images(N, BOX)
    images[3], images[11, 2, 2] = 5.0, np.nan
    result = downsample(write_stack(tmp_path / "s.mrcs", images), SMALL, tmp_path / "d.mrcs")
    assert result.bad_rows == (3, 11)


def test_integer_images_become_float(tmp_path: Path) -> None:
    images = (noise_images(N, BOX) * 50).astype(np.int16)
    downsample(write_stack(tmp_path / "s.mrcs", images), SMALL, tmp_path / "d.mrcs")
    found = open_mrc(tmp_path / "d.mrcs")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=(1, 2)), images.sum(axis=(1, 2)), rtol=1e-4, atol=0.05)


@pytest.mark.parametrize("box", [7, 0, -2, 18])
def test_boxes_that_cannot_be_are_refused(stack: Path, tmp_path: Path, box: int) -> None:
    with pytest.raises(InputError, match="-D"):
        downsample(stack, box, tmp_path / "d.mrcs")
    assert not (tmp_path / "d.mrcs").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [("d.txt2", r"ends in \.mrcs"), ("d.star", r"needs a \.star input"), ("s.mrcs", "is an input")],
)
def test_outputs_that_cannot_be_are_refused(stack: Path, tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        downsample(stack, SMALL, tmp_path / name)
    assert read_mrc_header(stack).n_x == BOX


def test_chunks_need_a_size(stack: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--chunk 0"):
        downsample(stack, SMALL, tmp_path / "d.mrcs", chunk=0)


def test_an_error_in_the_middle_leaves_nothing(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cryoscape.workflows import downsample as module

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "find_bad_images", broken)
    with pytest.raises(KeyboardInterrupt):
        downsample(stack, SMALL, tmp_path / "out" / "d.mrcs", chunk=5)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_full_disk_is_told_before_the_work(tmp_path: Path) -> None:
    check_free_space(tmp_path / "new" / "folder" / "a.mrcs", 1000)
    with pytest.raises(InputError, match="make room"):
        check_free_space(tmp_path / "new" / "a.mrcs", 10**18)


def test_a_volume_keeps_its_density_extent_and_origin(tmp_path: Path) -> None:
    axis = np.arange(BOX) - BOX // 2
    blob = np.exp(-(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2) / (2 * 2.5**2))
    source = write_map(tmp_path / "v.mrc", blob, 1.5)
    result = downsample_volume(source, SMALL, tmp_path / "d.mrc")
    found = read_volume(tmp_path / "d.mrc")
    np.testing.assert_allclose(found.data, blob[::2, ::2, ::2], atol=0.01)
    assert found.pixel_size_angstrom == result.pixel_size_angstrom == pytest.approx(3.0)
    for output, message in ((source, "is the input"), (tmp_path / "d.mrcs", r"must end in \.mrc")):
        with pytest.raises(InputError, match=message):
            downsample_volume(source, SMALL, output)
    with pytest.raises(InputError, match="larger than"):
        downsample_volume(source, 32, tmp_path / "e.mrc")
    with pytest.raises(InputError, match="is a stack of images"):
        downsample_volume(write_stack(tmp_path / "s.mrcs", noise_images(3, BOX)), SMALL, tmp_path / "e.mrc")


def test_real_images_named_by_star_and_cryosparc_are_the_same(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "particles"
    outputs = []
    for name in ("empiar_10076_7.star", "empiar_10076_7.cs", "empiar_10076_7.mrc"):
        output = tmp_path / f"{name}.mrcs"
        result = downsample(folder / name, 128, output)
        outputs.append(open_mrc(output))
        if not name.endswith(".mrc"):  # the header of this stack does not tell its pixel size
            assert result.pixel_size_angstrom == pytest.approx(1.31 * 320 / 128, rel=1e-5)
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])
    original = open_mrc(folder / "empiar_10076_7.mrc")
    np.testing.assert_allclose(outputs[0].sum(axis=(1, 2)), original.sum(axis=(1, 2)), rtol=1e-4, atol=1)
    expected = cropped(np.asarray(original), 128)
    found, expected = np.fft.fft2(outputs[0].astype(float)), np.fft.fft2(expected)
    inside = np.abs(np.fft.fftfreq(128) * 128) < 64
    found, expected = found[:, inside][:, :, inside], expected[:, inside][:, :, inside]
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_real_relion31_to_a_star(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "particles" / "relion31.star"
    downsample(source, 64, tmp_path / "d.star")
    before, after = load_particles(source), load_particles(tmp_path / "d.star")
    assert before.poses is not None
    assert after.poses is not None
    np.testing.assert_allclose(after.poses.rotation, before.poses.rotation, atol=1e-12)
    np.testing.assert_allclose(after.poses.shift_fraction, before.poses.shift_fraction, atol=1e-12)
    np.testing.assert_allclose(after.pixel_size_at(64), 2.806 * 4)
    star = read_star(tmp_path / "d.star")
    assert star.optics is not None
    assert star.optics["rlnImageSize"].tolist() == [64]
    assert star.optics["rlnImagePixelSize"].tolist() == [pytest.approx(11.224)]
