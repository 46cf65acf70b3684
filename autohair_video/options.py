"""What can be asked of each stage: frozen dataclasses, checked on creation.

Lengths in pixels end in ``_px`` and count frame pixels; those that follow the subject are fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from autohair_video.errors import OptionError

Tier = Literal["fast", "best"]
TrimapMode = Literal["adaptive", "fixed"]
TemporalMode = Literal["off", "causal", "lookahead"]
Screen = Literal["off", "green", "blue"]
SubjectChoice = Literal["all", "largest", "point", "box", "mask"]

# Where there is time: how large the segmenter's picture is, and under which long side pictures are solved at
# both sizes.
_CLOSER_PX = 768
_BOTH_BELOW_PX = 2000


@dataclass(frozen=True)
class SegmentOptions:
    """How the segmenter looks at a clip.

    ``long_side_px``: the long side that frames are scaled to. ``every``: of so many frames one is looked at,
    and the others take the probabilities of the frame before along the flow, if the subject hardly moves.
    """

    long_side_px: int = 576
    every: int = 1

    def __post_init__(self) -> None:
        if self.long_side_px < 64 or self.long_side_px % 32:
            raise OptionError(f"segmenter size {self.long_side_px} is not a multiple of 32 from 64 up")
        if self.every < 1:
            raise OptionError(f"the segmenter cannot look at every {self.every} frames: use 1 or more")


@dataclass(frozen=True)
class TrimapOptions:
    """How the unknown band is drawn.

    ``fixed`` is the seed's form: ``erosion`` passes of a 3x3 erosion, then one dilation of the eroded
    mask by a square of ``2 * size + 1`` px. ``adaptive`` draws the band from the probabilities;
    ``band`` scales its width (1 is the default width, 2 twice as wide).

    ``max_band_expansions``: how many times at most the band is expanded, and alpha inferred again,
    where alpha is not saturated (0 or 1) at the band's boundary; 0 keeps the initial trimap.
    """

    mode: TrimapMode = "adaptive"
    erosion: int = 5
    size: int = 25
    band: float = 1.0
    max_band_expansions: int = 0

    def __post_init__(self) -> None:
        if self.mode not in ("adaptive", "fixed"):
            raise OptionError(f"unknown trimap mode {self.mode!r}: use adaptive or fixed")
        if self.erosion < 0 or self.size < 0:
            raise OptionError("a trimap's erosion and size cannot be negative")
        if not 0.1 <= self.band <= 10:
            raise OptionError(f"band scale {self.band} is not between 0.1 and 10")
        if not 0 <= self.max_band_expansions <= 8:
            raise OptionError(f"{self.max_band_expansions} rounds of the band are not between 0 and 8")


@dataclass(frozen=True)
class TileOptions:
    """The squares that the matter works on.

    ``tile_px`` is their side and ``overlap_px`` how far neighbours overlap, in pixels. ``batch``: how many
    are solved at once; None leaves it to the device. ``reuse``: on a CPU, tiles of a clip in which nothing
    changed keep their alpha. Frames whose long side is under ``double_below_px`` are solved at twice their
    size: in small pictures edges are sharper than the network draws them. Larger ones under ``both_below_px``
    are solved at both sizes, and alpha is the mean: better at sharp edges, and as good in hair.
    """

    tile_px: int = 192
    overlap_px: int = 24
    batch: int | None = None
    reuse: bool = True
    double_below_px: int = 640
    both_below_px: int = 0

    def __post_init__(self) -> None:
        if self.tile_px % 32 or self.tile_px < 64:
            raise OptionError(f"tile size {self.tile_px} is not a multiple of 32 from 64 up")
        if not 0 <= self.overlap_px <= self.tile_px // 2:
            raise OptionError(f"tile overlap {self.overlap_px} is not between 0 and half a tile")
        if self.batch is not None and self.batch < 1:
            raise OptionError("a batch holds at least one tile")


@dataclass(frozen=True)
class TemporalOptions:
    """Smoothing along optical flow.

    ``causal`` knows the frames before, ``lookahead`` also ``lookahead`` frames after: its mattes come that
    much later. ``strength`` is the largest share that the past can have, 0..1, and ``moving_strength`` the
    largest in the alpha of what moves.
    """

    mode: TemporalMode = "lookahead"
    lookahead: int = 2
    strength: float = 0.9
    moving_strength: float = 0.6
    flow_long_side_px: int = 320

    def __post_init__(self) -> None:
        if self.mode not in ("off", "causal", "lookahead"):
            raise OptionError(f"unknown temporal mode {self.mode!r}: use off, causal or lookahead")
        if not 1 <= self.lookahead <= 16:
            raise OptionError(f"a look-ahead of {self.lookahead} frames is not between 1 and 16")
        if not 0 <= self.strength < 1:
            raise OptionError(f"temporal strength {self.strength} is not in 0..1 (1 excluded)")
        if not 0 <= self.moving_strength < 1:
            raise OptionError(f"temporal strength {self.moving_strength} is not in 0..1 (1 excluded)")

    @property
    def frames_ahead(self) -> int:
        """How many frames after it a frame waits for."""
        return self.lookahead if self.mode == "lookahead" else 0


@dataclass(frozen=True)
class EdgeOptions:
    """What editors adjust on a finished matte, in this order; the defaults change nothing.

    ``choke_px`` moves the edge inward (outward where negative), ``feather_px`` is the standard
    deviation of a blur, ``black_point`` and ``white_point`` are the alphas that become 0 and 1, and
    ``gamma`` above 1 makes what is half covered denser.
    """

    choke_px: float = 0.0
    feather_px: float = 0.0
    black_point: float = 0.0
    white_point: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not abs(self.choke_px) <= 100:
            raise OptionError(f"choke {self.choke_px} is not between -100 and 100 px")
        if not 0 <= self.feather_px <= 100:
            raise OptionError(f"feather {self.feather_px} is not between 0 and 100 px")
        if not 0 <= self.black_point < self.white_point <= 1:
            raise OptionError(
                f"black point {self.black_point} and white point {self.white_point}: "
                "give 0 <= black point < white point <= 1"
            )
        if not 0.1 <= self.gamma <= 10:
            raise OptionError(f"matte gamma {self.gamma} is not between 0.1 and 10")


@dataclass(frozen=True)
class BlendOptions:
    """How the subject's colours are made and put over a background.

    ``despill`` holds the screen's colour down in all of the subject; ``linear`` blends light instead of
    gamma-coded samples; ``light_wrap`` is the share of the background's light that its edge takes on.
    """

    despill: Screen = "off"
    linear: bool = False
    light_wrap: float = 0.0

    def __post_init__(self) -> None:
        if self.despill not in ("off", "green", "blue"):
            raise OptionError(f"unknown despill {self.despill!r}: use green, blue or off")
        if not 0 <= self.light_wrap <= 1:
            raise OptionError(f"light wrap {self.light_wrap} is not between 0 and 1")


@dataclass(frozen=True)
class SubjectOptions:
    """Which of the bodies in a clip are kept, and what is forced in or out.

    ``largest`` keeps the ``count`` largest bodies; ``point`` the one at ``place`` (x, y), ``box`` the
    one that fits ``place`` (x, y, width, height) best, in frame pixels from the top left, and ``mask`` what
    the picture ``mask`` covers, each at ``at_s`` seconds. ``keep`` and ``drop`` are pictures, white where
    all is kept or dropped.
    """

    choice: SubjectChoice = "all"
    count: int = 1
    place: tuple[float, ...] = ()
    at_s: float = 0.0
    mask: Path | None = None
    keep: Path | None = None
    drop: Path | None = None

    def __post_init__(self) -> None:
        if self.choice not in ("all", "largest", "point", "box", "mask"):
            raise OptionError(f"unknown subject {self.choice!r}: use all, largest, point, box or mask")
        if self.count < 1:
            raise OptionError("a subject is at least one body")
        if len(self.place) != {"point": 2, "box": 4}.get(self.choice, 0):
            raise OptionError("a point is X,Y and a box X,Y,W,H")
        if any(not 0 <= value < math.inf for value in (*self.place, self.at_s)):
            raise OptionError("a subject's place and time are numbers from 0 up")
        if self.choice == "box" and not all(self.place[2:]):
            raise OptionError("a subject's box has no area")
        if (self.mask is not None) != (self.choice == "mask"):
            raise OptionError("a mask is a choice of its own: give it or another subject")

    @property
    def pictures(self) -> tuple[Path, ...]:
        """The files that are named."""
        return tuple(path for path in (self.mask, self.keep, self.drop) if path is not None)


@dataclass(frozen=True)
class MattingOptions:
    """Everything that decides how a matte is made, stage by stage."""

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    trimap: TrimapOptions = field(default_factory=TrimapOptions)
    tiles: TileOptions = field(default_factory=TileOptions)
    temporal: TemporalOptions = field(default_factory=TemporalOptions)
    edges: EdgeOptions = field(default_factory=EdgeOptions)

    @property
    def still_segment(self) -> SegmentOptions:
        """How the segmenter looks at a picture that is no clip's: it can take longer."""
        return replace(self.segment, long_side_px=max(self.segment.long_side_px, _CLOSER_PX))

    @property
    def still_tiles(self) -> TileOptions:
        """The tiles of such a picture."""
        px = max(self.tiles.both_below_px, _BOTH_BELOW_PX)
        return replace(self.tiles, both_below_px=px, reuse=False)

    @classmethod
    def for_tier(cls, tier: Tier) -> MattingOptions:
        """The defaults of a tier.

        ``best`` looks at a larger picture of each frame, lets the band grow, and solves all but large frames
        at both sizes; ``fast`` looks at every second frame where little moves.
        """
        if tier not in ("fast", "best"):
            raise OptionError(f"unknown tier {tier!r}: use fast or best")
        if tier == "best":
            return cls(
                segment=SegmentOptions(long_side_px=_CLOSER_PX),
                trimap=TrimapOptions(max_band_expansions=2),
                tiles=TileOptions(both_below_px=_BOTH_BELOW_PX),
            )
        return cls(segment=SegmentOptions(every=2))
