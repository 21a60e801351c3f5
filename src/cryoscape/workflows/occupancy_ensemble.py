"""The maps that an occupancy analysis starts from, its folder, and what it ends with."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from cryoscape.errors import InputError
from cryoscape.occupancy.measure import ElementMasks
from cryoscape.workflows.occupancy_cluster_files import class_summary, write_clusters
from cryoscape.workflows.occupancy_files import (
    ELEMENTS_FILE,
    MAPS_FOLDER,
    MASK_PREFIX,
    MASKS_FOLDER,
    RUN_FILE,
    SAMPLED_FOLDER,
    MapFiles,
    find_maps,
    read_json,
)
from cryoscape.workflows.occupancy_groups import ClusterOptions, ClusterResult
from cryoscape.workflows.occupancy_maps import mask_path
from cryoscape.workflows.occupancy_members import Members, members_beside
from cryoscape.workflows.occupancy_particles import PARTICLES_FILE, write_particle_occupancies
from cryoscape.workflows.occupancy_sampling import (
    SampledRun,
    SamplingRequest,
    sample_run,
    write_maps_of,
    write_sampling,
)

REGION_PREFIX = "region"
"""Names of regions found without a model, before their numbers."""


def choose_source(maps: Path | None, sampling: SamplingRequest | None) -> Path | SamplingRequest:
    """What options name: a folder of maps or a run; InputError for both or none."""
    if maps is not None and sampling is None:
        return maps
    if sampling is not None and maps is None:
        return sampling
    raise InputError("give exactly one of --maps (a folder of maps) and --run (a trained run)")


def open_ensemble(source: Path | SamplingRequest, all_particles: bool = False) -> MapFiles | SampledRun:
    """Maps in a folder or of a run; InputError for maps in files where all particles are asked for."""
    if isinstance(source, SamplingRequest):
        return sample_run(source)
    if all_particles:
        raise InputError("--all-particles needs the run that made the maps; give it with --run, not --maps")
    return find_maps(source)


def find_members(maps: MapFiles | SampledRun, labels: Path | None) -> Members | None:
    """Particles that the maps stand for, where they are known; InputError for labels without them."""
    if isinstance(maps, SampledRun):
        loaded = maps.loaded
        found = Members(loaded.original_rows, maps.clusters.labels.astype(np.int64), loaded.folder.path)
        return found.labelled(labels)
    beside = members_beside(maps.paths[0].parent, maps.numbers)
    if beside is None and labels is not None:
        raise InputError(
            "--labels: which particles the maps stand for is not known; give the run with --run, or with "
            "--maps a folder kmeansK of its analysis"
        )
    return None if beside is None else beside.labelled(labels)


def source_record(source: Path | SamplingRequest) -> dict[str, Any]:
    """What settings keep of the source."""
    if isinstance(source, Path):
        return {"maps": str(source.resolve())}
    return {"sampling": {**asdict(source), "run": str(source.run.resolve())}}


def write_results(
    output: Path,
    maps: MapFiles | SampledRun,
    masks: ElementMasks,
    result: ClusterResult,
    options: ClusterOptions,
    *,
    model: dict[str, Any] | None,
    members: Members | None,
    all_particles: bool,
) -> None:
    """Write classes and blocks; of a run also clusters and central maps, and particles where asked for."""
    if isinstance(maps, MapFiles):
        files = dict(zip(maps.numbers.tolist(), maps.paths, strict=True))
    else:
        write_sampling(output, maps)
        files = write_maps_of(output, maps, class_summary(result)["central_map"].tolist())
    write_clusters(output, result, options, files, model, members)
    if all_particles and isinstance(maps, SampledRun):
        write_particle_occupancies(output, maps, masks, result)


def check_output(output: Path, force: bool) -> None:
    """InputError for a file, a folder of something else, or an analysis that is not to be replaced."""
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: is a file; -o must name a folder")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not (output / RUN_FILE).is_file():
        raise InputError(f"{output}: holds files of something else; give another folder with -o")
    if not force:
        raise InputError(f"{output}: holds an occupancy analysis; give another -o, or --force to replace it")


def remove_earlier(output: Path) -> None:
    """Remove what an earlier analysis wrote here and the next one may not."""
    (output / PARTICLES_FILE).unlink(missing_ok=True)
    for path in (output / SAMPLED_FOLDER).glob("vol_*.mrc"):
        if path.stem.removeprefix("vol_").isdigit():
            path.unlink()
    for path in (output / MASKS_FOLDER).glob(f"{MASK_PREFIX}{REGION_PREFIX}*.mrc"):
        if path.stem.removeprefix(MASK_PREFIX + REGION_PREFIX).isdigit():
            path.unlink()
    listed = output / MAPS_FOLDER / ELEMENTS_FILE
    if listed.is_file():
        for name in read_json(listed)["elements"]:
            (output / MAPS_FOLDER / f"{name}.mrc").unlink(missing_ok=True)
            mask_path(output / MASKS_FOLDER, name).unlink(missing_ok=True)
        listed.unlink()
