"""The most memory that this process and its device have held, in bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import torch


def peak_rss() -> int | None:
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


def peak_device(device: torch.device) -> int | None:
    """The most that torch has held of a CUDA device's memory; None for other devices."""
    return torch.cuda.max_memory_reserved(device) if device.type == "cuda" else None
