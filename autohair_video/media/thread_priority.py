"""Encoders that make themselves real-time threads, and how that is taken back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# Where it may, as root in a container, SVT-AV1 gives the thread that opens it and all of its own the highest
# real-time priority, and leaves it so: nothing else would run on their cores, nor what they wait for.
_TAKES_PRIORITY: Final = ("libsvtav1",)


@contextmanager
def restored_thread_priority(codec: str) -> Iterator[None]:
    """While an encoder works: all threads that become real-time ones get back what this one had before."""
    if sys.platform != "linux" or codec not in _TAKES_PRIORITY:
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in Path("/proc/self/task").iterdir():
            # a thread may have ended
            with suppress(OSError):
                if os.sched_getscheduler(int(thread.name)) != policy:
                    os.sched_setscheduler(int(thread.name), policy, parameters)
