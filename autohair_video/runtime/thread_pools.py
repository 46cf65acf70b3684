"""Work distributed over the cores of a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def cores(device: torch.device) -> int:
    """Number of items processed in parallel on ``device``: torch's thread count on a CPU, else 1."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def on_each_core(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
    """``work`` applied to each item, in order; on a CPU in parallel, each on one core.

    Fewer items than a quarter of the cores run one after the other, each on all cores.
    """
    count = cores(device)
    if count == 1 or len(items) <= max(1, count // 4):
        return [work(item) for item in items]
    return list(_single_core_workers(count).map(work, items))


def on_spare_cores(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
    """``work``, which always runs on the CPU, applied to each item, in order.

    On all cores where ``device``, on which the networks run, is an accelerator; else on one, as the networks
    occupy the others.
    """
    if device.type == "cpu":
        return [work(item) for item in items]
    return on_each_core(work, items, torch.device("cpu"))


@cache
def _single_core_workers(count: int) -> ThreadPoolExecutor:
    """Threads in which torch uses one core each; kept for the life of the process."""
    return threads_on(1, count=count)


def threads_on(cores_each: int, *, count: int = 1, name: str = "") -> ThreadPoolExecutor:
    """Threads in each of which torch uses ``cores_each`` cores; other threads keep their number.

    torch's thread count is per thread once a thread has read it, which is why every worker sets its own.
    """
    usual, pool, all_started = torch.get_num_threads(), ThreadPoolExecutor(count, name), Barrier(count)

    def set_cores(_: int) -> None:
        # A thread that has not read the count adopts the last one set in any thread, at its first operation.
        torch.get_num_threads()
        torch.set_num_threads(cores_each)
        all_started.wait()  # so that no worker runs this twice

    list(pool.map(set_cores, range(count)))
    torch.set_num_threads(usual)
    return pool
