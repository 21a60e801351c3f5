import numpy as np
import pandas as pd
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
    files = [
        w.z_file for w in pc_traversal(path, tmp_path / "out", n_points=6, limits_percentile=(5.0, 95.0))
    ]
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
    file = pc_traversal(path, out, components=[2])[0].z_file
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
    files = [w.z_file for w in pc_traversal(tmp_path, tmp_path / "out", components=[1])]
    assert np.loadtxt(files[0]).shape == (10, 3)
    with pytest.raises(InputError, match=r"z\.9\.pkl: no such file"):
        pc_traversal(tmp_path, tmp_path / "other", epoch=9)


def test_a_run_without_epochs_gives_its_latents(tmp_path):
    run = write_linear_run(tmp_path / "run")
    files = [w.z_file for w in pc_traversal(run, tmp_path / "out", n_points=4)]
    assert [np.loadtxt(file).shape for file in files] == [(4, ZDIM)] * ZDIM


def test_support_of_each_point_is_written_and_the_picture_shows_the_component(tmp_path, monkeypatch):
    run = write_linear_run(tmp_path / "run")
    panels = []
    monkeypatch.setattr(
        "cryoscape.workflows.path_files.plot_path_support", lambda planes, *rest: panels.append(planes)
    )
    (_, third) = pc_traversal(run, tmp_path / "out", components=[1, 3], n_points=5)
    table = pd.read_parquet(tmp_path / "out" / "pc3_support.parquet")
    assert list(table["particles"]) == list(third.support.particles)
    assert table["particles"].max() > 10
    assert [plane.y_label.split()[0] for ((plane, _),) in panels] == ["PC2", "PC3"]


def test_pictures_are_left(latents, tmp_path):
    path, _ = latents
    pc_traversal(path, tmp_path / "out", components=[2])
    assert (tmp_path / "out" / "pc2.png").stat().st_size > 10_000
