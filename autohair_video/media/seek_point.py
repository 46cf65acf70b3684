"""Where one reader of a clip stopped, for another one to resume."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from autohair_video.frames import FrameBatch


@dataclass(frozen=True)
class SeekPoint:
    """The last frame read, from which another reader can resume.

    ``pts``, ``duration``: that frame's. ``digest``: of its samples, to verify the position.
    ``damage``, ``resized``, ``is_deinterlaced``, ``retimed``: state at this point.
    """

    pts: int
    duration: int
    digest: str
    damage: tuple[str, ...] = ()
    resized: str | None = None
    is_deinterlaced: bool = False
    retimed: str | None = None


def digest_of(batch: FrameBatch) -> str:
    """SHA-256 of the samples of a batch's last frame."""
    digest = hashlib.sha256()
    for plane in batch.planes:
        digest.update(plane[-1].cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
