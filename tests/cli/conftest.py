"""Running commands in this process, and a small folder of good input files to spoil."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoscape.cli.app import main
from cryoscape.cli.arguments import split_command
from cryoscape.cli.commands import FAMILIES
from folders import listing
from particle_files import (
    cryosparc_table,
    legacy_ctf,
    noise_images,
    random_rotations,
    relion30_rows,
    write_cs,
    write_map,
    write_pickle,
    write_poses_pickle,
    write_stack,
    write_star31,
)

N, BOX = 12, 16
SMALL_NETWORK = ["--zdim", "2", "-n", "1", "--enc-dim", "8", "--dec-dim", "8", "--enc-layers", "1"]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, poses, CTF, star and .cs files that fit together, and a run trained on them."""
    folder = tmp_path_factory.mktemp("good")
    write_stack(folder / "s.mrcs", noise_images(N, BOX), 1.5)
    write_poses_pickle(folder / "poses.pkl", random_rotations(N), np.full((N, 2), 0.05))
    write_pickle(folder / "ctf.pkl", legacy_ctf(N, BOX))
    write_star31(folder / "s.star", relion30_rows(N, "s.mrcs"), BOX)
    write_cs(folder / "s.cs", cryosparc_table(N, "s.mrcs", BOX))
    write_map(folder / "map.mrc", noise_images(BOX, BOX))
    write_pickle(folder / "ind.pkl", np.arange(4))
    (folder / "atom.pdb").write_text(
        "ATOM      1  CA  GLY A   1       1.000   2.000   3.000  1.00  0.00           C\nEND\n"
    )
    train = ["train_vae", f"{folder}/s.mrcs", "--poses", f"{folder}/poses.pkl", "--ctf", f"{folder}/ctf.pkl"]
    assert main([*train, *SMALL_NETWORK, "-o", f"{folder}/run"]) == 0
    return folder


@pytest.fixture
def folder(good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the good files, to spoil; it is the current folder."""
    place = tmp_path / "work"
    shutil.copytree(good_folder, place)
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], str]:
    """Run a command that must be refused: code 2, one line, nothing written. Answers the line."""

    def run(arguments: list[str]) -> str:
        before = listing(folder)
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        assert code == 2, err
        assert out == ""
        assert err.endswith("\n")
        lines = err.splitlines()
        assert len(lines) == 1, err
        assert lines[0].startswith(f"cryoscape {split_command(arguments, FAMILIES)[0]}: error: ")
        assert listing(folder) == before
        return lines[0]

    return run
