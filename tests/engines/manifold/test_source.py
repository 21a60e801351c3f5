"""Maps of a decoder on bases, and the file they are kept in."""

from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.engines.linear_maps import (
    LinearMaps,
    LinearWeights,
    read_tensors,
    write_linear_maps,
    write_tensors,
)
from cryoscape.engines.manifold.bound import Sampled
from cryoscape.engines.manifold.config import ManifoldConfig
from cryoscape.engines.manifold.fit import Networks, new_networks
from cryoscape.engines.manifold.likelihood import LinearModel
from cryoscape.engines.manifold.networks import Gaussians
from cryoscape.engines.manifold.source import ManifoldSource, latent_table, read_manifold, write_manifold
from cryoscape.engines.volume_source import ScalableVolumeSource, open_volume_source
from cryoscape.errors import InputError
from linear_run import BOX, PIXEL_SIZE_ANGSTROM, ZDIM, linear_maps

CONFIG = ManifoldConfig(zdim=2, width=8, seed=1)


def networks() -> Networks:
    return new_networks(
        CONFIG, ZDIM, torch.randn(10, 2 * ZDIM + 1, generator=torch.Generator().manual_seed(0))
    )


def latents(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n, 2)).astype(np.float32)


def test_maps_are_the_mean_and_bases_times_coefficients() -> None:
    own = networks()
    source = ManifoldSource(linear_maps(), own.decoder)
    assert isinstance(source, ScalableVolumeSource)
    assert (source.zdim, source.box_size, source.pixel_size_angstrom) == (2, BOX, PIXEL_SIZE_ANGSTROM)
    found = source.volumes(latents())
    assert found.dtype == np.float32
    with torch.no_grad():
        coefficients = own.decoder(torch.from_numpy(latents())).numpy()
    maps = linear_maps()
    expected = maps.mean + np.einsum("nq,qzyx->nzyx", coefficients, maps.bases)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    small = source.downsampled(8)
    assert (small.box_size, small.pixel_size_angstrom) == (8, 2 * PIXEL_SIZE_ANGSTROM)
    np.testing.assert_allclose(small.volumes(latents()), maps.downsampled(8).volumes(coefficients), atol=1e-4)


@pytest.mark.parametrize("z", [np.zeros((2, 3), np.float32), np.array([[0, 0], [np.nan, 0]], np.float32)])
def test_latents_that_do_not_fit_are_refused(z: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"expected 2 columns|row 1 is not finite"):
        ManifoldSource(linear_maps(), networks().decoder).volumes(z)


def test_weights_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    write_manifold(path, linear_maps(), networks(), torch.ones(BOX // 2))
    source = open_volume_source(path, {"engine": "subspace_mlp"}, PIXEL_SIZE_ANGSTROM)
    expected = ManifoldSource(linear_maps(), networks().decoder).volumes(latents())
    np.testing.assert_array_equal(source.volumes(latents()), expected)
    assert set(read_tensors(path)["state"]) == {"encoder", "decoder"}


def test_weights_of_other_engines_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    write_linear_maps(path, LinearWeights(linear_maps(), torch.ones(3)))
    with pytest.raises(InputError, match="no decoder of a curved subspace"):
        read_manifold(path, 1.0)
    maps = linear_maps()
    fewer = LinearMaps(maps.mean, maps.bases[:2], 1.0)
    write_manifold(path, fewer, networks(), torch.ones(3))
    with pytest.raises(InputError, match="2 bases and 3 coefficients"):
        read_manifold(path, 1.0)
    write_manifold(path, maps, networks(), torch.ones(3))
    content = read_tensors(path)
    content["state"]["decoder"]["network.2.weight"] = torch.zeros(2, 2)
    write_tensors(path, content)
    with pytest.raises(InputError, match="damaged, the decoder's tensors do not fit each other"):
        read_manifold(path, 1.0)


def test_the_table_counts_likelihood_from_the_mean_map() -> None:
    scale = torch.tensor([[[2.0, 0.0], [1.0, 0.5]]])
    posterior = Gaussians(torch.zeros(1, 2), scale)
    one = torch.ones(1)
    sampled = Sampled(one, 7 * one, one, torch.ones(1, 4), torch.ones(1, 4, 4))
    table = latent_table(posterior, sampled, LinearModel(torch.zeros(1, 7), one, 3 * one), 0.5 * one)
    assert (table.log_likelihood[0], table.contrast[0], table.junk_score[0]) == (4.0, 1.0, 0.5)
    np.testing.assert_allclose(table.covariance, [[[4, 2], [2, 1.25]]])
