"""Train engines on a simulated set, score latents and maps against the truth, and print one table.

    python benchmarks/bench_engines.py assembly --models DATA/50s --sets sets -o out --engine subspace
    python benchmarks/bench_engines.py swing20 --sets sets -o out --run RUN_A --run RUN_B

The set is made where it is not there. Each engine is a command of its own process, from the prepared store to
its run folder; wall clock and peak memory are those of the process. ``--run`` scores runs that are there.
What the columns mean: docs/benchmarks.md.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bounds import Bounds, bounds_of, prepared_store
from cryoscape.engines.run_folder import RunFolder, load_run
from cryoscape.errors import InputError
from cryoscape.io.atomic import write_text
from datasets import RECIPES, Truth, add_size_options, load_truth, make_set, recipe_for
from evaluation import curve, evaluate

ENGINES = {
    "subspace": "train_subspace {store} -o {run}",
    "states": "train_states {store} --from {out}/subspace -o {run}",
    "vae": "train_vae {store} --zdim 8 -o {run}",
    "paper": "train_vae {store} --zdim 8 --preset paper -o {run}",
}
"""Command of each engine; the states start from the subspace's run in the same folder."""
COLUMNS = (
    ("auc", "AUC"), ("phi", "phi"), ("ami", "AMI"), ("ari", "ARI"), ("purity", "purity"),
    ("states_found", "K"), ("states_ami", "AMI of K"), ("rare_recall", "rare rec."),
    ("rare_precision", "rare prec."), ("r2", "R2"), ("median_error_degrees", "error deg"),
    ("r2_of_bayes", "R2/Bayes"), ("maps_r2", "maps R2"), ("maps_slope", "slope"),
    ("z_to_pose", "z>pose"), ("z_to_ctf", "z>CTF"), ("junk_auc", "junk AUC"),
    ("wall_seconds", "s"), ("peak_gib", "GiB"), ("seconds_20_maps", "20 maps s"),
)  # fmt: skip
"""Key of a score and heading of its column; columns without a value are left out."""

_SECONDS_BETWEEN_LOOKS = 0.05


@dataclass(frozen=True)
class Measured:
    """Cost of one command in a process of its own.

    ``peak_gib`` is its largest resident memory; pages of a memory-mapped store count while they are resident.
    On Linux it is looked up while the process runs: what the system tells afterwards includes its parent's.
    """

    command: str
    wall_seconds: float
    user_seconds: float
    peak_gib: float


def run_measured(command: list[str], log: Path) -> Measured:
    """Run `cryoscape COMMAND`, output to a log file, and measure that process alone.

    Raises
    ------
    InputError
        If it fails; the end of its log tells why.
    """
    start = time.perf_counter()
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "cryoscape", *command], stdout=output, stderr=subprocess.STDOUT
        )
        peak_kib = 0
        while (waited := os.wait4(child.pid, os.WNOHANG))[0] == 0:
            peak_kib = max(peak_kib, _resident_peak_kib(child.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        _, status, usage = waited
    child.returncode = os.waitstatus_to_exitcode(status)  # already waited for, by us
    seconds = time.perf_counter() - start
    if child.returncode:
        end = " / ".join(log.read_text(errors="replace").splitlines()[-3:])
        raise InputError(f"cryoscape {shlex.join(command)} ended with {child.returncode}: {end}")
    per_unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    peak_bytes = 1024 * peak_kib or usage.ru_maxrss * per_unit
    return Measured(shlex.join(command), seconds, usage.ru_utime, peak_bytes / 2**30)


def _resident_peak_kib(process: int) -> int:
    """Largest resident memory of a process so far, on Linux; elsewhere, or if it has ended, 0."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def train(engine: str, template: str, folder: Path, out: Path, force: bool) -> tuple[Path, Measured | None]:
    """Train an engine into OUT/ENGINE; a run that is there is used again, with what it had cost.

    OUT is of one set: a run of another would be scored against a truth that is not its own.
    """
    run, record = out / engine, out / f"{engine}.cost.json"
    if record.is_file() and run.is_dir() and not force:
        return run, Measured(**json.loads(record.read_text()))
    command = shlex.split(template.format(store=folder / "store", run=run, out=out))
    cost = run_measured([*command, *(["--force"] if force else [])], out / f"{engine}.log")
    write_text(record, json.dumps(asdict(cost), indent=1))
    return run, cost


def score_run(run: Path, truth: Truth, bounds: Bounds | None, with_curve: bool) -> dict[str, Any]:
    """Scores of a run folder, and its curve over epochs if asked for."""
    scores = evaluate(load_run(run), truth, bounds)
    if with_curve and RunFolder(run).epochs("z"):
        scores["curve"] = curve(RunFolder(run), truth, bounds)
    return scores


def table(results: dict[str, dict[str, Any]]) -> str:
    """Lay out the scores, one row a run, columns that have a value in any of them."""
    columns = [(key, head) for key, head in COLUMNS if any(r.get(key) is not None for r in results.values())]
    rows = [["run", *(head for _, head in columns)]]
    for name, scores in results.items():
        rows.append([name, *(_text(scores.get(key)) for key, _ in columns)])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def bounds_rows(bounds: Bounds) -> dict[str, dict[str, Any]]:
    """Rows of the table for what runs are compared with."""
    best = asdict(bounds.bayes)
    path = best["r2"] is not None
    keys = ("r2", "median_error_degrees") if path else ("ami", "ari")
    return {
        "floor": {"auc": bounds.floor, "phi": 0.0},
        "oracle": {"auc": bounds.oracle, "phi": 1.0},
        f"Bayes, radius {bounds.bayes.radius}": {key: best[key] for key in keys},
    }


def bench(arguments: argparse.Namespace) -> None:
    """Make the set, train, score, print and write OUT/SET.json."""
    recipe = recipe_for(arguments.set, arguments.n, arguments.box_size)
    folder = make_set(arguments.set, recipe, arguments.sets, arguments.models)
    out: Path = arguments.outdir
    runs = out / folder.name
    runs.mkdir(parents=True, exist_ok=True)
    store, truth = prepared_store(folder), load_truth(folder)
    bounds = None if arguments.no_bounds else bounds_of(folder)
    templates = {name: ENGINES[name] for name in arguments.engine}
    templates |= dict(item.split("=", 1) for item in arguments.command)
    results: dict[str, dict[str, Any]] = {} if bounds is None else bounds_rows(bounds)
    for name, template in templates.items():
        run, cost = train(name, template, folder, runs, arguments.force)
        results[name] = score_run(run, truth, bounds, arguments.curve) | (asdict(cost) if cost else {})
    for run in arguments.run:
        results[str(run)] = score_run(run, truth, bounds, arguments.curve)
    print(f"{folder.name}: {recipe.about}; {store.n} particles of {store.box_size} px")
    print(table(results))
    for name, scores in results.items():
        for entry in scores.get("curve", ()):
            print(f"{name}:", ", ".join(f"{key} {_text(value)}" for key, value in entry.items()))
    record = {"set": arguments.set, "recipe": asdict(recipe), "results": results}
    write_text(out / f"{folder.name}.json", json.dumps(record, indent=1))


def _named_command(text: str) -> str:
    name, equals, command = text.partition("=")
    if not equals or not name or not command:
        raise argparse.ArgumentTypeError("expected NAME=COMMAND, such as 'vae5=train_vae {store} -o {run}'")
    return text


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("set", choices=RECIPES, metavar="SET", help=f"one of {', '.join(RECIPES)}")
    parser.add_argument("-o", "--outdir", type=Path, required=True, help="SET.json; runs and logs in SET/")
    parser.add_argument("--sets", type=Path, default=Path("sets"), help="folder of the data sets [sets]")
    add_size_options(parser)
    parser.add_argument("--engine", action="append", default=[], choices=ENGINES, help="train and score this")
    parser.add_argument(
        "--command", action="append", default=[], type=_named_command, metavar="NAME=COMMAND",
        help="train with a command of your own; {store}, {run} and {out} are filled in",
    )  # fmt: skip
    parser.add_argument("--run", action="append", default=[], type=Path, help="score this run folder")
    parser.add_argument("--curve", action="store_true", help="score every stored epoch too")
    parser.add_argument("--no-bounds", action="store_true", help="leave out floor, oracle and Bayes")
    parser.add_argument("--force", action="store_true", help="train again where a run is there")
    try:
        bench(parser.parse_args())
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
