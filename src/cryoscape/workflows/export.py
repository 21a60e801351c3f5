"""Give a selection of particles back to RELION or cryoSPARC: the user's own file, with fewer rows."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryoscape.errors import InputError
from cryoscape.workflows.export_cryosparc import SUFFIXES as CRYOSPARC_SUFFIXES
from cryoscape.workflows.export_cryosparc import export_cryosparc
from cryoscape.workflows.export_request import ExportRequest, ExportResult
from cryoscape.workflows.export_star import SUFFIX as STAR_SUFFIX
from cryoscape.workflows.export_star import export_micrographs, export_star

__all__ = ["CRYOSPARC_SUFFIXES", "STAR_SUFFIX", "ExportRequest", "ExportResult", "export", "warn_unused"]

logger = logging.getLogger("cryoscape")

ALL_SUFFIXES = (STAR_SUFFIX, *CRYOSPARC_SUFFIXES)


def export(
    request: ExportRequest, suffixes: Sequence[str] = ALL_SUFFIXES, by_micrograph: bool = False
) -> ExportResult:
    """Write the selected particles, each row byte for byte as it is in the original.

    Parameters
    ----------
    request
        What to export and where to.
    suffixes
        Kinds of input that are accepted.
    by_micrograph
        Write a star file for each micrograph, into a folder.

    Raises
    ------
    InputError
        For a file that is no table of particles, a selection that does not fit it, images that are not found,
        or an output that exists.
    """
    source = request.particles
    if not source.exists():
        raise InputError(f"{source}: no such file")
    suffix = CRYOSPARC_SUFFIXES[0] if source.is_dir() else source.suffix.lower()
    if suffix not in suffixes:
        raise InputError(
            f"{source}: expected {' or '.join(suffixes)}; cut a stack with filter_mrcs, or describe it in a "
            "new star file with write_starfile"
        )
    if suffix != STAR_SUFFIX:
        result = export_cryosparc(request)
    else:
        result = export_micrographs(request) if by_micrograph else export_star(request)
    _report(source, result)
    return result


def warn_unused(source: Path, options: Mapping[str, Path | None]) -> None:
    """Say which of the given options change nothing, as a file of cryoSPARC keeps its own values."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        logger.warning("%s not used: the values of %s are kept", ", ".join(given), source)


def _report(source: Path, result: ExportResult) -> None:
    first = ", ".join(map(str, result.files[:4]))
    more = f" and {len(result.files) - 4} more" if len(result.files) > 4 else ""
    logger.info(
        "%d of %d particles of %s written to %s%s", result.n_kept, result.n_particles, source, first, more
    )
