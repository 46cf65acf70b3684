"""Where the time goes: a stopwatch with one total for each stage."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

Watch = Callable[[str], AbstractContextManager[None]]


def unwatched(stage: str) -> AbstractContextManager[None]:
    """The watch that measures nothing."""
    return nullcontext()


class Stopwatch:
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
