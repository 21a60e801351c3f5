"""Which weights a user means."""

from pathlib import Path

from cryoscape.engines.run_folder import RunFolder
from cryoscape.errors import InputError


def find_weights(given: Path) -> tuple[Path, Path]:
    """A weights file and the folder of its run, from such a file or from a run folder (its latest epoch).

    Raises
    ------
    InputError
        If there is no such file, or the folder holds none.
    """
    if given.is_dir():
        run = RunFolder(given)
        return run.weights(run.latest_epoch()), given
    if not given.is_file():
        raise InputError(
            f"{given}: no such weights file; give a weights.E.pkl or the folder of a training run"
        )
    return given, given.parent
