"""Work spread over the cores of a CPU."""

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
    """How many pieces of work go on there at once: on a CPU as many as torch has threads."""
    return torch.get_num_threads() if device.type == "cpu" else 1


def on_each_core(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
    """What ``work`` makes of each item, in their order; on a CPU some at once, on one core each.

    Items too few for a fourth of the cores come one by one, on all of them.
    """
    count = cores(device)
    if count == 1 or len(items) <= max(1, count // 4):
        return [work(item) for item in items]
    return list(_workers(count).map(work, items))


def on_spare_cores(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
    """What ``work``, which always is the CPU's, makes of each item, in their order.

    On as many cores as there are where the networks run on another device; else on one, as they have the
    others.
    """
    if device.type == "cpu":
        return [work(item) for item in items]
    return on_each_core(work, items, torch.device("cpu"))


@cache
def _workers(count: int) -> ThreadPoolExecutor:
    """Threads that reckon on one core each: what they do is too small to be shared by several."""
    return threads_on(1, count=count)


def threads_on(cores_each: int, *, count: int = 1, name: str = "") -> ThreadPoolExecutor:
    """Threads in each of which torch works on so many cores at once; elsewhere it stays as it is."""
    usual, pool, all_there = torch.get_num_threads(), ThreadPoolExecutor(count, name), Barrier(count)

    def settle(_: int) -> None:
        # a thread that has not asked takes the last number that was set, at its first piece of work
        torch.get_num_threads()
        torch.set_num_threads(cores_each)
        all_there.wait()

    list(pool.map(settle, range(count)))
    torch.set_num_threads(usual)
    return pool
