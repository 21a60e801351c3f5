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
from cryoscape.engines.manifold.epochs import read_epoch, read_maps, save_epoch, write_maps
from cryoscape.engines.manifold.fit import encode
from cryoscape.engines.manifold.likelihood import LinearModel
from cryoscape.engines.manifold.maps import MapsRead
from cryoscape.engines.manifold.networks import Gaussians, Networks, new_networks
from cryoscape.engines.manifold.source import ManifoldSource, latent_table, read_manifold
from cryoscape.engines.manifold.trainer import Trainer
from cryoscape.engines.volume_source import ScalableVolumeSource, open_volume_source
from cryoscape.errors import InputError, TrainingError
from cryoscape.io.legacy_pickle import read_latents
from engines.manifold.conftest import draw_evidence
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


def saved_epoch(folder: Path, maps: LinearMaps) -> Trainer:
    """An epoch of training on evidence that is no one's, with its maps."""
    rng = np.random.default_rng(0)
    trainer = Trainer(draw_evidence(rng.normal(size=(80, ZDIM)), np.full(ZDIM + 1, 9.0)).evidence, CONFIG)
    trainer.epoch()
    read = MapsRead(maps, trainer.evidence, trainer.evidence, torch.zeros(80))
    write_maps(folder, 0, read, torch.ones(BOX // 2))
    save_epoch(folder, 0, trainer, encode(trainer.linear.features, trainer.averaged.encoder))
    return trainer


def test_an_epoch_is_written_and_read(tmp_path: Path) -> None:
    trainer = saved_epoch(tmp_path, linear_maps())
    path = tmp_path / "weights.0.pkl"
    source = open_volume_source(path, {"engine": "subspace_mlp"}, PIXEL_SIZE_ANGSTROM)
    expected = ManifoldSource(linear_maps(), trainer.averaged.decoder).volumes(latents())
    np.testing.assert_array_equal(source.volumes(latents()), expected)
    assert path.stat().st_size < 200_000, "maps are not in it"
    mean, log_variance = read_latents(tmp_path / "z.0.pkl")
    posterior = encode(trainer.linear.features, trainer.averaged.encoder)
    np.testing.assert_array_equal(mean, posterior.mean)
    variance = torch.diagonal(posterior.covariance, dim1=1, dim2=2)
    np.testing.assert_allclose(log_variance, variance.log(), rtol=1e-5)


def test_a_state_on_disk_is_the_state(tmp_path: Path) -> None:
    trainer = saved_epoch(tmp_path, linear_maps())
    content = read_epoch(tmp_path / "weights.0.pkl")
    again = Trainer(trainer.evidence, CONFIG)
    again.restore(content, content["training"])
    assert again.epoch().training_bound == trainer.epoch().training_bound


def test_evidence_of_maps_made_again_is_written_and_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    learning, placing = (
        draw_evidence(rng.normal(size=(5, ZDIM)), np.full(ZDIM + 1, 9.0), spread=0.1).evidence
        for _ in range(2)
    )
    write_maps(tmp_path, 1, MapsRead(linear_maps(), learning, placing, torch.arange(5.0)), torch.ones(3))
    found = read_maps(tmp_path, torch.device("cpu"))
    np.testing.assert_array_equal(found.maps.bases, linear_maps().bases)
    for one, other in ((found.learning, learning), (found.placing, placing)):
        assert torch.equal(one.gram, other.gram)
        assert torch.equal(one.image, other.image)
        assert one.contrast_spread == 0.1
    assert found.misfit.tolist() == list(range(5))
    (tmp_path / "evidence.pkl").unlink()
    with pytest.raises(InputError, match="is missing, without it the run cannot go on"):
        read_maps(tmp_path, torch.device("cpu"))


def test_weights_of_other_engines_and_damaged_ones_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "weights.pkl"
    write_linear_maps(other, LinearWeights(linear_maps(), torch.ones(3)))
    with pytest.raises(InputError, match="no networks on a subspace"):
        read_manifold(other, 1.0)
    maps, path = linear_maps(), tmp_path / "weights.0.pkl"
    saved_epoch(tmp_path, LinearMaps(maps.mean, maps.bases[:2], 1.0))
    with pytest.raises(InputError, match=r"has 3 coefficients, bases\.0\.pkl 2 bases"):
        read_manifold(path, 1.0)
    (tmp_path / "bases.0.pkl").unlink()
    with pytest.raises(InputError, match=r"needs bases\.0\.pkl beside it"):
        read_manifold(path, 1.0)
    content = read_tensors(path)
    content["decoder"]["network.2.weight"] = torch.zeros(2, 2)
    write_tensors(path, content)
    with pytest.raises(InputError, match="damaged, the decoder's tensors do not fit each other"):
        read_manifold(path, 1.0)


def test_weights_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    trainer = saved_epoch(tmp_path, linear_maps())
    with torch.no_grad():
        trainer.averaged.decoder.linear.weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match=r"weights\.1\.pkl: not written, linear.weight is not finite"):
        save_epoch(tmp_path, 1, trainer, encode(trainer.linear.features, trainer.averaged.encoder))
    assert not (tmp_path / "weights.1.pkl").exists()
    assert not (tmp_path / "z.1.pkl").exists()


def test_the_table_counts_likelihood_from_the_mean_map() -> None:
    scale = torch.tensor([[[2.0, 0.0], [1.0, 0.5]]])
    posterior = Gaussians(torch.zeros(1, 2), scale)
    one = torch.ones(1)
    sampled = Sampled(one, 7 * one, one, torch.ones(1, 4), torch.ones(1, 4, 4))
    table = latent_table(posterior, sampled, LinearModel(torch.zeros(1, 7), one, 3 * one), 0.5 * one)
    assert (table.log_likelihood[0], table.contrast[0], table.junk_score[0]) == (4.0, 1.0, 0.5)
    np.testing.assert_allclose(table.covariance, [[[4, 2], [2, 1.25]]])
