"""Networks that load once and work on very small pictures, so that whole jobs take a moment."""

from __future__ import annotations

from autohair_video import MattingOptions, MattingPipeline, PipelineOptions, SegmentOptions, TrimapOptions

QUICK = MattingOptions(segment=SegmentOptions(long_side_px=64))
CLOSER = MattingOptions(segment=SegmentOptions(long_side_px=256))
# No unknown band: the matting network has nothing to do.
HARD = MattingOptions(
    segment=SegmentOptions(long_side_px=64), trimap=TrimapOptions(mode="fixed", erosion=0, size=0)
)


# What to give where a job must be refused before the networks are loaded.
NEVER = PipelineOptions(segmenter="networks that were loaded")


def never() -> MattingPipeline:
    """What to give where a job must be refused before the networks are loaded."""
    raise AssertionError("the networks were loaded")
