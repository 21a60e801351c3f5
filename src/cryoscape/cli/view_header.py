"""`cryoscape view_header`."""

from pathlib import Path


def view_header(source: Path, /) -> None:
    """Print the header of an MRC file, map or stack.

    Example: cryoscape view_header particles.mrcs

    Parameters
    ----------
    source
        .mrc, .mrcs or .map file.
    """
    from cryoscape.workflows.view_mrcs import view_header as run

    print("\n".join(run(source)))
