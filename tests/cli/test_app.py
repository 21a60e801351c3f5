"""The command line itself: help, spellings, and how commands end."""

import logging
import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cryoscape
from cryoscape.cli.app import command_app, main, parse
from cryoscape.cli.arguments import split_command, tidy
from cryoscape.cli.commands import BY_NAME, COMMANDS, FAMILIES
from cryoscape.errors import InputError, TrainingError

HEAVY = {"torch", "numpy", "scipy", "pandas", "numba", "sklearn", "matplotlib", "gemmi", "mrcfile"}
NAMES = [command.name for command in COMMANDS]


def run(*arguments: str, **more: object) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "cryoscape", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **more,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def helps() -> dict[str, tuple[str, float, set[str]]]:
    """Help of every command, made in one fresh process: text, processor seconds, modules loaded by then."""
    code = (
        "import sys, time, io, contextlib, json\n"
        "from cryoscape.cli.app import main\n"
        "from cryoscape.cli.commands import COMMANDS\n"
        "found = {}\n"
        "for name in ['', *(c.name for c in COMMANDS)]:\n"
        "    text, start = io.StringIO(), time.process_time()\n"
        "    with contextlib.redirect_stdout(text):\n"
        "        assert main([*name.split(), '--help']) == 0, name\n"
        "    found[name] = text.getvalue(), time.process_time() - start, sorted(sys.modules)\n"
        "print(json.dumps(found))\n"
    )
    import json

    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return {name: (text, s, set(modules)) for name, (text, s, modules) in json.loads(done.stdout).items()}


def test_help_is_quick_and_loads_no_science(helps: dict[str, tuple[str, float, set[str]]]) -> None:
    for name, (text, seconds, modules) in helps.items():
        assert not modules & HEAVY, name
        assert seconds < 0.5, name
        assert text.startswith(f"Usage: cryoscape {name}".rstrip()), name


@pytest.mark.parametrize("arguments", [["--help"], ["train_vae", "--help"]])
def test_the_whole_process_of_a_help_is_quick(arguments: list[str]) -> None:
    """Processor time, which other tests beside this one lengthen less than the time on the clock."""
    fastest = 10.0
    for _ in range(4):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert run(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        fastest = min(fastest, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert fastest < 0.5


def test_every_command_is_listed_with_its_summary(helps: dict[str, tuple[str, float, set[str]]]) -> None:
    listed = helps[""][0]
    for command in COMMANDS:
        assert re.search(rf"│ {command.name} ", listed), command.name
        assert command.summary.split()[0] in listed
        assert len(command.summary) < 76


@pytest.mark.parametrize("name", NAMES)
def test_every_help_has_an_example_that_parses(
    helps: dict[str, tuple[str, float, set[str]]], name: str
) -> None:
    text = helps[name][0]
    example = re.search(r"^Example: cryoscape (.*?)\n\n", text, re.S | re.M)
    assert example is not None
    command, arguments = split_command(example[1].split(), FAMILIES)
    assert command == name
    parse(name, tidy(arguments))
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_is(name: str) -> None:
    for argument in command_app(name).assemble_argument_collection(parse_docstring=True):
        assert argument.parameter.help, f"{name} {argument.name}"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{cryoscape.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("-ind a.pkl", "--ind a.pkl"),
        ("–poses a.pkl", "--poses a.pkl"),
        ("—poses a.pkl", "--poses a.pkl"),
        ("-–poses a.pkl", "--poses a.pkl"),
        ("–o out", "-o out"),
        ("–ind a", "--ind a"),
        ("--enc_dim 3", "--enc-dim 3"),
        ("--enc–dim=3", "--enc-dim=3"),
        ("-outdir out", "--outdir out"),
        ("-z -0.5 -1e-3 -.5 −2", "-z -0.5 -1e-3 -.5 -2"),
        ("-n50 -o=x", "-n50 -o=x"),
        ("--relion31 a.star", "a.star"),
        ("a_b.star x–y.mrcs", "a_b.star x–y.mrcs"),
        ("--out_z=my_z.pkl", "--out-z=my_z.pkl"),
        ("-- –poses", "-- –poses"),
        ("--snr -inf", "--snr -inf"),
    ],
)
def test_spellings(typed: str, meant: str) -> None:
    assert tidy(typed.split()) == meant.split()


def test_commands_take_dashes_for_underscores() -> None:
    assert split_command(["parse-pose–star", "a-b.star"]) == ("parse_pose_star", ["a-b.star"])
    assert split_command(["--help"]) == (None, ["--help"])
    assert split_command([]) == (None, [])


def test_commands_of_a_family_have_two_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert split_command(["occupancy", "run", "-o", "x"], FAMILIES) == ("occupancy run", ["-o", "x"])
    assert split_command(["occupancy", "--help"], FAMILIES) == ("occupancy", ["--help"])
    assert split_command(["train_vae", "run"], FAMILIES) == ("train_vae", ["run"])
    assert set(FAMILIES) == {command.family for command in COMMANDS} - {None}
    for family, about in FAMILIES.items():
        assert main([family, "--help"]) == 0
        text = capsys.readouterr().out
        assert text.startswith(f"Usage: cryoscape {family} COMMAND")
        assert about in text
        for command in COMMANDS:
            listed = re.search(rf"│ {command.name.rpartition(' ')[2]} ", text) is not None
            assert listed == (command.family == family)


def test_negative_numbers_are_values_and_options_after_them_are_options() -> None:
    _, bound = parse("eval_vol", tidy(["w.pkl", "-z", "-0.5", "1", "−2e-3", "-o", "out", "--flip"]))
    assert bound.arguments["z"] == (-0.5, 1.0, -0.002)
    assert bound.arguments["output"] == Path("out")
    assert bound.arguments["flip"] is True
    assert parse("analyze", ["run", "-1"])[1].arguments["epoch"] == -1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["trian_vae"], "cryoscape: error: no command 'trian_vae'; did you mean train_vae?"),
        (["xyzzy"], "cryoscape: error: no command 'xyzzy'; cryoscape --help lists all"),
        (["train-nn"], "cryoscape: error: train_nn is planned and not there yet"),
        (["occupancy"], "error: occupancy is a family of commands: give one of occupancy run, "),
        (["occupancy", "mesure"], "no command 'occupancy mesure'; did you mean occupancy measure?"),
        (["occupancy", "maps", "--model", "m.pdb"], "occupancy maps: error: --maps is missing"),
        (["--verison"], "cryoscape: error: unknown option --verison"),
        (["train_vae", "p", "--zdim", "8", "-o", "x", "--num-epoch", "3"], "did you mean --num-epochs?"),
        (["train_vae", "p", "--zdim", "8", "-o", "x", "-pose", "p"], "did you mean --poses?"),
        (["eval_vol", "w", "-o", "x", "--apx", "1"], "unknown option --apx; did you mean --apix?"),
        (["train_vae", "p", "-o", "x"], "--zdim is missing"),
        (["train_vae", "-o", "x", "--zdim", "8"], "PARTICLES is missing"),
        (["train_vae", "p", "-o"], "-o needs a value"),
        (["simulate", "a.pdb", "-n", "3", "-o", "x", "--defocus", "1"], "--defocus needs 2 values"),
        (["train_vae", "p", "-o", "x", "--zdim", "many"], "--zdim: expected a whole number, found 'many'"),
        (["train_vae", "p", "-o", "x", "--zdim", "8", "--lr", "x"], "--lr: expected a number, found 'x'"),
        (["train_vae", "p", "-o", "x", "--zdim", "8", "--norm", "0", "x"], "--norm: expected a number"),
        (["train_vae", "p", "-o", "x", "--zdim", "8", "--domain", "real"], "one of fourier, hartley"),
        (["train_vae", "p", "-o", "x", "--zdim", "8", "--zdim", "9"], "--zdim is given more than once"),
        (["train_vae", "p", "q", "-o", "x", "--zdim", "8"], "unexpected 'q'"),
        (["parse_pose_star", "a.star", "-o", "p.pkl", "--chunk", "3"], "unknown option --chunk"),
    ],
)
def test_usage_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert line in err
    command, _ = split_command(arguments, FAMILIES)
    who = f"cryoscape {command}: " if command in BY_NAME else "cryoscape: "
    assert err.startswith(who)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[BaseException], int]:
    """Run a command whose workflow raises."""
    monkeypatch.chdir(tmp_path)

    def run_it(error: BaseException) -> int:
        def fail(*_: object, **__: object) -> None:
            logging.getLogger("cryoscape").info("working")
            raise error

        monkeypatch.setattr("cryoscape.workflows.pc_traversal.pc_traversal", fail)
        return main(["pc_traversal", "z.pkl", "-o", "out"])

    return run_it


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InputError("z.pkl: too\nlong"), 2, "error: z.pkl: too long"),
        (TrainingError("the loss is not finite"), 1, "error: the loss is not finite"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory; use --lazy"),
        (PermissionError(13, "Permission denied", "out"), 2, "out: Permission denied"),
        (OSError(28, "No space left on device"), 2, "No space left on device"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_failures_are_one_line(
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    error: BaseException,
    code: int,
    words: str,
) -> None:
    assert failing(error) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "working"
    assert len(lines) == 2
    assert lines[1].startswith("cryoscape pc_traversal: ")
    assert words in lines[1]
    assert list(tmp_path.iterdir()) == []


def test_a_defect_leaves_a_report(
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert failing(KeyError("gone\nfor good")) == 1
    line = capsys.readouterr().err.splitlines()[1:]
    (report,) = tmp_path.iterdir()
    assert len(line) == 1
    assert "a defect of cryoscape (KeyError: " in line[0]
    assert str(report) in line[0]
    assert "please report it" in line[0]
    text = report.read_text()
    assert "Traceback (most recent call last)" in text
    assert "command: cryoscape pc_traversal z.pkl -o out" in text
    assert f"cryoscape {cryoscape.__version__}" in text
    monkeypatch.setenv("CRYOSCAPE_DEBUG", "1")
    assert failing(KeyError("gone")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_report_goes_elsewhere_where_the_folder_is_not_writable(
    failing: Callable[[BaseException], int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = tmp_path / "tmp"
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "not there")
    assert failing(ValueError("x")) == 1
    (report,) = elsewhere.iterdir()
    assert str(report) in capsys.readouterr().err


def test_the_exit_code_of_a_workflow_is_kept(failing: Callable[[BaseException], int]) -> None:
    assert failing(SystemExit(143)) == 143
    assert failing(SystemExit(None)) == 0
    assert failing(SystemExit("told")) == 1


def test_logging_is_left_as_found(failing: Callable[[BaseException], int]) -> None:
    logger = logging.getLogger("cryoscape")
    before = (logger.level, list(logger.handlers))
    failing(InputError("x"))
    assert (logger.level, list(logger.handlers)) == before


def test_levels_and_warnings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def talk(_: object) -> None:
        logger = logging.getLogger("cryoscape")
        logger.debug("details")
        logger.info("plain")
        logger.warning("careful")

    monkeypatch.setattr("cryoscape.workflows.eval_vol.eval_vol", talk)
    assert main(["eval_vol", "w", "-o", "x"]) == 0
    assert capsys.readouterr().err == "plain\nwarning: careful\n"
    assert main(["eval_vol", "w", "-o", "x", "-v"]) == 0
    assert capsys.readouterr().err == "details\nplain\nwarning: careful\n"


def test_control_c_in_a_process(tmp_path: Path) -> None:
    code = (
        "import signal, sys, time, cryoscape.workflows.pc_traversal as w\n"
        # a job in the background, as these tests may be, starts with the signal ignored
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def wait(*a, **k): print('here', flush=True); time.sleep(30)\n"
        "w.pc_traversal = wait\n"
        "from cryoscape.cli.app import main\n"
        "sys.exit(main(['pc_traversal', 'z.pkl', '-o', 'out']))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "here\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        assert process.stderr.read() == "cryoscape pc_traversal: interrupted\n"


def test_a_reader_that_goes_away_is_no_defect(tmp_path: Path) -> None:
    script = f'"{sys.executable}" -m cryoscape --help | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1", "141")  # 1 where rich was printing
    assert list(tmp_path.iterdir()) == []
