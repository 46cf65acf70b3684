"""Time per stage, and the memory of this process and its device."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import psutil
import torch

StageClock = Callable[[str], AbstractContextManager[None]]


def untimed(stage: str) -> AbstractContextManager[None]:
    """A stage clock that measures nothing."""
    return nullcontext()


class StageTimer:
    """Accumulates the seconds spent in each stage; synchronises with an accelerator after each.

    ``clock``: ``time.perf_counter``, or ``time.process_time`` for CPU seconds summed over all cores.
    """

    def __init__(self, device: torch.device, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device, self._clock = device, clock

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Add the time of the block to ``stage``."""
        began = self._clock()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()
        self.seconds[stage] += self._clock() - began

    def take(self) -> dict[str, float]:
        """The seconds of each stage so far; resets them."""
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken


def resident_memory_bytes() -> int:
    """The resident set of this process now."""
    return int(psutil.Process().memory_info().rss)


def peak_memory_bytes() -> int | None:
    """The largest resident set of this process so far; None where the system does not report it.

    Read from /proc on Linux, where psutil has no peak and ``ru_maxrss`` of a child starts at its parent's.
    """
    if sys.platform == "linux":
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        return None if kilobytes is None else 1024 * int(kilobytes)
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    peak = getattr(psutil.Process().memory_info(), "peak_wset", None)
    return None if peak is None else int(peak)


def peak_device_memory_bytes(device: torch.device) -> int | None:
    """The largest memory that torch has reserved on a CUDA device so far; None for other devices."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
