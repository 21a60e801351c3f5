import numpy as np
import pytest

from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import write_array_pickle
from cryoscape.workflows.pc_traversal import pc_traversal
from linear_run import ZDIM, write_linear_run


@pytest.fixture
def latents(tmp_path):
    z = (np.random.default_rng(0).normal(size=(500, 3)) * [5.0, 2.0, 1.0]).astype(np.float32)
    path = tmp_path / "z.4.pkl"
    write_array_pickle(path, z, np.zeros_like(z))
    return path, z


def test_paths_follow_the_axes_of_the_data(latents, tmp_path):
    path, z = latents
    files = pc_traversal(path, tmp_path / "out", n_points=6, limits_percentile=(5.0, 95.0))
    assert [f.name for f in files] == ["pc1.txt", "pc2.txt", "pc3.txt"]
    for i, file in enumerate(files):
        points = np.loadtxt(file)
        assert points.shape == (6, 3)
        assert (np.diff(points[:, i]) > 0).all()
        low, high = np.percentile(z[:, i], [5, 95])
        np.testing.assert_allclose(points[[0, -1], i], [low, high], rtol=0.05)


def test_chosen_components_only_and_no_overwriting(latents, tmp_path):
    path, _ = latents
    out = tmp_path / "out"
    (file,) = pc_traversal(path, out, components=[2])
    before = file.read_text()
    with pytest.raises(InputError, match=r"pc2\.txt: exists"):
        pc_traversal(path, out, components=[2], n_points=3)
    assert file.read_text() == before
    pc_traversal(path, out, components=[2], n_points=3, force=True)
    assert len(np.loadtxt(file)) == 3
    with pytest.raises(InputError, match="1 to 3"):
        pc_traversal(path, tmp_path / "none", components=[4])
    assert not (tmp_path / "none").exists()


def test_a_run_folder_gives_its_latents(latents, tmp_path):
    path, _ = latents
    path.rename(tmp_path / "z.0.pkl")
    (tmp_path / "weights.0.pkl").write_bytes(b"")
    files = pc_traversal(tmp_path, tmp_path / "out", components=[1])
    assert np.loadtxt(files[0]).shape == (10, 3)
    with pytest.raises(InputError, match=r"z\.9\.pkl: no such file"):
        pc_traversal(tmp_path, tmp_path / "other", epoch=9)


def test_a_run_without_epochs_gives_its_latents(tmp_path):
    run = write_linear_run(tmp_path / "run")
    files = pc_traversal(run, tmp_path / "out", n_points=4)
    assert [np.loadtxt(file).shape for file in files] == [(4, ZDIM)] * ZDIM
