"""Occupancies of every particle of a run, in a table that selections are made from."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from cryoscape.engines.linear_maps import LinearMaps
from cryoscape.errors import InputError
from cryoscape.io.atomic import replace_when_done
from cryoscape.occupancy.measure import ElementMasks, occupancies
from cryoscape.occupancy.particles import linear_occupancies
from cryoscape.typing import Latents
from cryoscape.workflows.occupancy_groups import ClusterResult
from cryoscape.workflows.occupancy_sampling import SampledRun
from cryoscape.workflows.progress import progress

logger = logging.getLogger("cryoscape")

PARTICLES_FILE = "particle_occupancies.parquet"
_OWN_COLUMN = re.compile(r"row|original_row|block\d+", re.IGNORECASE)
_BATCH_BYTES = 128e6
_LINEAR_BATCH = 65_536
_METADATA = b"cryoscape"

Batches = Iterator[tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n e"]]]


def check_column_names(names: Sequence[str]) -> None:
    """InputError for an element that is called as a column of ours is."""
    for name in names:
        if _OWN_COLUMN.fullmatch(name):
            raise InputError(
                f"--elements: an element is called {name!r}, as a column of {PARTICLES_FILE} is; rename it"
            )


def measure_particles(sampled: SampledRun, masks: ElementMasks) -> Iterator[Float[np.ndarray, "n e"]]:
    """Occupancies (n, E) of all particles of a run, in its order, a batch at a time, with progress.

    Divided by the references as those of the centres are, not rescaled. Maps of linear engines need not be
    made; those of others are, in the box that was asked for.
    """
    z = sampled.loaded.z
    measure, step = _measure(sampled, masks)
    with progress(len(z), "occupancies of all particles") as update:
        for first in range(0, len(z), step):
            yield measure(z[first : first + step])
            update(min(first + step, len(z)))


def _measure(
    sampled: SampledRun, masks: ElementMasks
) -> tuple[Callable[[Latents], Float[np.ndarray, "n e"]], int]:
    """What measures latents, and how many at once."""
    source = sampled.source
    if isinstance(source, LinearMaps):
        maps = sampled.finished(np.concatenate([source.mean[None], source.bases]))
        return linear_occupancies(maps[0], maps[1:], masks).at, _LINEAR_BATCH
    step = max(1, int(_BATCH_BYTES // (4 * source.box_size**3)))
    return lambda z: occupancies(sampled.volumes_at(z), masks), step


def write_particle_occupancies(
    folder: Path, sampled: SampledRun, masks: ElementMasks, result: ClusterResult
) -> Path:
    """Write particle_occupancies.parquet: a row a particle of the run, in its order.

    Columns are `row` (of the original input), one an element, and one a block of elements, the mean of its
    elements. Values are on the scale of norm_occs.txt, but not clipped to its ends.
    """
    rows = sampled.loaded.original_rows
    path = folder / PARTICLES_FILE

    def batches() -> Batches:
        first = 0
        for values in measure_particles(sampled, masks):
            yield rows[first : first + len(values)], values
            first += len(values)

    _write(path, batches(), result)
    logger.info("occupancies of %d particles in %s", len(rows), path)
    return path


def update_particle_occupancies(source: Path, folder: Path, result: ClusterResult) -> None:
    """Put the occupancies of particles in `source` on another scale, with other blocks, into `folder`.

    Does nothing where `source` has none, or has them of other elements (which is logged).
    """
    path = source / PARTICLES_FILE
    if not path.is_file():
        return
    try:
        record = _read_record(path)
        names, offset, width = record["elements"], np.array(record["offset"]), np.array(record["width"])
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        logger.warning("%s is not brought up to date, as it cannot be read (%s)", path, error)
        return
    if tuple(names) != result.table.names:
        logger.warning("%s is of other elements and stays as it is", path)
        return

    def batches() -> Batches:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_LINEAR_BATCH, columns=["row", *names]):
                columns = [batch.column(name).to_numpy() for name in names]
                yield batch.column("row").to_numpy(), np.stack(columns, axis=1) * width + offset

    _write(folder / PARTICLES_FILE, batches(), result)


def _write(path: Path, batches: Batches, result: ClusterResult) -> None:
    """Rescale batches of rows and occupancies, and write them as they come."""
    names, blocks = result.table.names, result.blocks
    offset = result.scale.offset
    width = np.where(result.scale.width > 0, result.scale.width, 1.0)
    record = {"elements": list(names), "offset": offset.tolist(), "width": width.tolist()}
    fields = [pa.field("row", pa.int64())]
    fields += [pa.field(name, pa.float32()) for name in names]
    fields += [pa.field(f"block{b}", pa.float32()) for b in range(blocks.n_groups)]
    schema = pa.schema(fields, metadata={_METADATA: json.dumps(record).encode()})
    member = np.eye(blocks.n_groups)[blocks.labels]
    member /= member.sum(axis=0)
    with replace_when_done(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for rows, values in batches:
            scaled = (values - offset) / width
            columns = np.concatenate([scaled, scaled @ member], axis=1).astype(np.float32)
            writer.write_table(pa.table([rows.astype(np.int64), *columns.T], schema=schema))


def _read_record(path: Path) -> dict[str, Any]:
    metadata = pq.read_schema(path).metadata or {}
    record: dict[str, Any] = json.loads(metadata[_METADATA])
    return record
