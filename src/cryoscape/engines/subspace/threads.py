"""Compiled loops in threads: they let go of the interpreter lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import torch


def even_shares(n: int) -> list[tuple[int, int]]:
    """Ranges [first, last) of about equal length, one a thread; none empty."""
    n_threads = max(1, min(torch.get_num_threads(), n))
    return list(pairwise(n * i // n_threads for i in range(n_threads + 1)))


def in_threads(work: Callable[[int, int], None], shares: list[tuple[int, int]]) -> None:
    """Do all shares at the same time."""
    if len(shares) <= 1:
        for share in shares:
            work(*share)
        return
    list(_pool(len(shares)).map(lambda share: work(*share), shares))


@lru_cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    """Threads that wait for work; to start them anew each time takes as long as a small share."""
    return ThreadPoolExecutor(n_threads)
