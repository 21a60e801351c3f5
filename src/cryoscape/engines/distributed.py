"""Several processes that share the images of one training: sums over all of them, and one that writes.

Started by ``torchrun``, on one machine or many; a process by itself needs none of this, and every function
here then does nothing. Each process reads its part of the images; sums over images are added up over the
processes, and what follows from them is computed by each alike.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from jaxtyping import Int
from torch import Tensor


def rank_and_size() -> tuple[int, int]:
    """Number of this process, from 0, and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


@contextmanager
def process_group() -> Iterator[bool]:
    """Join the other processes of ``torchrun``; tells whether this one is the first, which logs and writes.

    Processes on GPUs take the one of their local rank. Others than the first log warnings only.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or rank_and_size()[1] > 1:
        yield rank_and_size()[0] == 0
        return
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    first = dist.get_rank() == 0
    if not first:
        logging.disable(logging.INFO)
    try:
        yield first
    finally:
        logging.disable(logging.NOTSET)
        dist.destroy_process_group()


def own_part(rows: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """The part of some images that this process reads: neighbours stay together."""
    rank, size = rank_and_size()
    return torch.tensor_split(rows, size)[rank]


def sum_over_processes(*tensors: Tensor) -> None:
    """Add up tensors over the processes, in place; all get the same numbers."""
    if rank_and_size()[1] > 1:
        for tensor in tensors:
            dist.all_reduce(tensor)


def gathered(values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Rows of all processes, one process after the other."""
    size = rank_and_size()[1]
    if size == 1:
        return values
    parts: list[tuple[Tensor, ...]] = [()] * size
    dist.all_gather_object(parts, tuple(value.cpu() for value in values))
    return tuple(torch.cat(column).to(values[0].device) for column in zip(*parts, strict=True))


def of_first(value: int) -> int:
    """The first process's value, for all."""
    if rank_and_size()[1] == 1:
        return value
    box: list[int] = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def any_process(condition: bool) -> bool:
    """Whether it holds in some process; all agree."""
    flag = torch.tensor(int(condition))
    sum_over_processes(flag)
    return bool(flag)
