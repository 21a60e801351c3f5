"""Runs of engines without epochs, loaded by the same function as those with."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryoscape.engines.latent_table import write_latents
from cryoscape.engines.run_folder import RunFolder, load_run, read_run_config
from cryoscape.engines.vae.checkpoint import write_checkpoint
from cryoscape.errors import InputError
from cryoscape.io.legacy_pickle import write_array_pickle
from linear_run import BOX, ZDIM, N, latent_table, linear_maps, write_linear_run


@pytest.mark.parametrize("engine", ["subspace", "states"])
def test_a_run_without_epochs_loads_with_its_table(tmp_path: Path, engine: str) -> None:
    run = load_run(write_linear_run(tmp_path, engine))
    assert (run.engine, run.epoch, run.pixel_size_angstrom) == (engine, None, 2.5)
    assert (run.source.zdim, run.source.box_size, run.source.pixel_size_angstrom) == (ZDIM, BOX, 2.5)
    assert run.latents is not None
    expected = latent_table(engine == "states")
    np.testing.assert_array_equal(run.z, expected.mean)
    np.testing.assert_array_equal(run.latents.mean, run.z)
    assert run.logvar is not None
    np.testing.assert_allclose(run.logvar, np.log(0.04), rtol=1e-5)
    assert run.original_rows.tolist() == list(range(0, 2 * N, 2))
    assert (run.latents.state is None) == (engine == "subspace")
    np.testing.assert_array_equal(run.source.volumes(run.z[:2]), linear_maps().volumes(run.z[:2]))


def test_a_run_without_its_table_still_loads(tmp_path: Path) -> None:
    (write_linear_run(tmp_path) / "latents.parquet").unlink()
    assert load_run(tmp_path).latents is None


def test_a_number_for_a_run_without_epochs_is_told(tmp_path: Path) -> None:
    write_linear_run(tmp_path)
    with pytest.raises(InputError, match=r"weights\.3\.pkl: no such file; this run has no epochs"):
        load_run(tmp_path, 3)


def test_a_table_of_other_particles_is_refused(tmp_path: Path) -> None:
    write_linear_run(tmp_path)
    table = latent_table()
    rows = np.arange(N - 1)
    cut = {name: getattr(table, name)[:-1] for name in table.__dataclass_fields__ if name != "state"}
    mean = (tmp_path / "z.pkl").read_bytes()
    write_latents(tmp_path, replace(table, **cut), rows)
    (tmp_path / "z.pkl").write_bytes(mean)
    with pytest.raises(InputError, match=f"holds {N - 1} particles and 3 dimensions, z.pkl {N} and 3"):
        load_run(tmp_path)


def test_an_unknown_engine_is_told(tmp_path: Path) -> None:
    config = write_linear_run(tmp_path) / "config.yaml"
    config.write_text(config.read_text().replace("engine: subspace", "engine: later"))
    with pytest.raises(InputError, match="engine 'later'"):
        load_run(tmp_path)


def test_numbered_epochs_come_before_the_unnumbered_file(tmp_path: Path) -> None:
    folder = RunFolder(write_linear_run(tmp_path))
    assert folder.latest_epoch() is None
    write_array_pickle(folder.latents(2), np.zeros((N, 2), np.float32))
    write_checkpoint(folder.weights(2), {"model_state_dict": {}})
    assert folder.latest_epoch() == 2


def test_an_empty_folder_names_the_commands_that_fill_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train with `cryoscape train_subspace` or `train_vae`"):
        RunFolder(tmp_path).latest_epoch()


@pytest.mark.parametrize(("there", "named"), [("config.yaml", "config.pkl"), ("config.pkl", "config.yaml")])
def test_a_configuration_named_by_its_other_suffix_is_read(tmp_path: Path, there: str, named: str) -> None:
    """Step 35 of the protocol names config.pkl, which later runs no longer have."""
    sections = {"lattice_args": {"D": 17}, "model_args": {"zdim": 2}}
    content = pickle.dumps(sections) if there.endswith(".pkl") else yaml.safe_dump(sections).encode()
    (tmp_path / there).write_bytes(content)
    assert read_run_config(tmp_path / named) == sections
    with pytest.raises(InputError, match="no such configuration file"):
        read_run_config(tmp_path / "other.pkl")
