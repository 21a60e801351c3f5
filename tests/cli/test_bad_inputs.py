"""What users get wrong, by the command line: one line that says how to mend it, code 2, nothing written."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cryoscape.cli.app import main
from folders import listing
from particle_files import (
    cryosparc_table,
    legacy_ctf,
    noise_images,
    random_rotations,
    relion30_rows,
    without_fields,
    write_cs,
    write_pickle,
    write_poses_pickle,
    write_stack,
    write_star30,
    write_star31,
)

Refused = Callable[[list[str]], str]

N, BOX = 12, 16
NETWORK = ["--zdim", "2", "-n", "1", "--decoder", "mlp", "--enc-dim", "8", "--dec-dim", "8"]

# What each command needs beside the particles; PARTICLES is put in by `using`.
TRAIN = ["train_vae", "PARTICLES", "--poses", "poses.pkl", "--ctf", "ctf.pkl", *NETWORK, "-o", "out"]
SUBSPACE = ["train_subspace", "PARTICLES", "--poses", "poses.pkl", "--ctf", "ctf.pkl", "-o", "out"]
CURVED = ["train_vae", *SUBSPACE[1:], "--zdim", "2"]
PREPROCESS = ["preprocess", "PARTICLES", "--poses", "poses.pkl", "--ctf", "ctf.pkl", "-o", "out"]
EVAL = ["eval_images", "PARTICLES", "run", "--poses", "poses.pkl", "--ctf", "ctf.pkl"]
EVAL += ["-o", "losses.pkl", "--out-z", "z.pkl"]
BACKPROJECT = ["backproject_voxel", "PARTICLES", "--poses", "poses.pkl", "--ctf", "ctf.pkl", "-o", "out"]
DOWNSAMPLE = ["downsample", "PARTICLES", "-D", "8", "-o", "out.mrcs"]
STARFILE = ["write_starfile", "PARTICLES", "ctf.pkl", "--poses", "poses.pkl", "-o", "out.star"]
OCCUPANCY = ["occupancy", "run", "--model", "atom.pdb", "--resolution", "5"]

WITH_POSES = [TRAIN, SUBSPACE, CURVED, PREPROCESS, EVAL, BACKPROJECT, STARFILE]
WITH_IMAGES = [*WITH_POSES, DOWNSAMPLE]


def name(command: object) -> str:
    return str(command[0]) if isinstance(command, list) else str(command)


def using(command: list[str], particles: str = "s.mrcs") -> list[str]:
    return [particles if word == "PARTICLES" else word for word in command]


def without_tables(command: list[str]) -> list[str]:
    """The command with poses and CTF left to the particles file."""
    words = [word for word in command if word not in ("--poses", "poses.pkl", "--ctf", "ctf.pkl")]
    return using(words, "s.star")


@pytest.mark.parametrize("command", WITH_POSES, ids=name)
def test_counts_of_poses_and_particles_differ(folder: Path, refused: Refused, command: list[str]) -> None:
    write_poses_pickle(folder / "poses.pkl", random_rotations(N - 1))
    line = refused(using(command))
    assert "poses.pkl: 11 poses, but s.mrcs has 12 particles" in line


@pytest.mark.parametrize("command", WITH_POSES, ids=name)
def test_counts_of_ctf_and_particles_differ(folder: Path, refused: Refused, command: list[str]) -> None:
    write_pickle(folder / "ctf.pkl", legacy_ctf(N + 3, BOX))
    assert "ctf.pkl: 15 CTF, but s.mrcs has 12 particles" in refused(using(command))


@pytest.mark.parametrize("command", WITH_POSES, ids=name)
def test_poses_not_orthonormal(folder: Path, refused: Refused, command: list[str]) -> None:
    rotations = random_rotations(N)
    rotations[7] *= 1.1
    write_poses_pickle(folder / "poses.pkl", rotations)
    assert "row 7 is not orthonormal" in refused(using(command))


def test_mirrored_poses(folder: Path, refused: Refused) -> None:
    write_poses_pickle(folder / "poses.pkl", random_rotations(N) * [1, 1, -1])
    assert "12 rotations have determinant -1" in refused(using(TRAIN))


def test_shifts_in_pixels(folder: Path, refused: Refused) -> None:
    write_poses_pickle(folder / "poses.pkl", random_rotations(N), np.full((N, 2), -3.0))
    assert "look like pixels" in refused(using(PREPROCESS))


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("command", WITH_POSES, ids=name)
def test_not_finite_in_ctf_pickle(folder: Path, refused: Refused, command: list[str], value: float) -> None:
    table = legacy_ctf(N, BOX)
    table[[3, 9], 2] = value
    write_pickle(folder / "ctf.pkl", table)
    line = refused(using(command))
    assert "defocus_u_angstrom is NaN or infinite in 2 of 12 rows (from 0: 3, 9)" in line


@pytest.mark.parametrize("command", ["parse_ctf_star", "parse_pose_star", *WITH_POSES], ids=name)
def test_not_finite_in_star(folder: Path, refused: Refused, command: str | list[str]) -> None:
    rows = relion30_rows(N, "s.mrcs")
    column = "rlnAngleTilt" if command == "parse_pose_star" else "rlnDefocusV"
    rows[5][column] = "nan"
    write_star31(folder / "s.star", rows, BOX)
    arguments = [command, "s.star", "-o", "new.pkl"] if isinstance(command, str) else without_tables(command)
    assert "is NaN or infinite in 1 of 12 rows (from 0: 5)" in refused(arguments)


@pytest.mark.parametrize("command", WITH_IMAGES, ids=name)
def test_truncated_stack(folder: Path, refused: Refused, command: list[str]) -> None:
    whole = 1024 + N * BOX * BOX * 4
    os.truncate(folder / "s.mrcs", whole - 100)
    line = refused(using(command))
    assert "truncated" in line
    assert str(whole) in line
    assert str(whole - 100) in line


@pytest.mark.parametrize("command", WITH_IMAGES, ids=name)
def test_a_volume_given_as_particles(refused: Refused, command: list[str]) -> None:
    assert "map.mrc: this is a 3D map (16 x 16 x 16)" in refused(using(command, "map.mrc"))


@pytest.mark.parametrize("command", WITH_IMAGES, ids=name)
def test_images_not_square(folder: Path, refused: Refused, command: list[str]) -> None:
    write_stack(folder / "s.mrcs", np.zeros((N, BOX, BOX + 4), np.float32))
    assert "20 x 16 px, expected square" in refused(using(command))


@pytest.mark.parametrize("command", [TRAIN, EVAL], ids=name)
def test_star_without_angles(folder: Path, refused: Refused, command: list[str]) -> None:
    write_star30(
        folder / "s.star", relion30_rows(N, "s.mrcs"), ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
    )
    assert "no poses" in refused(without_tables(command))


def test_parsing_a_star_without_angles(folder: Path, refused: Refused) -> None:
    write_star30(folder / "s.star", relion30_rows(N, "s.mrcs"), ("rlnAngleRot",))
    line = refused(["parse_pose_star", "s.star", "-D", "16", "-o", "new.pkl"])
    assert "rlnAngleRot" in line


@pytest.mark.parametrize("command", WITH_IMAGES, ids=name)
def test_missing_image_file(folder: Path, refused: Refused, command: list[str]) -> None:
    (folder / "s.mrcs").unlink()
    line = refused(without_tables(command))
    assert "1 of 1 image files are missing (first: s.mrcs" in line
    assert "--datadir" in line


@pytest.mark.parametrize("command", WITH_IMAGES, ids=name)
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([0, 12], "largest row 12, but s.mrcs has 12 particles (rows 0 to 11)"),
        ([0, -1], "negative row"),
        ([3, 3, 4], "more than once"),
        ([], "selection is empty"),
        ([0.5, 1.0], "whole numbers"),
    ],
    ids=["beyond", "negative", "repeated", "empty", "fractions"],
)
def test_selections_that_select_nothing_sensible(
    folder: Path, refused: Refused, command: list[str], rows: list[float], words: str
) -> None:
    write_pickle(folder / "ind.pkl", np.array(rows))
    assert words in refused([*using(command), "--ind", "ind.pkl"])


def test_an_index_beyond_the_stack_in_a_star(folder: Path, refused: Refused) -> None:
    write_star31(folder / "s.star", relion30_rows(N + 1, "s.mrcs"), BOX)
    assert "image 13 is asked for, the file holds 12" in refused(without_tables(TRAIN))


class Hostile:
    """A pickle that would run a command when it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch hacked",)


@pytest.mark.parametrize("file", ["poses.pkl", "ctf.pkl", "ind.pkl"])
@pytest.mark.parametrize("command", WITH_POSES, ids=name)
def test_unsafe_pickles(folder: Path, refused: Refused, command: list[str], file: str) -> None:
    write_pickle(folder / file, Hostile())
    assert f"unsafe pickle {file}" in refused([*using(command), "--ind", "ind.pkl"])
    assert not (folder / "hacked").exists()


@pytest.mark.parametrize(
    "arguments",
    [["pc_traversal", "run/z.0.pkl"], ["analyze", "run"], ["eval_vol", "run", "-z", "0", "0"]],
    ids=name,
)
def test_unsafe_pickles_of_a_run(folder: Path, refused: Refused, arguments: list[str]) -> None:
    for file in ("z.0.pkl", "weights.0.pkl"):
        (folder / "run" / file).write_bytes(pickle.dumps(Hostile(), protocol=2))
    line = refused([*arguments, "-o", "out"])
    assert "run/" in line
    assert not (folder / "hacked").exists()


def test_an_output_that_holds_another_run(folder: Path, refused: Refused) -> None:
    assert "holds a training run already" in refused([*using(TRAIN)[:-2], "-o", "run"])
    assert main(["analyze", "run", "--skip-vol", "--skip-umap", "-o", "analysis"]) == 0
    assert "another" in refused(["analyze", "run", "--skip-vol", "--seed", "3", "-o", "analysis"])
    assert "files that are not of" in refused(["analyze", "run", "-o", "."])
    assert main(["pc_traversal", "run", "-o", "paths"]) == 0
    assert "pc1.txt: exists" in refused(["pc_traversal", "run", "-o", "paths"])
    assert main(using(PREPROCESS)) == 0
    assert "store of other input" in refused([*using(PREPROCESS), "--no-window"])


def test_a_failed_start_leaves_the_run_that_force_would_replace(folder: Path, refused: Refused) -> None:
    write_poses_pickle(folder / "poses.pkl", random_rotations(N - 1))
    refused([*using(TRAIN)[:-2], "-o", "run", "--force"])


def test_simulations_and_demonstrations_are_not_overwritten(folder: Path, refused: Refused) -> None:
    simulate = ["simulate", "atom.pdb", "-n", "2", "-D", "16", "--apix", "2", "-o", "simulated"]
    assert main(simulate) == 0
    assert "holds a simulation already" in refused(simulate)
    assert "not of a demonstration" in refused(["demo", "-o", "simulated", "--force"])
    (folder / "demo").mkdir()
    (folder / "demo" / "demo.json").write_text("{}")
    assert "holds a demonstration already" in refused(["demo", "-o", "demo"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["downsample", "s.mrcs", "-D", "8", "-o", "s.mrcs"], "is an input"),
        (["downsample", "s.mrcs", "-D", "7", "-o", "out.mrcs"], "even"),
        (["downsample", "s.mrcs", "-D", "32", "-o", "out.mrcs"], "larger than the images"),
        (["downsample", "map.mrc", "-D", "32", "--is-vol", "-o", "out.mrc"], "larger than"),
        (["downsample", "s.mrcs", "-D", "8", "-o", "out.png"], "ends in .mrcs"),
        (["preprocess", "s.mrcs", "-o", "s.star"], "is a file"),
        (["train_vae", "s.mrcs", "--zdim", "2", "-o", "out"], "no poses"),
        ([*using(TRAIN), "--enc-mask", "9"], "--enc-mask 9"),
        ([*using(TRAIN), "--dec-layers", "0"], "--dec-layers"),
        ([*using(TRAIN), "--beta", "z"], "--beta z"),
        ([*using(TRAIN), "--device", "cuda:7"], "--device cuda:7"),
        ([*using(TRAIN), "--load", "latest"], "out"),
        ([*using(TRAIN), "--load", "s.star"], "s.star"),
        ([*using(TRAIN)[:-2], "--enc-layers", "1", "-o", "run", "--load", "latest"], "give a larger -n"),
        (
            [*using(CURVED), "--decoder", "subspace+mlp", "--enc-dim", "8"],
            "--enc-dim: has no meaning with --decoder subspace+mlp",
        ),
        ([*using(TRAIN), "--from", "run"], "--from run: needs --decoder subspace+mlp"),
        ([*using(CURVED), "--from", "run"], "run: holds a run of train_vae, expected one of train_subspace"),
        ([*using(CURVED), "-n", "0"], "-n 0: expected at least 1"),
        (["train_states", *using(SUBSPACE)[1:], "--k", "0"], "--k 0: expected at least 1"),
        ([*using(CURVED), "--load", "latest"], "nothing to continue from"),
        (["train_subspace", "s.mrcs", "-o", "out"], "no poses"),
        ([*using(SUBSPACE), "--zdim", "0"], "--zdim 0: expected at least 1"),
        ([*using(SUBSPACE), "--mask", "round"], "expected solvent, sphere, or the .mrc file"),
        ([*using(SUBSPACE), "--mask", "map.mrc"], "expected a mask, 0 outside and 1 inside"),
        ([*using(SUBSPACE), "--load", "latest"], "out"),
        ([*using(SUBSPACE), "--device", "cuda:7"], "--device cuda:7"),
        ([*using(SUBSPACE)[:-2], "-o", "run"], "holds a training run already"),
        ([*using(SUBSPACE)[:-2], "-o", "run", "--load", "latest"], "nothing to continue from"),
        (["analyze", "run", "7"], "weights.7.pkl: no such file; epochs in this folder: 0"),
        (["analyze", "gone"], "no such run folder"),
        (["analyze", "."], "train with"),
        (["analyze", "run", "--ksample", "0"], "--ksample"),
        (["analyze_landscape", "run", "7"], "epochs in this folder: 0"),
        (["analyze_landscape", "run", "-N", "2"], "-N: a landscape needs maps at 3"),
        (["analyze_landscape", "run", "-M", "99"], "-M: give at most 12 states"),
        (["analyze_landscape", "run", "-d", "64"], "-d: maps are 16 voxels wide"),
        (["analyze_landscape", "run", "--mask", "s.mrcs"], "stack"),
        (["analyze_landscape_full", "run"], "no landscape there"),
        (["analyze_convergence", "run"], "only epoch 0 can be compared"),
        (["analyze_convergence", "run", "7"], "epochs in this folder: 0"),
        (["analyze_convergence", "run", "--subset", "few"], "--subset: expected a number"),
        (["analyze_convergence", "run", "--n-bins", "2"], "--n-bins: expected 3 or more"),
        (["analyze_convergence", "run", "--dist", "-1"], "--dist: expected a width"),
        (["eval_vol", "gone.pkl", "-z", "0", "0", "-o", "out"], "no such weights file"),
        (["eval_vol", "run", "-z", "0", "-o", "out"], "zdim is 2"),
        (["eval_vol", "run", "-o", "out"], "exactly one of"),
        (["eval_vol", "run", "--zfile", "s.star", "-o", "out"], "one z a line"),
        (["eval_vol", "run", "-z", "0", "0", "-d", "64", "-o", "out"], "64"),
        (["eval_vol", "run", "-z", "0", "0", "--crop", "15", "-o", "out"], "--crop 15"),
        (["pc_traversal", "run", "--pc", "3", "-o", "out"], "1 to 2"),
        (["pc_traversal", "run", "--lim", "90", "10", "-o", "out"], "90"),
        (["simulate", "gone.pdb", "-n", "2", "-o", "out"], "gone.pdb"),
        (["simulate", "s.star", "-n", "2", "-o", "out"], "s.star"),
        (["simulate", "atom.pdb", "-n", "0", "-D", "16", "--apix", "2", "-o", "out"], "at least 1"),
        (["simulate", "atom.pdb", "-n", "2", "--states", "s.star", "-o", "out"], "not valid JSON"),
        ([*OCCUPANCY, "-o", "out"], "give exactly one of --maps"),
        ([*OCCUPANCY, "--maps", ".", "--run", "run", "-o", "out"], "give exactly one of --maps"),
        ([*OCCUPANCY, "--run", "gone", "-o", "out"], "gone: no such run folder"),
        ([*OCCUPANCY, "--run", "run", "--epoch", "9", "-o", "out"], "epochs in this folder: 0"),
        ([*OCCUPANCY, "--run", "run", "--ksample", "1", "-o", "out"], "--ksample 1"),
        ([*OCCUPANCY, "--maps", "gone", "-o", "out"], "gone: no such folder"),
        ([*OCCUPANCY, "--maps", "run", "-o", "out"], "run: no .mrc files in it"),
        ([*OCCUPANCY, "--maps", "s.mrcs", "-o", "out"], "s.mrcs is a stack of images"),
        ([*OCCUPANCY, "--maps", ".", "-o", "out"], "the model is nowhere near the maps' density"),
        ([*OCCUPANCY, "--maps", ".", "-o", "run", "--force"], "files of something else"),
        ([*OCCUPANCY, "--maps", ".", "-o", "out", "--chains", "B"], "atom has no chain 'B'; it has A"),
        ([*OCCUPANCY, "--maps", ".", "-o", "out", "--chains", "A:7"], "no atoms there"),
        ([*OCCUPANCY, "--maps", ".", "-o", "out", "--elements", "s.star"], "ends in .toml or .csv"),
        ([*OCCUPANCY, "--maps", ".", "-o", "out", "--extend-px", "1", "--extend-angstrom", "2"], "exclude"),
        ([*OCCUPANCY, "--maps", ".", "-o", "out", "--edge-px", "-1"], "at least 0"),
        ([*OCCUPANCY[:-1], "0", "--maps", ".", "-o", "out"], "--resolution 0"),
        (["occupancy", "maps", *OCCUPANCY[2:], "--maps", ".", "--model", "s.star"], "s.star"),
        (["occupancy", "masks", "--refdir", "run"], "run: no .mrc files in it"),
        (["occupancy", "masks", "--mrc", "s.mrcs"], "s.mrcs is a stack of images"),
        (["occupancy", "measure", "--mapdir", ".", "--maskdir", "gone"], "gone: no such folder"),
        (["occupancy", "measure", "--mapdir", ".", "--bin", "1", "--refdir", "run"], "give one of them"),
        (["occupancy", "cluster", "gone.csv"], "gone.csv: no such file"),
        (["occupancy", "blocks", "-o", "out"], "give exactly one of --maps"),
        (["occupancy", "blocks", "gone", "-o", "out"], "gone: no such run folder"),
        (["occupancy", "blocks", "run", "--min-correlation", "2", "-o", "out"], "--min-correlation 2"),
        ([*OCCUPANCY, "--maps", ".", "--all-particles", "-o", "out"], "--all-particles needs the run"),
        (["occupancy", "cluster", "s.star"], "not a table of occupancies"),
        (["demo", "-n", "0"], "0"),
        (["demo", "--epochs", "0"], "0"),
        (["export", "gone.star", "-o", "out.star"], "gone.star: no such file"),
        (["export", "s.mrcs", "--ind", "ind.pkl", "-o", "out.star"], "write_starfile"),
        (["export", "s.star", "--ind", "s.star", "-o", "out.star"], "not a readable pickle"),
        (["export", "s.star", "--ind", "poses.pkl", "-o", "out.star"], "does not hold a selection"),
        (["export", "s.star", "--ind", "ind.pkl", "-o", "s.star", "--force"], "is the input"),
        (["export", "s.star", "--ind", "ind.pkl", "-o", "map.mrc"], "go to a .star file"),
        (["export", "s.cs", "--ind", "ind.pkl", "-o", "out.star"], "go to a .cs or .csg file"),
        (["export", "s.star", "--ind", "ind.pkl", "--rows-of", "ctf.pkl", "-o", "o.star"], "who its rows"),
        (["export", "s.star", "--replace-path", "x", "y", "-o", "o.star"], "do not begin with x"),
        (["filter_star", "s.cs", "--ind", "ind.pkl", "-o", "out.star"], "expected .star"),
        (["filter_star", "s.star", "--et", "--ind", "ind.pkl", "-o", "o.star"], "no column _rlnGroupName"),
        (["filter_star", "s.star", "-m", "-o", "out"], "no column _rlnMicrographName"),
        (["filter_cs", "s.star", "--ind", "ind.pkl", "-o", "out.cs"], "expected .cs or .csg"),
        (["write_cs", "s.mrcs", "-o", "out.cs"], "expected .cs or .csg"),
        (["write_starfile", "s.mrcs", "-o", "out.star"], "no CTF"),
        (["write_star", "s.mrcs", "ctf.pkl", "--ctf", "poses.pkl", "-o", "out.star"], "given as ctf.pkl"),
        (["write_star", "s.mrcs", "--ctf", "ctf.pkl", "-o", "s.star"], "s.star: exists"),
        (["filter_mrcs", "s.mrcs", "--ind", "ind.pkl", "-o", "out.star"], "must end in .mrcs"),
        (["filter_mrcs", "map.mrc", "--ind", "ind.pkl"], "3D map"),
        (["filter_pkl", "ctf.pkl", "-o", "out.pkl"], "exactly one of --ind and --first"),
        (["filter_pkl", "s.star", "--first", "2", "-o", "out.pkl"], "not a readable pickle"),
        (["concat_pkls", "ctf.pkl", "poses.pkl", "-o", "out.pkl"], "only files of one kind"),
        (["concat_pkls", "ctf.pkl", "-o", "out.pkl"], "two or more"),
        (["select_random", "10", "-n", "11", "-o", "out.pkl"], "found 11"),
        (["select_random", "10", "--frac", "2", "-o", "out.pkl"], "between 0 and 1"),
        (["select_clusters", "ind.pkl", "--sel", "7", "-o", "out.pkl"], "no cluster 7"),
        (["select_clusters", "poses.pkl", "--sel", "7", "-o", "out.pkl"], "does not hold labels"),
        (["fsc", "map.mrc", "gone.mrc"], "gone.mrc"),
        (["fsc", "map.mrc", "map.mrc", "--corrected"], "give --mask or --ref-volume"),
        (["fsc", "map.mrc", "s.mrcs", "-o", "out.txt"], "not a 3D map"),
        (["plot_fsc", "s.star", "-o", "out.png"], "not an FSC table"),
        (["gen_mask", "map.mrc", "out.mrc", "--threshold", "99"], "give one between"),
        (["gen_mask", "map.mrc", "map.mrc"], "is an input"),
        (["flip_hand", "s.mrcs"], "ends in .mrc or .map"),
        (["flip_hand", "map.mrc", "-o", "map.mrc"], "is there already"),
        (["invert_contrast", "s.mrcs", "-o", "s.mrcs", "--force"], "is an input"),
        (["add_psize", "map.mrc", "--Apix", "-1"], "above 0"),
        (["add_psize", "s.star"], "not an MRC file"),
        (["phase_flip", "s.mrcs", "-o", "out.mrcs"], "has no CTF"),
        (["phase_flip", "s.mrcs", "ctf.pkl", "-o", "out.star"], "ends in .mrcs"),
        (["translate_mrcs", "s.mrcs", "ctf.pkl", "-o", "out.mrcs"], "not orthonormal"),
        (["view_mrcs", "map.mrc", "-o", "out.png"], "this is a 3D map"),
        (["view_header", "poses.pkl"], "not an MRC file"),
        (["clean", "gone"], "no such folder"),
        (["clean", "run", "-n", "0"], "--every-n-epochs 0"),
        (["parse_pose_csparc", "s.star", "-o", "new.pkl"], "s.star"),
        (["parse_pose_star", "s.cs", "-o", "new.pkl"], "s.cs"),
        (["parse_ctf_star", "s.mrcs", "-o", "new.pkl"], "s.mrcs"),
        (["parse_ctf_star", "s.star", "-o", "new.txt"], "must end in .pkl"),
        (["parse_ctf_csparc", "gone.cs", "-o", "new.pkl"], "gone.cs: no such file"),
    ],
    ids=lambda value: "-".join(value)[:50] if isinstance(value, list) else "",
)
def test_settings_and_files_that_cannot_be(refused: Refused, arguments: list[str], words: str) -> None:
    assert words in refused(arguments)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: without_fields(t, "alignments3D/pose"), "alignments3D/pose"),
        (lambda t: without_fields(t, "blob/path"), "blob/path"),
    ],
)
def test_cryosparc_files_that_lack_fields(
    folder: Path, refused: Refused, spoil: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    write_cs(folder / "s.cs", spoil(cryosparc_table(N, "s.mrcs", BOX)))
    command = using([word for word in without_tables(TRAIN) if word != "s.star"])
    command.insert(1, "s.cs")
    line = refused(command)
    assert words in line or "no poses" in line


@pytest.mark.parametrize(
    ("shape", "words"), [((N, 8), "(12, 8)"), ((N,), "(12,)")], ids=["eight columns", "one column"]
)
def test_tables_of_another_shape(folder: Path, refused: Refused, shape: tuple[int, ...], words: str) -> None:
    write_pickle(folder / "ctf.pkl", np.zeros(shape))
    assert words in refused(using(TRAIN))
    write_pickle(folder / "ctf.pkl", legacy_ctf(N, BOX))
    write_pickle(folder / "poses.pkl", np.zeros(shape))
    assert "rotations (N, 3, 3)" in refused(using(TRAIN))


def test_a_star_file_cut_off_in_a_row(folder: Path, refused: Refused) -> None:
    text = (folder / "s.star").read_text().rstrip()
    (folder / "s.star").write_text(text[: text.rindex(" ")])
    assert "line" in refused(["parse_pose_star", "s.star", "-o", "new.pkl"])


def test_images_of_another_box_than_the_models(folder: Path, refused: Refused) -> None:
    write_stack(folder / "s.mrcs", noise_images(N, 20))
    write_pickle(folder / "ctf.pkl", legacy_ctf(N, 20))
    assert "images of 20 px, the model was trained on 16" in refused(using(EVAL))


@pytest.mark.parametrize("command", [TRAIN, SUBSPACE, PREPROCESS], ids=name)
def test_images_without_any_signal(
    folder: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """Found only when the images are read: the plan is told before, and nothing stays behind."""
    write_stack(folder / "s.mrcs", np.zeros((N, BOX, BOX), np.float32), 1.5)
    before = listing(folder)
    assert main(using(command)) == 2
    assert "are all constant or not finite" in capsys.readouterr().err.splitlines()[-1]
    assert listing(folder) == before


def test_weights_cut_short_and_settings_that_are_no_settings(folder: Path, refused: Refused) -> None:
    weights = folder / "run" / "weights.0.pkl"
    os.truncate(weights, weights.stat().st_size // 2)
    assert "damaged or cut short" in refused(["eval_vol", "run", "-z", "0", "0", "-o", "out"])
    (folder / "run" / "config.yaml").write_text("a: 1\n")
    assert "not the configuration" in refused(["eval_vol", "run", "-z", "0", "0", "-o", "out"])


def test_states_that_name_chains_that_are_not_there(folder: Path, refused: Refused) -> None:
    (folder / "states.json").write_text(json.dumps({"states": {"a": {"atom": "AZ"}}}))
    line = refused(["simulate", "atom.pdb", "-n", "2", "-D", "16", "--states", "states.json", "-o", "out"])
    assert "Z" in line


def test_a_folder_that_cannot_be_written(folder: Path, refused: Refused) -> None:
    """A file stands where a folder is needed: what rights do to a user, and also to root."""
    (folder / "wall").write_text("")
    assert "wall" in refused(["parse_ctf_star", "s.star", "-o", "wall/ctf.pkl"])
    assert "wall" in refused([*using(TRAIN)[:-2], "-o", "wall/run"])
    assert "wall" in refused([*using(DOWNSAMPLE)[:-2], "-o", "wall/out.mrcs"])


def test_paths_with_spaces_and_other_letters_are_fine(folder: Path) -> None:
    place = folder / "mes données"
    place.mkdir()
    shutil.move(folder / "s.mrcs", place / "ä b.mrcs")
    assert main([*using(TRAIN, f"{place}/ä b.mrcs")[:-2], "-o", f"{place}/lauf 1"]) == 0
    assert (place / "lauf 1" / "weights.0.pkl").is_file()


def test_anchors_of_a_path_that_are_none(folder: Path, refused: Refused) -> None:
    graph = ["graph_traversal", "run/z.0.pkl", "-o", "path.txt", "--out-z", "z.path.txt", "--anchors"]
    assert "no row 12; there are 12 particles, numbered 0 to 11" in refused([*graph, "1", "12"])
    assert "at least 2 different particles" in refused([*graph, "1"])
    assert "neither a row number nor a file" in refused([*graph, "1", "centers_ind.txt"])
    assert "--max-neighbors" in refused([*graph, "1", "2", "--max-neighbors", "0"])
    (folder / "z.path.txt").write_text("")
    assert "z.path.txt: exists" in refused([*graph, "1", "2"])
    direct = ["direct_traversal", "run", "-o", "out/z.txt", "--anchors"]
    assert "no row 99" in refused([*direct, "1", "99"])
    assert "at least 2 points" in refused([*direct, "1", "2", "-n", "1"])


FILTER = ["filter", "run"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "no criterion is given"),
        (["--clusters", "1"], "say of which clusters they are"),
        (["--kmeans", "2", "--gmm", "2"], "--kmeans and --gmm are both given"),
        (["--gmm", "2", "--clusters", "7"], "there is no cluster 7; 2 are numbered 0 to 1"),
        (["--gmm", "99", "--clusters", "1"], "--gmm: give 1 to 12 clusters, found 99"),
        (["--kmeans", "2", "--clusters", "1", "--suggest"], "--clusters and --suggest are both given"),
        (["--suggest"], "no column 'junk_score' to judge by"),
        (["--zscore", "0"], "--zscore: give a number above 0"),
        (["--where", "z0 >"], "not a condition"),
        (["--where", "zscor > 0"], "no column 'zscor'; did you mean zscore?"),
        (["--where", "umap1 > 0"], "has no UMAP; run analyze first"),
        (["--polygon", "0,0 1,1", "--plane", "z0", "z1"], "3 or more corners"),
        (["--polygon", "corners.txt", "--plane", "z0", "z1"], "no such file"),
        (["--polygon", "0,0 1,0 1,1"], "no column 'umap1'; run analyze first"),
        (["--and", "none.pkl"], "none.pkl"),
        (["--and", "s.star"], "s.star is not a readable pickle"),
        (["--where", "z0 > -99", "--drop"], "nothing would be kept of 12 particles"),
        (["--where", "z0 > 0", "--keep", "--drop"], "--keep and --drop are both given"),
        (["--where", "z0 > 0", "--columns", "none.csv"], "none.csv: no such file"),
        (["--where", "z0 > 0", "--columns", "s.star"], "expected .parquet, .csv, .tsv or .txt"),
        (["--where", "z0 > 0", "--columns", "short.csv"], "3 lines for the 12 particles"),
        (["--where", "z0 > 0", "--columns", "twice.csv"], "names a row in 'original_row' more than once"),
        (["--where", "z0 > 0", "--columns", "other.csv"], "has none of the 12 original rows"),
        (["--where", "z0 > -99", "--keep", "-o", "s.star"], "s.star: is a file"),
        (["--analysis", "gone", "--zscore", "1"], "gone: no such folder"),
    ],
)
def test_criteria_of_filter_that_cannot_be_used(
    folder: Path, refused: Refused, options: list[str], words: str
) -> None:
    (folder / "short.csv").write_text("a\n1\n2\n3\n")
    (folder / "twice.csv").write_text("original_row,a\n1,1\n1,2\n")
    (folder / "other.csv").write_text("original_row,a\n100,1\n")
    assert words in refused([*FILTER, *options]).replace("'--", "--")


def test_a_selection_of_other_particles(folder: Path, refused: Refused) -> None:
    write_pickle(folder / "other.pkl", np.array([50, 51]))
    assert "none of its 2 rows is a particle of this run" in refused([*FILTER, "--and", "other.pkl"])
    write_pickle(folder / "twice.pkl", np.array([1, 1]))
    line = refused(["compare_selections", "other.pkl", "twice.pkl", "-o", "out"])
    assert "names 1 rows more than once" in line
    assert "give 2 to 8 selections" in refused(["compare_selections", "other.pkl", "-o", "out"])


def test_movies_that_cannot_be_made(folder: Path, refused: Refused) -> None:
    assert "no such folder" in refused(["make_movies", "nowhere", "-o", "m.gif"])
    assert "no folders of maps; run `cryoscape analyze run`" in refused(["make_movies", "run"])
    assert "expected a movie that ends in .mp4 or .gif" in refused(
        ["make_movies", "run", "--zfile", "z.txt", "-o", "m.avi"]
    )
    assert "z.txt: no such file" in refused(["make_movies", "run", "--zfile", "z.txt", "-o", "m.gif"])
    assert "12 numbers" in refused(["make_movies", "run", "--camera", "1,0,0"])
    assert "--size" in refused(["make_movies", "run", "--size", "13"])
