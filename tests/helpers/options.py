"""Networks that load once and work on very small pictures, so that whole jobs take a moment."""

from __future__ import annotations

from autohair_video import Matter, MatterOptions, SegmentOptions, TrimapOptions

QUICK = MatterOptions(segment=SegmentOptions(long_side_px=64))
CLOSER = MatterOptions(segment=SegmentOptions(long_side_px=256))
# No unknown band: the matting network has nothing to do.
HARD = MatterOptions(
    segment=SegmentOptions(long_side_px=64), trimap=TrimapOptions(mode="fixed", erosion=0, size=0)
)


def never() -> Matter:
    """What to give where a job must be refused before the networks are loaded."""
    raise AssertionError("the networks were loaded")
