"""What frames of a clip hand on to the frames after them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from autohair_video.frames import FrameBatch
from autohair_video.matting.temporal import Correspondence, InferredAlpha, RunningMean
from autohair_video.matting.tiled_inference import CachedTile
from autohair_video.tracking.selection import SubjectState


@dataclass(frozen=True)
class PendingFrame:
    """A frame that is solved, as a batch of one, and waits for later ones to be steadied by.

    ``later``: its link with the frame after it, once there is one. ``others`` and ``notices``: of `Kept`.
    """

    batch: FrameBatch
    solved: InferredAlpha
    others: Tensor | None = None
    notices: tuple[str, ...] = ()
    later: Correspondence | None = None


@dataclass(frozen=True)
class ClipState:
    """What a clip's frames hand to the next: tensors and plain numbers, nothing of the networks.

    ``last``: the last frame, its picture, trimap, raw and steadied alpha. ``seen``: the probabilities that
    its trimap came from, averaged over time, and ``drawn`` that trimap before it grew. ``unseen``: how many
    frames ago the segmenter looked. ``tiles``: its tiles as they were last solved. ``waiting``: the frames
    that have not been given back yet, oldest first. ``subject``: all bodies, and which are kept.
    """

    last: InferredAlpha | None = None
    seen: RunningMean | None = None
    drawn: Tensor | None = None
    unseen: int = 0
    tiles: tuple[CachedTile, ...] = ()
    waiting: tuple[PendingFrame, ...] = ()
    subject: SubjectState | None = None


@dataclass
class CarriedState:
    """State in time that outlives one call of `MattingPipeline.frames`, where a clip is matted in parts.

    ``state`` is that after the last frame of a part, and none waits in it: dataclasses of tensors and plain
    values only, so that it can be saved. None at the beginning of a clip.
    """

    state: ClipState | None = None
