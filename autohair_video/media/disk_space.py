"""Checks that disks have room to finalise the outputs, before it is too late.

A file that a full disk cut off in mid-packet can seldom be finished: MP4 and MOV have their index at the end.
"""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autohair_video.errors import OutputError

# A frame's entries in an index, those of its sound with them.
_INDEX_BYTES: Final = 128
# Headers, tags and the muxer's buffer.
_LEAST_BYTES: Final = 1 << 16
# Sound, and frames that are larger than usual.
_MARGIN: Final = 2


@dataclass
class FinalizationEstimate:
    """The bytes that a file needs until it is finished, estimated from its packets so far."""

    frames: int = 0
    packets: int = 0
    total: int = 0
    largest: int = 0

    def count(self, sizes: Iterable[int]) -> None:
        """Note a frame that was given to the encoder, and the sizes of the packets that came out of it."""
        self.frames += 1
        for size in sizes:
            self.packets += 1
            self.total += size
            self.largest = max(self.largest, size)

    def bytes(self, frames: int) -> int:
        """For what is under way, so many frames more, and the index of them all.

        >>> need = FinalizationEstimate()
        >>> need.count([])
        >>> need.count([5, 3])
        >>> need.bytes(10) - need.bytes(0) == 10 * (2 * 4 + 128)
        True
        """
        coming = self.frames - self.packets + frames
        usual = self.total / max(1, self.packets)
        index = _INDEX_BYTES * (self.frames + frames)
        return round(_MARGIN * usual * max(0, coming)) + self.largest + index + _LEAST_BYTES


def check_disk_space(needs: Iterable[tuple[Path, int]]) -> None:
    """Raises OutputError if the disks of some files lack the bytes that are needed for each."""
    disks: dict[int, int] = defaultdict(int)
    for path, need in needs:
        try:
            disk, usage = path.parent.stat().st_dev, shutil.disk_usage(path.parent)
        except OSError:
            continue
        disks[disk] += need
        # Some file systems over a network report no size.
        if usage.total and usage.free < disks[disk]:
            raise OutputError(f"cannot write {path}: the disk is full")
