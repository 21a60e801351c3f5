"""Compiled loops in threads: they let go of the interpreter lock."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    with ThreadPoolExecutor(len(shares)) as pool:
        list(pool.map(lambda share: work(*share), shares))
