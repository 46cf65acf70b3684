"""Where the networks run, in which precision, and how many things at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch

from autohair_video.errors import DeviceError, OptionError

T = TypeVar("T")
R = TypeVar("R")


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        OptionError: there is no device type of that name.
        DeviceError: this machine, or this build of torch, does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind = name.split(":")[0]
    if kind not in available:
        raise OptionError(f"unknown device {name!r}: use auto, cpu, cuda or mps")
    if not available[kind]:
        raise DeviceError(f"no {kind} device on this machine; use --device cpu or auto")
    try:
        device = torch.device(name)
    except RuntimeError as exc:
        raise OptionError(f"unknown device {name!r}: a number goes after the colon, as in cuda:1") from exc
    if kind == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(f"no {name} on this machine, which has {torch.cuda.device_count()} CUDA device(s)")
    return device


def too_little_memory(device: torch.device, width: int, height: int) -> DeviceError:
    """The error where a single frame of that size needs more memory than ``device`` has."""
    return DeviceError(
        f"{device} has too little memory for one {width}x{height} frame; use --device cpu or a smaller clip"
    )


def working_dtype(device: torch.device) -> torch.dtype:
    """What the networks reckon in there: half precision where that is faster."""
    if device.type != "cpu":
        return torch.float16
    return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether convolutions in bfloat16 are faster than in float32 there.

    Some CPUs multiply it in hardware (AVX512-BF16); on the others it is many times slower.
    """
    if device.type != "cpu":
        return device.type == "cuda"
    # not public, and not in all versions of torch
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return bool(asked and asked())


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


def on_idle_cores(work: Callable[[T], R], items: Sequence[T], device: torch.device) -> list[R]:
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
