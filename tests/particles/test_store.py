"""The Fourier store against plain numpy transforms of the images."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.errors import InputError
from cryoscape.particles.metadata import CtfTable, ImageAddresses, Particles, Poses
from cryoscape.particles.preprocessing import background_pixels, measure, window_of
from cryoscape.particles.stack import ImageStack
from cryoscape.particles.store import FourierStore, PreprocessConfig, build_store, is_store, open_store
from cryoscape.physics.ctf import contrast_transfer
from particle_files import legacy_ctf, noise_images, random_rotations, write_stack

N, BOX, PIXEL = 30, 16, 2.0
PLAIN = PreprocessConfig(invert=False, window=False, background="keep")


def particle_set(folder: Path, images: np.ndarray, shift: float = 0.1, seed: int = 0) -> Particles:
    n = len(images)
    path = write_stack(folder / "s.mrcs", images, PIXEL)
    rng = np.random.default_rng(seed)
    return Particles(
        images=ImageAddresses.whole_files([path], [n]),
        row=np.arange(n),
        uid=np.arange(n, dtype=np.uint64) + 5,
        poses=Poses(random_rotations(n), rng.uniform(-shift, shift, (n, 2))),
        ctf=CtfTable.from_legacy(legacy_ctf(n, BOX, PIXEL)),
        data_sign=-1,
        source=path,
        box_size_px=BOX,
        n_original=n,
        notices=("a notice",),
    )


def build(particles: Particles, config: PreprocessConfig = PLAIN, cache: Path | None = None) -> FourierStore:
    return build_store(particles, ImageStack.from_particles(particles), config, cache)


def expected_coefficients(images: np.ndarray, k: np.ndarray, shift_px: np.ndarray) -> np.ndarray:
    """sum over pixels f(x) exp(-2 pi i k.(x + t) / D), by definition, origin at pixel D // 2."""
    axis = np.arange(BOX) - BOX // 2
    x = np.exp(-2j * np.pi * np.outer(k[:, 0], axis) / BOX)
    y = np.exp(-2j * np.pi * np.outer(k[:, 1], axis) / BOX)
    plain = np.einsum("py,nyx,px->np", y, images, x)
    return plain * np.exp(-2j * np.pi * shift_px @ k.T / BOX)


def symmetric_hartley_std(images: np.ndarray) -> float:
    """Standard deviation of the Hartley transform on the grid with both Nyquist ends."""
    centred = np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(images.astype(float), axes=(1, 2))), axes=(1, 2))
    hartley = centred.real - centred.imag
    hartley = np.concatenate([hartley, hartley[:, :1]], axis=1)
    return float(np.concatenate([hartley, hartley[:, :, :1]], axis=2).std())


def test_coefficients_are_those_of_the_definition(tmp_path: Path) -> None:
    images = noise_images(N, BOX)
    particles = particle_set(tmp_path, images)
    store = build(particles)
    assert store.scale == pytest.approx(symmetric_hartley_std(images), rel=1e-5)
    assert particles.poses is not None
    k = store.plane.k.numpy()
    expected = expected_coefficients(images, k, particles.poses.shift_fraction * BOX) / store.scale
    inside = np.abs(k).max(axis=1) < BOX // 2
    found = store.batch(torch.arange(N)).numpy()
    np.testing.assert_allclose(found[:, inside], expected[:, inside], atol=2e-5)
    assert store.pixel_size_angstrom == pytest.approx(PIXEL)


def test_content_moves_to_the_centre(tmp_path: Path) -> None:
    """A point 3 px right of and 2 px above the centre, with the shift that says so, has real coefficients."""
    images = 1e-3 * noise_images(4, BOX)
    images[:, BOX // 2 - 2, BOX // 2 + 3] += 100
    particles = particle_set(tmp_path, images)
    particles = replace(particles, poses=Poses(random_rotations(4), np.tile([-3 / BOX, 2 / BOX], (4, 1))))
    store = build(particles)
    inside = store.plane.radius < BOX // 2 - 1
    values = store.batch(torch.arange(4))[:, inside]
    assert (values.imag.abs() < 0.01 * values.real).all()


def test_sign_and_window(tmp_path: Path) -> None:
    images = noise_images(N, BOX)
    particles = particle_set(tmp_path, images, shift=0)
    config = PreprocessConfig(invert=True, window=True, window_radius=0.7, background="keep")
    store = build(particles, config)
    windowed = -images * window_of(config, BOX).numpy()
    k = store.plane.k.numpy()
    expected = expected_coefficients(windowed, k, np.zeros((N, 2))) / store.scale
    inside = np.abs(k).max(axis=1) < BOX // 2
    np.testing.assert_allclose(
        store.batch(torch.arange(N)).numpy()[:, inside], expected[:, inside], atol=2e-5
    )
    assert store.scale == pytest.approx(symmetric_hartley_std(images), rel=1e-5)  # of the raw images


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_background_is_subtracted_only_where_images_are_not_normalised(tmp_path: Path, offset: float) -> None:
    images = noise_images(N, BOX) + np.float32(offset)
    particles = particle_set(tmp_path, images)
    stack = ImageStack.from_particles(particles)
    statistics = measure(stack, PreprocessConfig())
    assert statistics.subtract_background == (offset > 0)
    if offset:
        outside = background_pixels(BOX).numpy()
        flat = images - images[:, outside].mean(axis=1)[:, None, None]
        assert statistics.scale == pytest.approx(symmetric_hartley_std(flat), rel=1e-4)
        store = build(particles, PreprocessConfig(invert=False, window=False))
        reference = build(replace(particle_set(tmp_path, flat)), PLAIN)
        torch.testing.assert_close(
            store.batch(torch.arange(N)), reference.batch(torch.arange(N)), atol=1e-4, rtol=0
        )


def test_a_prefix_is_a_lower_resolution(tmp_path: Path) -> None:
    store = build(particle_set(tmp_path, noise_images(N, BOX)))
    n = store.plane.count_within(4.0)
    assert 0 < n < store.plane.n_pixels
    rows = torch.tensor([7, 0, 29])
    torch.testing.assert_close(store.batch(rows, n), store.batch(rows)[:, :n])
    torch.testing.assert_close(store.ctf(rows, n), store.ctf(rows)[:, :n])
    assert (store.plane.radius[:n] <= 4).all()


def test_max_radius_cuts_the_table(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(N, BOX))
    full, small = build(particles), build(particles, replace(PLAIN, max_radius=5.0))
    assert small.plane.n_pixels == full.plane.count_within(5.0)
    torch.testing.assert_close(
        small.batch(torch.arange(N)), full.batch(torch.arange(N), small.plane.n_pixels)
    )


def test_ctf_uses_the_pixel_size_of_each_particle(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(4, BOX))
    assert particles.ctf is not None
    pixel = np.array([1.0, 2.0, 1.0, 3.0])
    particles = replace(particles, ctf=replace(particles.ctf, pixel_size_angstrom=pixel))
    store = build(particles)
    assert particles.ctf is not None
    for row in range(4):
        expected = contrast_transfer(
            store.plane.k / (BOX * pixel[row]), particles.ctf.parameters(np.array([row]), torch.float64)
        )
        torch.testing.assert_close(store.ctf(torch.tensor([row])), expected.float(), atol=1e-3, rtol=0)
    before = store.ctf(torch.arange(4))
    store.cache_ctf()
    torch.testing.assert_close(store.ctf(torch.arange(4)), before, atol=1e-3, rtol=0)


def test_without_ctf_it_is_one_and_without_poses_nothing_moves(tmp_path: Path) -> None:
    images = noise_images(4, BOX)
    store = build(replace(particle_set(tmp_path, images), poses=None, ctf=None))
    assert (store.ctf(torch.arange(4)) == 1).all()
    k = store.plane.k.numpy()
    inside = np.abs(k).max(axis=1) < BOX // 2
    expected = expected_coefficients(images, k, np.zeros((4, 2))) / store.scale
    np.testing.assert_allclose(
        store.batch(torch.arange(4)).numpy()[:, inside], expected[:, inside], atol=2e-5
    )
    with pytest.raises(InputError, match="no poses"):
        _ = store.rotations


def test_half_precision_keeps_three_digits_at_every_radius(tmp_path: Path) -> None:
    """Images whose power falls by 1e8 from low to high frequency still do."""
    noise = np.fft.rfft2(noise_images(N, BOX))
    radius = np.hypot(np.fft.fftfreq(BOX)[:, None], np.fft.rfftfreq(BOX)[None])
    images = np.fft.irfft2(noise * np.exp(-16 * radius), s=(BOX, BOX)).astype(np.float32)
    particles = particle_set(tmp_path, images)
    full, half = build(particles), build(particles, replace(PLAIN, dtype="float16"))
    a, b = full.batch(torch.arange(N)), half.batch(torch.arange(N))
    assert np.asarray(half.coefficients).dtype == np.float16
    size = a.abs().square().mean(dim=0).sqrt()
    assert ((a - b).abs().square().mean(dim=0).sqrt() < 2e-3 * size).all()


def test_bad_images_are_left_out_and_rows_stay_the_original_ones(tmp_path: Path) -> None:
    images = noise_images(N, BOX)
    images[4], images[9, 3, 3], images[20, 0, 0] = 1.0, np.nan, np.inf
    particles = particle_set(tmp_path, images)
    store = build(particles)
    assert store.excluded_rows.tolist() == [4, 9, 20]
    kept = np.delete(np.arange(N), [4, 9, 20])
    assert store.particles.row.tolist() == kept.tolist()
    assert len(store) == N - 3
    assert particles.poses is not None
    np.testing.assert_allclose(store.rotations.numpy(), particles.poses.rotation[kept], atol=1e-6)
    assert torch.isfinite(torch.view_as_real(store.batch(torch.arange(N - 3)))).all()
    chosen = store.select_original(np.array([21, 5]))
    torch.testing.assert_close(chosen.batch(torch.arange(2)), store.batch(torch.tensor([18, 4])))
    torch.testing.assert_close(chosen.ctf(torch.arange(2)), store.ctf(torch.tensor([18, 4])))
    again = chosen.select_original(np.array([5]))
    torch.testing.assert_close(again.batch(torch.arange(1)), store.batch(torch.tensor([4])))
    with pytest.raises(InputError, match="first: 9"):
        store.select_original(np.array([5, 9]))


def test_a_set_of_nothing_but_bad_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="all constant or not finite"):
        build(particle_set(tmp_path, np.ones((5, BOX, BOX), np.float32)))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_store_on_disk_is_the_one_in_memory(tmp_path: Path, dtype: str) -> None:
    images = noise_images(N, BOX)
    images[4] = 0
    particles = particle_set(tmp_path, images)
    config = PreprocessConfig(dtype=dtype)  # type: ignore[arg-type]
    memory, disk = build(particles, config), build(particles, config, tmp_path / "store")
    assert is_store(tmp_path / "store")
    for store in (disk, open_store(tmp_path / "store")):
        torch.testing.assert_close(
            store.batch(torch.arange(29)), memory.batch(torch.arange(29)), rtol=0, atol=0
        )
        torch.testing.assert_close(store.rotations, memory.rotations, rtol=0, atol=0)
        torch.testing.assert_close(store.ctf(torch.arange(29)), memory.ctf(torch.arange(29)), rtol=0, atol=0)
        assert store.excluded_rows.tolist() == [4]
        assert store.scale == memory.scale
        assert (store.config, store.particles.row.tolist()) == (config, memory.particles.row.tolist())
        assert store.particles.notices == ("a notice",)
        assert store.particles.uid is not None
        assert store.particles.uid[0] == 5
    assert list(tmp_path.glob(".*")) == []


def test_a_store_is_reused_only_for_the_same_input_and_settings(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(N, BOX))
    cache = tmp_path / "store"
    calls: list[int] = []

    def make(particles: Particles, config: PreprocessConfig) -> FourierStore:
        stack = ImageStack.from_particles(particles)
        return build_store(particles, stack, config, cache, lambda done, total: calls.append(done))

    make(particles, PLAIN)
    assert calls.pop() == N
    calls.clear()
    make(particles, PLAIN)
    assert calls == []
    make(particles, replace(PLAIN, invert=True))
    assert calls
    calls.clear()
    assert particles.poses is not None
    moved = replace(particles.poses, shift_fraction=particles.poses.shift_fraction + 0.01)
    store = make(replace(particles, poses=moved), replace(PLAIN, invert=True))
    assert calls
    assert store.particles.poses is not None
    np.testing.assert_array_equal(store.particles.poses.shift_fraction, moved.shift_fraction)


def test_what_is_not_a_store_is_left_alone(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(4, BOX))
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="not a Fourier store"):
        build(particles, PLAIN, folder)
    assert (folder / "chapter.txt").exists()
    with pytest.raises(InputError, match="not a Fourier store"):
        open_store(tmp_path / "nowhere")


def test_an_interrupted_build_leaves_the_old_store(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(4, BOX))
    build(particles, PLAIN, tmp_path / "store")

    def stop(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    changed = replace(particles, row=particles.row[::-1].copy())
    with pytest.raises(KeyboardInterrupt):
        build_store(changed, ImageStack.from_particles(changed), PLAIN, tmp_path / "store", stop)
    assert open_store(tmp_path / "store").particles.row.tolist() == [0, 1, 2, 3]
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("fault", ["version", "truncated"])
def test_a_damaged_store_is_refused(tmp_path: Path, fault: str) -> None:
    build(particle_set(tmp_path, noise_images(4, BOX)), PLAIN, tmp_path / "store")
    if fault == "version":
        path = tmp_path / "store" / "store.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"version": 99}))
    else:
        path = tmp_path / "store" / "coefficients.npy"
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match="run preprocess again"):
        open_store(tmp_path / "store")


def test_counts_must_agree(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(4, BOX))
    with pytest.raises(InputError, match="3 particles but 4 images"):
        build_store(particles.select(np.arange(3)), ImageStack.from_particles(particles))


def test_halves_and_devices(tmp_path: Path) -> None:
    store = build(particle_set(tmp_path, noise_images(5, BOX)))
    assert store.halves().tolist() == [0, 1, 0, 1, 0]
    moved = store.to("cpu")
    torch.testing.assert_close(moved.batch(torch.arange(5)), store.batch(torch.arange(5)))


def test_some_rows_and_frequencies_of_a_store_on_disk_are_those_in_memory(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(N, BOX))
    memory, built = build(particles), build(particles, PLAIN, tmp_path / "store")
    rows, few = torch.tensor([7, 0, 29, 7]), memory.plane.count_within(4.0)
    for disk in (built, open_store(tmp_path / "store")):
        torch.testing.assert_close(disk.batch(rows, few), memory.batch(rows, few), rtol=0, atol=0)
        chosen = [store.select_original(np.array([29, 3, 7])) for store in (disk, memory)]
        last = torch.tensor([2, 0])
        torch.testing.assert_close(chosen[0].batch(last), chosen[1].batch(last), rtol=0, atol=0)


def test_a_store_that_is_cut_while_in_use_is_told(tmp_path: Path) -> None:
    particles = particle_set(tmp_path, noise_images(N, BOX))
    build(particles, PLAIN, tmp_path / "store")
    disk = open_store(tmp_path / "store")
    path = tmp_path / "store" / "coefficients.npy"
    os.truncate(path, path.stat().st_size - 8)
    disk.batch(torch.arange(N - 1))
    with pytest.raises(InputError, match=f"ends within image {N - 1}; it was cut or replaced"):
        disk.batch(torch.arange(N))
