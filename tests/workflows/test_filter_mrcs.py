"""Stacks of selected images, read back by mrcfile."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.particles.keys import read_key_list
from cryoscape.particles.readers import load_particles
from cryoscape.workflows.filter_mrcs import filter_mrcs
from particle_files import noise_images, relion30_rows, write_pickle, write_stack, write_star30

N = 10
ROWS = [7, 0, 3]


@pytest.fixture
def ind(tmp_path: Path) -> Path:
    return write_pickle(tmp_path / "ind.pkl", np.array(ROWS))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int16, np.int8])
@pytest.mark.parametrize("box", [16, 17])
def test_values_types_and_pixel_size_stay(tmp_path: Path, ind: Path, dtype: type, box: int) -> None:
    images = (noise_images(N, box) * 30).astype(dtype)
    output = filter_mrcs(write_stack(tmp_path / "s.mrcs", images, 1.25), ind)
    assert output == tmp_path / "s_ind.mrcs"
    with mrcfile.open(output) as found:
        np.testing.assert_array_equal(found.data, images[ROWS])
        assert found.data.dtype == (np.float16 if dtype == np.float16 else np.float32)
        assert found.voxel_size.x == pytest.approx(1.25)
        assert found.is_image_stack()


def test_lists_and_star_files_in_blocks(tmp_path: Path, ind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryoscape.workflows.filter_mrcs._BATCH_BYTES", 2 * 16 * 16 * 4)
    images = noise_images(N, 16)
    write_stack(tmp_path / "a.mrcs", images[:6], 1.5)
    write_stack(tmp_path / "b.mrcs", images[6:], 1.5)
    (tmp_path / "l.txt").write_text("a.mrcs\nb.mrcs\n")
    filter_mrcs(tmp_path / "l.txt", ind, tmp_path / "from_list.mrcs")
    write_stack(tmp_path / "s.mrcs", images, 1.5)
    write_star30(tmp_path / "s.star", relion30_rows(N, "s.mrcs")[::-1])
    filter_mrcs(tmp_path / "s.star", ind, tmp_path / "from_star.mrcs")
    with mrcfile.open(tmp_path / "from_list.mrcs") as a, mrcfile.open(tmp_path / "from_star.mrcs") as b:
        np.testing.assert_array_equal(a.data, images[ROWS])
        np.testing.assert_array_equal(b.data, images[::-1][ROWS])


def test_a_cut_stack_is_selected_from_by_original_rows(tmp_path: Path, ind: Path) -> None:
    images = noise_images(N, 16)
    cut = filter_mrcs(write_stack(tmp_path / "s.mrcs", images, 1.5), ind)
    write_pickle(tmp_path / "one.pkl", np.array([3]))
    again = filter_mrcs(cut, tmp_path / "one.pkl", tmp_path / "again.mrcs")
    with mrcfile.open(again) as found:
        np.testing.assert_array_equal(found.data.reshape(1, 16, 16), images[[3]])
    keys = read_key_list(again)
    assert keys is not None
    assert [Path(file).name for file in keys.files] == ["s.mrcs"]
    assert keys.image_index is not None
    assert keys.image_index.tolist() == [3]
    assert load_particles(again).row.tolist() == [3]


def test_outputs_that_are_refused(tmp_path: Path, ind: Path) -> None:
    stack = write_stack(tmp_path / "s.mrcs", noise_images(N, 16), 1.5)
    with pytest.raises(InputError, match=r"must end in \.mrcs"):
        filter_mrcs(stack, ind, tmp_path / "a.txt")
    with pytest.raises(InputError, match="is the input"):
        filter_mrcs(stack, ind, stack, force=True)
    filter_mrcs(stack, ind)
    with pytest.raises(InputError, match="exists"):
        filter_mrcs(stack, ind)
