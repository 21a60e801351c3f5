"""`cryoscape doctor`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def doctor(
    *,
    folder: Path = Path("."),
    as_json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Check this machine: versions, memory, disk, GPU, small tests with known answers, and what will work.

    Exits with code 0 where all is ready, else 1.

    Example: cryoscape doctor

    Parameters
    ----------
    folder
        Where you mean to work: its disk is tested.
    as_json
        For programs: the report as JSON.
    """
    import json
    from dataclasses import asdict

    from cryoscape.workflows.doctor import describe
    from cryoscape.workflows.doctor import doctor as run

    report = run(folder)
    if as_json:
        print(json.dumps({**asdict(report), "ready": report.ready}, indent=1, default=str))
    else:
        print("\n".join(describe(report)))
    if not report.ready:
        raise SystemExit(1)
