"""Gram matrices of images and projected maps: the compiled loops against tensors in double precision."""

import pytest
import torch

from cryoscape.engines.subspace.moments import image_moments
from cryoscape.engines.subspace.readable import readable

from .conftest import random_images


def expected_moments(values, images):
    """The definition, 2 Re sum conj(v_a) v_b / variance, with slices in double precision."""
    slices = values.double().slices(images.rotations.double(), images.k)
    vectors = torch.cat([slices * images.ctf[..., None], images.coefficients[..., None]], dim=-1)
    weight = (1 / images.noise_variance).to(vectors.dtype)
    return 2 * torch.einsum("bpi,bpj,p->bij", vectors.conj(), vectors, weight).real


def found_moments(values, images, rotations=None):
    return image_moments(
        values,
        images.coefficients,
        images.ctf,
        images.rotations if rotations is None else rotations,
        images.k,
        images.noise_variance,
    )


@pytest.mark.parametrize("n_threads", [1, 2])
def test_the_compiled_loop_computes_the_definition(n_threads: int) -> None:
    images = random_images()
    values = readable(images.maps, images.grid)
    torch.set_num_threads(n_threads)
    found = found_moments(values, images)
    expected = expected_moments(values, images)
    torch.testing.assert_close(found.double(), expected, rtol=2e-5, atol=2e-4 * float(expected.abs().mean()))


def test_tensors_in_double_precision_take_the_other_path_and_agree() -> None:
    images = random_images()
    values = readable(images.maps, images.grid)
    found = image_moments(
        values.double(),
        images.coefficients.to(torch.complex128),
        images.ctf.double(),
        images.rotations.double(),
        images.k,
        images.noise_variance.double(),
    )
    torch.testing.assert_close(found, expected_moments(values, images), rtol=1e-6, atol=1e-4)


def test_conjugated_views_are_read_as_what_they_stand_for() -> None:
    images = random_images(n_images=2)
    values = readable(images.maps, images.grid)
    lazily = images.coefficients.conj().resolve_conj().conj()
    assert lazily.is_conj()
    again = image_moments(values, lazily, images.ctf, images.rotations, images.k, images.noise_variance)
    torch.testing.assert_close(again, found_moments(values, images))


def test_turning_all_within_the_image_plane_by_half_a_turn_conjugates_images() -> None:
    images = random_images()
    values = readable(images.maps, images.grid)
    turned = images.rotations * torch.tensor([-1.0, -1.0, 1.0])[:, None]
    found, other = found_moments(values, images), found_moments(values, images, turned)
    torch.testing.assert_close(found[:, :-1, :-1], other[:, :-1, :-1], rtol=1e-4, atol=1e-2)
    assert not torch.allclose(found[:, :-1, -1], other[:, :-1, -1], rtol=1e-2)
