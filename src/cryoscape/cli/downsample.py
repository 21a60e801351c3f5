"""`cryoscape downsample`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def downsample(
    source: Path,
    /,
    *,
    box_size: Annotated[int, Parameter(name=["-D", "--box-size"])],
    output: Annotated[Path, Parameter(name=["-o", "--outfile", "--output"])],
    chunk: int | None = None,
    datadir: Path | None = None,
    ind: Path | None = None,
    batch_size: Annotated[int | None, Parameter(name=["-b", "--batch-size"])] = None,
    is_vol: bool = False,
    outdir: Path | None = None,
    max_threads: int = 16,
) -> None:
    """Shrink particle images, or a volume, by cropping in Fourier space.

    Beside the output lies a list of the original rows (.rows.parquet): keep it with the stack, and poses, CTF
    and selections of the full set are matched by themselves.

    Example: cryoscape downsample particles.mrcs -D 128 -o particles.128.mrcs --chunk 50000

    Parameters
    ----------
    source
        Images: .mrc, .mrcs, .txt, .star, .cs (or a map with --is-vol).
    box_size
        New box in pixels, even.
    output
        .mrcs, .txt (stacks and their list) or .star (stacks and a star file with new names and pixel size).
    chunk
        Images a stack: writes NAME.0.mrcs, NAME.1.mrcs... and NAME.txt.
    datadir
        Folder of the image files named in the input.
    ind
        Only these rows (.pkl).
    batch_size
        Most images in memory at once.
    is_vol
        The input is a 3D map.
    outdir
        Folder of the stacks where the output is .txt or .star [its own].
    max_threads
        Most threads to use.
    """
    from cryoscape.workflows import downsample as workflow

    if is_vol:
        workflow.downsample_volume(source, box_size, output)
        return
    workflow.downsample(source, box_size, output, chunk, datadir, ind, batch_size, outdir, max_threads)
