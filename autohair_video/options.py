"""What can be asked of each stage: frozen dataclasses, checked on creation.

Lengths in pixels end in ``_px`` and count frame pixels; those that follow the subject are fractions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from autohair_video.errors import OptionError

Tier = Literal["fast", "best"]
TrimapMode = Literal["adaptive", "fixed"]
TemporalMode = Literal["off", "causal"]


@dataclass(frozen=True)
class SegmentOptions:
    """The segmenter's working size: the long side that frames are letterboxed to, in pixels."""

    long_side_px: int = 512

    def __post_init__(self) -> None:
        if self.long_side_px < 64 or self.long_side_px % 32:
            raise OptionError(f"segmenter size {self.long_side_px} is not a multiple of 32 from 64 up")


@dataclass(frozen=True)
class TrimapOptions:
    """How the unknown band is drawn.

    ``fixed`` is the seed's form: ``erosion`` passes of a 3x3 erosion, then one dilation of the eroded
    mask by a square of ``2 * size + 1`` px. ``adaptive`` draws the band from the probabilities;
    ``band`` scales its width (1 is the default width, 2 twice as wide).
    """

    mode: TrimapMode = "adaptive"
    erosion: int = 5
    size: int = 25
    band: float = 1.0

    def __post_init__(self) -> None:
        if self.mode not in ("adaptive", "fixed"):
            raise OptionError(f"unknown trimap mode {self.mode!r}: use adaptive or fixed")
        if self.erosion < 0 or self.size < 0:
            raise OptionError("a trimap's erosion and size cannot be negative")
        if not 0.1 <= self.band <= 10:
            raise OptionError(f"band scale {self.band} is not between 0.1 and 10")


@dataclass(frozen=True)
class TileOptions:
    """Size of the squares that the matter works on and how far neighbours overlap, in pixels."""

    tile_px: int = 256
    overlap_px: int = 64
    batch: int = 8

    def __post_init__(self) -> None:
        if self.tile_px % 32 or self.tile_px < 64:
            raise OptionError(f"tile size {self.tile_px} is not a multiple of 32 from 64 up")
        if not 0 <= self.overlap_px <= self.tile_px // 2:
            raise OptionError(f"tile overlap {self.overlap_px} is not between 0 and half a tile")
        if self.batch < 1:
            raise OptionError("a batch holds at least one tile")


@dataclass(frozen=True)
class TemporalOptions:
    """Smoothing along optical flow: ``strength`` is the largest share that the past can have, 0..1."""

    mode: TemporalMode = "causal"
    strength: float = 0.7
    flow_long_side_px: int = 320

    def __post_init__(self) -> None:
        if self.mode not in ("off", "causal"):
            raise OptionError(f"unknown temporal mode {self.mode!r}: use off or causal")
        if not 0 <= self.strength < 1:
            raise OptionError(f"temporal strength {self.strength} is not in 0..1 (1 excluded)")


@dataclass(frozen=True)
class MatterOptions:
    """Everything that decides how a matte is made, stage by stage."""

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    trimap: TrimapOptions = field(default_factory=TrimapOptions)
    tiles: TileOptions = field(default_factory=TileOptions)
    temporal: TemporalOptions = field(default_factory=TemporalOptions)

    @classmethod
    def for_tier(cls, tier: Tier) -> MatterOptions:
        """The defaults of a tier: ``best`` looks at a larger picture of each frame."""
        if tier not in ("fast", "best"):
            raise OptionError(f"unknown tier {tier!r}: use fast or best")
        return cls(segment=SegmentOptions(long_side_px=512 if tier == "fast" else 768))
