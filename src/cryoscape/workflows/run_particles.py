"""The particles and images that a run was trained on, found again from its configuration."""

from pathlib import Path

from cryoscape.engines.run_folder import RunFolder, find_beside
from cryoscape.errors import InputError
from cryoscape.particles.metadata import Particles
from cryoscape.particles.readers import load_particles
from cryoscape.particles.store import is_store, open_store
from cryoscape.typing import Rows


def run_particles(
    run: RunFolder, rows: Rows, *, datadir: Path | None = None, require_images: bool = False
) -> Particles:
    """Poses, CTF and image addresses of these original rows, in their order.

    Files are looked for where the configuration says, then in and beside the run folder.

    Raises
    ------
    InputError
        Where files are gone, or hold other particles.
    """
    args = run.config().get("dataset_args", {})

    def path_of(key: str) -> Path | None:
        return find_beside(str(args[key]), run.path) if args.get(key) else None

    source = path_of("particles")
    if source is None:
        raise InputError(f"{run.path}: its configuration names no particles.")
    if is_store(source):
        return open_store(source).particles.select_original(rows)
    loaded = load_particles(
        source,
        poses=path_of("poses"),
        ctf=path_of("ctf"),
        ind=path_of("ind"),
        datadir=datadir if datadir is not None else path_of("datadir"),
        require_images=require_images,
        images_only=require_images,
    )
    return loaded.select_original(rows)
