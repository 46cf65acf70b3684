"""Workarounds for single encoders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_SVT_AV1: Final = "libsvtav1"


def silence_encoder(codec: str) -> None:
    """Before an encoder is opened: let it print errors only.

    SVT-AV1 has no option for that and reads the environment variable SVT_LOG; a user's own value is kept.
    """
    if codec == _SVT_AV1:
        os.environ.setdefault("SVT_LOG", "1")


@contextmanager
def restored_thread_priority(codec: str) -> Iterator[None]:
    """While an encoder works: all threads that it makes real-time ones get back this thread's scheduling.

    As root in a container, SVT-AV1 gives the thread that opens it and all of its own the highest real-time
    priority and leaves it so, which starves everything else on their cores.
    """
    if sys.platform != "linux" or codec != _SVT_AV1:
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
