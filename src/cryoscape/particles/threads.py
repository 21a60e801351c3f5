"""Share work on blocks of images among the processor cores this process may use."""

import os
from collections.abc import Callable
from concurrent.futures import Executor

_BLOCK_BYTES = 1024**2
"""Images treated together: all steps on one such block stay in a core's cache."""


def usable_cores(most: int | None = None) -> int:
    """Cores granted to this process (a batch system may grant fewer than there are), at most ``most``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores if most is None else min(most, cores))


def in_blocks(n: int, box_size: int, work: Callable[[slice], None], executor: Executor | None) -> None:
    """Call ``work`` with slices that cover n images of ``box_size`` pixels, on the threads of ``executor``.

    Without an executor the calling thread does all of it. An error in one block is raised here.
    """
    step = max(1, _BLOCK_BYTES // (4 * box_size * box_size))
    blocks = [slice(start, min(start + step, n)) for start in range(0, n, step)]
    # the results are awaited even where they are nothing, so that an error is not lost
    list(map(work, blocks) if executor is None else executor.map(work, blocks))
