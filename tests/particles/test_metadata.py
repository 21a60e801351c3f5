from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cryoscape.errors import InputError
from cryoscape.particles.metadata import CtfTable, ImageAddresses, Particles, Poses
from particle_files import legacy_ctf, random_rotations


def particles_of(n: int) -> Particles:
    return Particles(
        images=ImageAddresses.whole_files([Path("a.mrcs"), Path("b.mrcs")], [n // 2, n - n // 2]),
        row=np.arange(n),
        uid=np.arange(n, dtype=np.uint64) + 100,
        poses=Poses(random_rotations(n), np.arange(2 * n).reshape(n, 2) / 1000),
        ctf=CtfTable.from_legacy(legacy_ctf(n)),
        data_sign=-1,
        source=Path("x.star"),
        box_size_px=64,
        n_original=n,
    )


def test_legacy_columns_keep_their_order() -> None:
    row = np.array([[320, 1.31, 15301.1, 14916.4, 5.28, 300, 2.7, 0.07, 0]], dtype=np.float32)
    table = CtfTable.from_legacy(row)
    assert table.defocus_u_angstrom[0] == pytest.approx(15301.1, rel=1e-6)
    assert table.defocus_angle_degrees[0] == pytest.approx(5.28, rel=1e-6)
    assert table.spherical_aberration_mm[0] == pytest.approx(2.7, rel=1e-6)
    np.testing.assert_array_equal(table.as_legacy(), row)


@pytest.mark.parametrize("shape", [(5, 8), (9,), (3, 9, 1)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected \(particles, 9\).*parse_ctf"):
        CtfTable.from_legacy(np.zeros(shape))


def test_pixel_size_grows_as_the_box_shrinks_for_each_particle() -> None:
    legacy = legacy_ctf(2)
    legacy[:, 0], legacy[:, 1] = (320, 256), (1.31, 2.0)
    table = CtfTable.from_legacy(legacy)
    # The paper's figures: 320 px at 1.31 A give 3.275 A at 128 px.
    np.testing.assert_allclose(table.pixel_size_at(128), [3.275, 4.0], rtol=1e-6)


def test_parameters_are_tensors_of_the_rows_asked_for() -> None:
    table = CtfTable.from_legacy(legacy_ctf(5))
    chosen = table.parameters(np.array([3, 1]))
    assert chosen.defocus_u_angstrom.dtype == torch.float32
    np.testing.assert_array_equal(chosen.defocus_u_angstrom.numpy(), table.as_legacy()[[3, 1], 2])


def test_select_keeps_all_columns_together() -> None:
    chosen = particles_of(10).select(np.array([7, 2]))
    assert chosen.row.tolist() == [7, 2]
    assert chosen.uid is not None
    assert chosen.uid.tolist() == [107, 102]
    assert chosen.images is not None
    assert chosen.images.file_index.tolist() == [1, 0]
    assert chosen.images.image_index.tolist() == [2, 2]
    assert chosen.poses is not None
    np.testing.assert_allclose(chosen.poses.shift_fraction, [[0.014, 0.015], [0.004, 0.005]])
    assert chosen.ctf is not None
    np.testing.assert_array_equal(chosen.ctf.as_legacy(), legacy_ctf(10)[[7, 2]])
    assert chosen.n_original == 10


@given(st.data())
def test_a_filter_of_a_filter_still_counts_original_rows(data: st.DataObject) -> None:
    n = 12
    first = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, unique=True)))
    second = np.array(data.draw(st.lists(st.sampled_from(first.tolist()), min_size=1, unique=True)))
    whole = particles_of(n)
    twice = whole.select_original(first).select_original(second)
    once = whole.select_original(second)
    assert twice.row.tolist() == once.row.tolist() == second.tolist()
    assert twice.uid is not None
    np.testing.assert_array_equal(twice.uid, second.astype(np.uint64) + 100)


@pytest.mark.parametrize("row", [3, 12, -1])
def test_a_row_that_is_not_there_is_refused(row: int) -> None:
    with pytest.raises(InputError, match="belongs to another set"):
        particles_of(12).select_original(np.array([0, 1, 2])).select_original(np.array([row]))


def test_pixel_size_without_ctf_comes_from_the_images() -> None:
    from dataclasses import replace

    table = replace(particles_of(4), ctf=None, pixel_size_angstrom=np.full(4, 1.5))
    pixel_size = table.pixel_size_at(32)
    assert pixel_size is not None
    np.testing.assert_allclose(pixel_size, 3.0)
    assert replace(table, pixel_size_angstrom=None).pixel_size_at(32) is None
