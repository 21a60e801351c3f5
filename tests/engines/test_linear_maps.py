"""Maps linear in the latents, against sums on paper and band-limited waves; their file."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.analysis.maps import MapOptions, finish_map
from cryoscape.engines.linear_maps import (
    LinearMaps,
    LinearWeights,
    read_linear_maps,
    read_tensors,
    write_linear_maps,
    write_tensors,
)
from cryoscape.engines.volume_source import ScalableVolumeSource, VolumeSource, open_volume_source
from cryoscape.errors import InputError, TrainingError

BOX = 16


def wave(frequency: tuple[int, int, int], box: int = BOX, extent: int = BOX) -> np.ndarray:
    """cos(2 pi k.x) with k in cycles over the extent of 16, sampled in a box of the same extent."""
    x = (np.arange(box) - box // 2) * extent / box / extent
    phase = frequency[0] * x[:, None, None] + frequency[1] * x[:, None] + frequency[2] * x
    return np.cos(2 * np.pi * phase).astype(np.float32)


@pytest.fixture
def maps() -> LinearMaps:
    bases = np.stack([wave((1, 0, 2)), wave((0, 3, 0))])
    return LinearMaps(2 + wave((1, 1, 1)), bases, 1.5)


def test_a_map_is_the_mean_and_the_weighted_bases(maps: LinearMaps) -> None:
    assert isinstance(maps, VolumeSource)
    assert isinstance(maps, ScalableVolumeSource)
    found = maps.volumes(np.array([[0.0, 0.0], [2.0, -0.5]], np.float32))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[0], maps.mean)
    expected = 2 + wave((1, 1, 1)) + 2 * wave((1, 0, 2)) - 0.5 * wave((0, 3, 0))
    np.testing.assert_allclose(found[1], expected, atol=1e-5)


def test_without_components_every_map_is_the_mean(maps: LinearMaps) -> None:
    bare = LinearMaps(maps.mean, np.zeros((0, BOX, BOX, BOX), np.float32), 1.5)
    assert bare.zdim == 0
    found = bare.volumes(np.zeros((3, 0), np.float32))
    np.testing.assert_array_equal(found, np.stack([maps.mean] * 3))
    assert bare.downsampled(8).volumes(np.zeros((2, 0), np.float32)).shape == (2, 8, 8, 8)


def test_what_is_no_latent_is_refused(maps: LinearMaps) -> None:
    with pytest.raises(InputError, match="expected 2 columns"):
        maps.volumes(np.zeros((1, 3), np.float32))
    with pytest.raises(InputError, match="row 1 is not finite"):
        maps.volumes(np.array([[0, 0], [np.nan, 0]], np.float32))


def test_a_smaller_box_samples_the_same_waves_and_keeps_sums(maps: LinearMaps) -> None:
    small = maps.downsampled(8)
    assert (small.box_size, small.pixel_size_angstrom, small.zdim) == (8, 3.0, 2)
    z = np.array([[1.0, 2.0]], np.float32)
    found, whole = small.volumes(z)[0], maps.volumes(z)[0]
    density = 2 + wave((1, 1, 1), 8) + wave((1, 0, 2), 8) + 2 * wave((0, 3, 0), 8)
    np.testing.assert_allclose(found, 8 * density, atol=2e-4)
    assert found.sum() == pytest.approx(whole.sum(), rel=1e-5)
    np.testing.assert_allclose(found, finish_map(whole, 1.5, MapOptions(downsample=8)).volume, atol=2e-4)
    assert maps.downsampled(BOX) is maps
    for box in (7, 18):
        with pytest.raises(InputError, match="at most 16 px"):
            maps.downsampled(box)


def test_the_file_gives_back_maps_noise_and_state(maps: LinearMaps, tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    state = {"radius": torch.tensor(5), "model": {"power": torch.ones(3, 2)}}
    write_linear_maps(path, LinearWeights(maps, torch.arange(4.0), state))
    found = read_linear_maps(path, 1.5)
    np.testing.assert_array_equal(found.maps.mean, maps.mean)
    np.testing.assert_array_equal(found.maps.bases, maps.bases)
    assert found.noise_variance.tolist() == [0, 1, 2, 3]
    assert int(found.state["radius"]) == 5
    assert found.state["model"]["power"].shape == (3, 2)
    source = open_volume_source(path, {"engine": "subspace"}, 3.0)
    assert (source.zdim, source.pixel_size_angstrom) == (2, 3.0)


def test_what_is_no_weights_file_is_told(maps: LinearMaps, tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    with pytest.raises(InputError, match="no such weights file"):
        read_tensors(path)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(InputError, match="damaged or cut short"):
        read_tensors(path)
    write_tensors(path, {"model_state_dict": {"a": torch.zeros(2)}})
    with pytest.raises(InputError, match="expected a mean map"):
        read_linear_maps(path, 1.0)
    with pytest.raises(InputError, match="engine 'tea', expected one of vae, subspace, states"):
        open_volume_source(path, {"engine": "tea"}, 1.0)


def test_maps_that_are_not_finite_are_not_written(maps: LinearMaps, tmp_path: Path) -> None:
    bases = maps.bases.copy()
    bases[1, 0, 0, 0] = np.inf
    with pytest.raises(TrainingError, match="bases is not finite"):
        write_linear_maps(tmp_path / "w.pkl", LinearWeights(LinearMaps(maps.mean, bases, 1.0), torch.ones(2)))
    assert not any(tmp_path.iterdir())


def test_nothing_in_the_file_is_executed(tmp_path: Path) -> None:
    torch.save({"mean": Path("a")}, tmp_path / "weights.pkl")
    with pytest.raises(InputError, match="not a readable weights file"):
        read_tensors(tmp_path / "weights.pkl")
