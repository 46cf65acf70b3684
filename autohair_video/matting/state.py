"""Recurrent state of a clip."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from autohair_video.frames import FrameBatch
from autohair_video.matting.temporal import Correspondence, InferredAlpha, RunningMean
from autohair_video.matting.tiled_inference import CachedTile
from autohair_video.tracking.selection import SubjectState


@dataclass(frozen=True)
class PendingFrame:
    """A frame with inferred alpha, as a batch of one, that waits for look-ahead frames.

    ``correspondence``: with the next frame, once there is one. ``others`` and ``notices``: of
    `SelectedProbability`.
    """

    batch: FrameBatch
    inferred: InferredAlpha
    others: Tensor | None = None
    notices: tuple[str, ...] = ()
    correspondence: Correspondence | None = None


@dataclass(frozen=True)
class ClipState:
    """State after a frame of a clip: tensors and plain numbers, nothing of the networks.

    ``last``: the last frame with its trimap, inferred and smoothed alpha. ``probability``: running mean of
    the segmenter's output; ``initial_trimap``: the trimap of it, before expansion. ``since_segmented``: how
    many frames ago the segmenter ran. ``tiles``: tiles of the last frame as last inferred. ``pending``:
    frames that wait for look-ahead, oldest first. ``subject``: all tracks, and which are selected.
    """

    last: InferredAlpha | None = None
    probability: RunningMean | None = None
    initial_trimap: Tensor | None = None
    since_segmented: int = 0
    tiles: tuple[CachedTile, ...] = ()
    pending: tuple[PendingFrame, ...] = ()
    subject: SubjectState | None = None


@dataclass
class CarriedState:
    """State that outlives one call of `MattingPipeline.frames`, where a clip is matted in segments.

    ``state``: after the last frame of a segment, without pending frames; dataclasses of tensors and plain
    values only, so that it can be saved. None at the start of a clip.
    """

    state: ClipState | None = None
