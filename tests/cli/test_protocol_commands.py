"""The command lines of the published protocol, step by step.

Workflows are replaced by a note of what they were called with: these tests are about reading, not running.
"""

from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from cryoscape.cli.app import main

Call = Callable[[str, str], dict[str, Any]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Give a command line to the program; answers the arguments its workflow got, by name."""

    def run(line: str, workflow: str) -> dict[str, Any]:
        calls: list[dict[str, Any]] = []
        module, _, name = workflow.rpartition(".")
        original = getattr(__import__(module, fromlist=[name]), name)

        def note(*values: object, **named: object) -> None:
            bound = signature(original).bind(*values, **named)
            bound.apply_defaults()
            calls.append(bound.arguments)

        words = line.split()
        assert words[0] == "cryodrgn"
        with monkeypatch.context() as patched:
            patched.setattr(workflow, note)
            assert main(words[1:]) == 0
        (found,) = calls
        request = found.get("request")
        return vars(request) if request is not None else found

    return run


def test_step_1_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "train_vae" in capsys.readouterr().out


@pytest.mark.parametrize("relion31", ["", " --relion31"])
def test_step_2_poses(call: Call, relion31: str) -> None:
    line = "cryodrgn parse_pose_csparc 00_inputs/cryosparc_P4_J33_004_particles.cs -D 320 -o poses.pkl"
    found = call(line, "cryoscape.workflows.parse.parse_pose_csparc")
    assert found["source"] == Path("00_inputs/cryosparc_P4_J33_004_particles.cs")
    assert (found["box_size"], found["output"]) == (320, Path("poses.pkl"))
    line = f"cryodrgn parse_pose_star run_data.star{relion31} -D 320 -o poses.pkl"
    found = call(line, "cryoscape.workflows.parse.parse_pose_star")
    assert (found["source"], found["box_size"]) == (Path("run_data.star"), 320)


def test_step_3_ctf(call: Call) -> None:
    line = "cryodrgn parse_ctf_csparc 00_inputs/cryosparc_P4_J33_004_particles.cs -o ctf.pkl"
    found = call(line, "cryoscape.workflows.parse.parse_ctf_csparc")
    assert found["output"] == Path("ctf.pkl")
    line = (
        "cryodrgn parse_ctf_star run_data.star --relion31 -D 320 --Apix 1.31 --kv 300 --cs 2.7 -w 0.1 --ps 0 "
    )
    found = call(line + "-o ctf.pkl", "cryoscape.workflows.parse.parse_ctf_star")
    assert vars(found["overrides"]) == {
        "box_size_px": 320,
        "pixel_size_angstrom": 1.31,
        "voltage_kv": 300.0,
        "spherical_aberration_mm": 2.7,
        "amplitude_contrast": 0.1,
        "phase_shift_degrees": 0.0,
    }


@pytest.mark.parametrize("box", [128, 256])
def test_step_4_downsample(call: Call, box: int) -> None:
    line = f"cryodrgn downsample 10076/data/L17Combine_weight_local.mrc -D {box} "
    found = call(line + f"-o particles.{box}.mrcs --chunk 50000", "cryoscape.workflows.downsample.downsample")
    assert found["source"] == Path("10076/data/L17Combine_weight_local.mrc")
    assert (found["box_size"], found["chunk"]) == (box, 50000)
    assert found["output"] == Path(f"particles.{box}.mrcs")


def test_step_5_back_projection(call: Call) -> None:
    line = "cryodrgn backproject_voxel particles.128.txt --uninvert-data --poses poses.pkl --ctf ctf.pkl "
    found = call(line + "-o backproject.128.mrc --first 10000", "cryoscape.workflows.backproject.backproject")
    assert found["particles"] == Path("particles.128.txt")
    assert (found["poses"], found["ctf"]) == (Path("poses.pkl"), Path("ctf.pkl"))
    assert found["output"] == Path("backproject.128.mrc")
    assert found["first"] == 10000
    assert found["invert"] is False


FIRST_TRAINING = (
    "cryodrgn train_vae particles.128.txt --ctf ctf.pkl --poses poses.pkl --zdim 8 -n 50 --batch-size 8 "
    "--amp --uninvert-data -o 01_128_8D_256"
)


@pytest.mark.parametrize(
    ("more", "load"),
    [
        ("", None),
        (" --load 01_128_8D_256/weights.49.pkl", "01_128_8D_256/weights.49.pkl"),
        (" --load_latest", "latest"),
    ],
    ids=["step 6", "step 8", "step 6 again"],
)
def test_step_6_and_8_training(call: Call, more: str, load: str | None) -> None:
    found = call(FIRST_TRAINING + more, "cryoscape.workflows.train_vae.train_vae")
    assert found["particles"] == Path("particles.128.txt")
    assert (found["poses"], found["ctf"]) == (Path("poses.pkl"), Path("ctf.pkl"))
    assert (found["zdim"], found["num_epochs"], found["batch_size"]) == (8, 50, 8)
    assert found["amp"] is True
    assert found["invert_data"] is False
    assert found["outdir"] == Path("01_128_8D_256")
    assert found["load"] == load
    assert (found["enc_dim"], found["dec_dim"], found["ind"]) == (None, None, None)


@pytest.mark.parametrize(("epochs", "load"), [(50, None), (100, "01_128_8D_256/weights.49.pkl")])
def test_step_6_and_8_without_options_of_the_papers_network(
    call: Call, epochs: int, load: str | None
) -> None:
    line = f"cryodrgn train_vae particles.128.txt --ctf ctf.pkl --poses poses.pkl --zdim 8 -n {epochs} "
    line += "--uninvert-data -o 01_128_8D_256" + (f" --load {load}" if load else "")
    found = call(line, "cryoscape.workflows.train_manifold.train_manifold")
    assert (found["zdim"], found["epochs"], found["load"]) == (8, epochs, load)
    assert (found["invert_data"], found["outdir"]) == (False, Path("01_128_8D_256"))


def test_step_8_more_epochs(call: Call) -> None:
    line = FIRST_TRAINING.replace("-n 50", "-n 100") + " --load 01_128_8D_256/weights.49.pkl"
    found = call(line, "cryoscape.workflows.train_vae.train_vae")
    assert (found["num_epochs"], found["load"]) == (100, "01_128_8D_256/weights.49.pkl")


@pytest.mark.parametrize("kept", ["ind_keep", "ind_bad"])
def test_step_37_particles_of_a_class_in_the_original_star_file(call: Call, kept: str) -> None:
    line = f"cryodrgn export run_data.star --ind 02_256_8D_1024/{kept}.1200_particles.pkl -o c4.star"
    found = call(line, "cryoscape.workflows.export.export")
    assert found["particles"] == Path("run_data.star")
    assert found["ind"] == Path(f"02_256_8D_1024/{kept}.1200_particles.pkl")
    upstream = f"cryodrgn filter_star run_data.star --ind {found['ind']} -o c4.star"
    assert call(upstream, "cryoscape.workflows.export.export")["output"] == Path("c4.star")


@pytest.mark.parametrize("run", ["01_128_8D_256", "02_256_8D_1024"])
def test_step_7_and_19_convergence(call: Call, run: str) -> None:
    workflow = "cryoscape.workflows.analyze_convergence.analyze_convergence"
    found = call(f"cryodrgn analyze_convergence {run} 49 --flip", workflow)
    assert (found["run"], found["epoch"]) == (Path(run), 49)
    options = found["options"]
    assert options.maps.flip is True
    assert (options.subset, options.seed, options.epoch_interval) == (50_000, 42, None)
    maxima = options.maxima
    assert (maxima.n_bins, maxima.smooth_width_bins, maxima.radius_bins) == (30, 1.0, 5.0)
    assert (maxima.pruned_maxima, maxima.final_maxima) == (None, 10)
    assert (options.mask.threshold, options.mask.dilation_px, options.mask.edge_px) == (None, 3.0, 10.0)
    line = f"cryodrgn analyze_convergence {run} 49 --subset None --epoch-interval 2 --pruned-maxima 12 "
    found = call(line + "--random-state 7 --Apix 3.275 -d 64 --skip-volgen --no-smooth -o out", workflow)
    options = found["options"]
    assert (options.subset, options.epoch_interval, options.seed) == (None, 2, 7)
    assert (options.maxima.pruned_maxima, options.maxima.smooth_width_bins) == (12, 0.0)
    assert (options.pixel_size_angstrom, options.maps.downsample) == (3.275, 64)
    assert (options.skip_volgen, found["output"]) == (True, Path("out"))


def test_step_9_analysis(call: Call) -> None:
    line = "cryodrgn analyze 01_128_8D_256 49 --flip --Apix 3.275"
    found = call(line, "cryoscape.workflows.analyze.analyze")
    assert (found["run"], found["epoch"]) == (Path("01_128_8D_256"), 49)
    assert found["options"].maps.flip is True
    assert found["options"].pixel_size_angstrom == 3.275
    assert (found["options"].ksample, found["options"].pc) == (20, 2)
    assert call(line + " --ksample 500", "cryoscape.workflows.analyze.analyze")["options"].ksample == 500


def test_step_20_analysis_of_the_second_training(call: Call) -> None:
    line = "cryodrgn analyze 02_256_8D_1024 49 --Apix 1.6375 --flip"
    found = call(line, "cryoscape.workflows.analyze.analyze")
    assert (found["run"], found["epoch"]) == (Path("02_256_8D_1024"), 49)
    assert (found["options"].pixel_size_angstrom, found["options"].maps.flip) == (1.6375, True)


@pytest.mark.parametrize("name", ["ind_keep", "ind_bad"])
def test_step_17_star_files_of_selections(call: Call, name: str) -> None:
    n = {"ind_keep": 96478, "ind_bad": 35421}[name]
    line = (
        "cryodrgn write_starfile 10076/data/L17Combine_weight_local.mrcs ctf.pkl --poses poses.pkl "
        f"--ind 01_128_8D_256/{name}.{n}_particles.pkl -o {name}.star"
    )
    found = call(line, "cryoscape.workflows.write_starfile.write_starfile")
    assert found["particles"] == Path("10076/data/L17Combine_weight_local.mrcs")
    assert (found["ctf"], found["poses"]) == (Path("ctf.pkl"), Path("poses.pkl"))
    assert found["ind"] == Path(f"01_128_8D_256/{name}.{n}_particles.pkl")
    assert (found["output"], found["dialect"]) == (Path(f"{name}.star"), "relion31")
    later = line.replace("write_starfile", "write_star").replace("ctf.pkl", "--ctf ctf.pkl")
    assert call(later, "cryoscape.workflows.write_starfile.write_starfile") == found


def test_step_18_training_of_a_selection(call: Call) -> None:
    line = (
        "cryodrgn train_vae particles.256.txt --amp --ctf ctf.pkl --poses poses.pkl --zdim 8 -n 50 "
        "--uninvert-data --enc-dim 1024 --enc-layers 3 --dec-dim 1024 --dec-layers 3 -o 02_256_8D_1024 "
        "-ind 01_128_8D_256/ind_keep.96478_particles.pkl"
    )
    found = call(line, "cryoscape.workflows.train_vae.train_vae")
    assert found["ind"] == Path("01_128_8D_256/ind_keep.96478_particles.pkl")
    assert [found[name] for name in ("enc_dim", "enc_layers", "dec_dim", "dec_layers")] == [1024, 3, 1024, 3]
    assert call(line + " --lazy", "cryoscape.workflows.train_vae.train_vae")["lazy"] is True


def test_step_35_path_through_the_graph(call: Call) -> None:
    line = (
        "cryodrgn graph_traversal 02_256_8D_1024/z.49.pkl --anchors "
        "89122 37896 53298 81097 66910 95314 73537 51189 51011 "
        "-o 02_256_8D_1024/analyze.49/path01.txt --out-z 02_256_8D_1024/analyze.49/z.path01.txt"
    )
    found = call(line, "cryoscape.workflows.graph_traversal.graph_traversal")
    assert found["latents"] == Path("02_256_8D_1024/z.49.pkl")
    assert found["anchors"] == tuple(line.split()[4:13])
    assert found["rows_file"] == Path("02_256_8D_1024/analyze.49/path01.txt")
    assert found["z_file"] == Path("02_256_8D_1024/analyze.49/z.path01.txt")
    assert (found["max_neighbors"], found["avg_neighbors"]) == (10, 5.0)


def test_steps_27_to_29_with_the_options_of_the_published_scripts(call: Call) -> None:
    line = "cryodrgn occupancy maps --mapdir 00_aligned/reconstruct_000000 --model 00_aligned/prots1.pdb "
    found = call(
        line + "00_aligned/RNA1.pdb --resolution 5", "cryoscape.workflows.occupancy_maps.occupancy_maps"
    )
    assert found["model"].models == (Path("00_aligned/prots1.pdb"), Path("00_aligned/RNA1.pdb"))
    assert found["output"] == Path("01_PDB_mrc")
    line = "cryodrgn occupancy masks --mrc 01_PDB_mrc/prots1_chaina.mrc --outdir 02_mask"
    found = call(line, "cryoscape.workflows.occupancy_maps.occupancy_masks")
    assert tuple(found["maps"]) == (Path("01_PDB_mrc/prots1_chaina.mrc"),)
    assert found["output"] == Path("02_mask")
    line = "cryodrgn occupancy measure --mapdir 00_aligned/reconstruct_000000 --maskdir 02_mask "
    found = call(line + "--refdir 01_PDB_mrc", "cryoscape.workflows.occupancy_measure.occupancy_measure")
    assert found["maps"] == Path("00_aligned/reconstruct_000000")
    assert (found["masks"], found["references"]) == (Path("02_mask"), Path("01_PDB_mrc"))
    assert found["output"] == Path()


def test_step_35_maps_along_a_path(call: Call) -> None:
    line = (
        "cryodrgn eval_vol 02_256_8D_1024/weights.49.pkl -c 02_256_8D_1024/config.pkl --flip "
        "--zfile 02_256_8D_1024/analyze.49/z.path01.txt -o 02_256_8D_1024/analyze.49/path01"
    )
    found = call(line, "cryoscape.workflows.eval_vol.eval_vol")
    assert found["weights"] == Path("02_256_8D_1024/weights.49.pkl")
    assert found["config"] == Path("02_256_8D_1024/config.pkl")
    assert found["zfile"] == Path("02_256_8D_1024/analyze.49/z.path01.txt")
    assert found["flip"] is True
    assert (found["z"], found["z_start"], found["z_end"]) == (None, None, None)


def test_as_pasted_from_the_page(call: Call) -> None:
    """Dashes as a reader of the printed page copies them."""
    pasted = FIRST_TRAINING.replace("--", "\u2013").replace(" -", " \u2013")
    typed = call(FIRST_TRAINING, "cryoscape.workflows.train_vae.train_vae")
    found = call(pasted, "cryoscape.workflows.train_vae.train_vae")
    assert {**found, "command": ()} == {**typed, "command": ()}


def test_steps_14_to_16_filter_by_mixture_instead_of_in_the_notebook(call: Call) -> None:
    line = "cryodrgn filter 01_128_8D_256 49 --gmm 6 --clusters 0 1 2 4 5 --keep"
    found = call(line, "cryoscape.workflows.filter.filter_run")
    assert (found["run"], found["epoch"]) == (Path("01_128_8D_256"), 49)
    assert (found["criteria"].gmm, found["criteria"].clusters) == (6, (0, 1, 2, 4, 5))
    assert found["options"].fate == "keep"
    assert found["output"] is None
    upstream = call(
        "cryodrgn filter 01_128_8D_256 --epoch 49 -k 20 --sel-dir sel -f",
        "cryoscape.workflows.filter.filter_run",
    )
    assert (upstream["epoch"], upstream["criteria"].kmeans, upstream["force"]) == (49, 20, True)
    assert upstream["output"] == Path("sel")
    polygon = call(
        "cryodrgn filter run --polygon -1,2;3,2;3,4 --plane pc1 pc2 --drop",
        "cryoscape.workflows.filter.filter_run",
    )
    assert polygon["criteria"].polygon == "-1,2;3,2;3,4"
    negative = call("cryodrgn filter run --where -z0>1 --drop", "cryoscape.workflows.filter.filter_run")
    assert negative["criteria"].where == "-z0>1"
