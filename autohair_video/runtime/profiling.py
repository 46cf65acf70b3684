"""Time per stage, and the peak memory of this process and its device."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch

StageClock = Callable[[str], AbstractContextManager[None]]


def untimed(stage: str) -> AbstractContextManager[None]:
    """The watch that measures nothing."""
    return nullcontext()


class StageTimer:
    """Adds up the seconds spent in each stage; on an accelerator it waits for the work it has queued.

    ``clock``: ``time.perf_counter``, or ``time.process_time`` for the seconds of all processors.
    """

    def __init__(self, device: torch.device, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._device, self._clock = device, clock

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Count what happens inside the block to ``stage``."""
        began = self._clock()
        yield
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()
        self.seconds[stage] += self._clock() - began

    def take(self) -> dict[str, float]:
        """The seconds so far; the stages start again at nothing."""
        taken, self.seconds = dict(self.seconds), defaultdict(float)
        return taken


def peak_memory_bytes() -> int | None:
    """The largest resident set of this process so far; None where the system does not tell.

    Linux counts a child's ``ru_maxrss`` from what its parent held, so the peak is read from /proc there.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii").splitlines()
        kilobytes = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        return None if kilobytes is None else 1024 * int(kilobytes)
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def peak_device_memory_bytes(device: torch.device) -> int | None:
    """The most that torch has held of a CUDA device's memory; None for other devices."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
