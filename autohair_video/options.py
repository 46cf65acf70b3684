"""Options of every stage and of whole jobs: frozen dataclasses, checked on creation.

Each field is declared once, by `option`, with its type, default, range and help. The command line, the
configuration file, `process` and the Python API all take them from here: see `autohair_video.cli.options`.

Lengths in pixels end in ``_px`` and count frame pixels; those that scale with the subject are fractions.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

from autohair_video.errors import OptionError
from autohair_video.option_group import OptionGroup, check_choice, option

Tier = Literal["fast", "best"]
TrimapMode = Literal["adaptive", "fixed"]
TemporalMode = Literal["off", "causal", "lookahead"]
Screen = Literal["green", "blue", "off"]
InputAlpha = Literal["keep", "replace"]
MissingStills = Literal["error", "hold", "skip"]
SubjectChoice = Literal["all", "largest", "point", "box", "mask"]

# Where time allows: the long side of the segmenter's input, and the long side below which the matting network
# runs at both scales. By eye, and by `evaluate` on public stills.
_BEST_SEGMENT_PX: Final = 768
_BEST_BOTH_BELOW_PX: Final = 2000


@dataclass(frozen=True)
class SegmentOptions(OptionGroup):
    """How a clip is segmented. ``long_side_px``: a multiple of 32 from 64 up, to which frames are scaled."""

    long_side_px: int = 576
    every: int = option(
        1,
        "Run the segmenter on one of N frames where the subject hardly moves; the frames between take the "
        "probabilities of the frame before, warped along the optical flow.",
        flag="--segment-every",
        name="segmentation interval",
        minimum=1,
        metavar="N",
        shown_default="2 in tier fast, 1 in best",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.long_side_px < 64 or self.long_side_px % 32:
            raise OptionError(f"segmenter size {self.long_side_px} is not a multiple of 32 from 64 up")


@dataclass(frozen=True)
class TrimapOptions(OptionGroup):
    """How the unknown band is made from the segmentation.

    ``adaptive`` draws it from the probabilities. ``fixed`` applies ``erosion`` passes of a 3x3 erosion to the
    mask, then one dilation of the eroded mask by a square of ``2 * size + 1`` px, as Auto Hair does.
    """

    mode: TrimapMode = option("adaptive", "adaptive or fixed.", name="trimap mode")
    erosion: int = 5
    size: int = 25
    band: float = option(
        1.0,
        "Scales the width of the adaptive band: 1 is its default width.",
        name="band scale",
        minimum=0.1,
        maximum=10,
    )
    max_band_expansions: int = option(
        0,
        "How often the band may be expanded, and alpha predicted again, where alpha is not 0 or 1 at the "
        "boundary of the band.",
        flag="--band-expansions",
        aliases=("--rounds",),
        name="number of band expansions",
        minimum=0,
        maximum=8,
        metavar="N",
        shown_default="0 in tier fast, 2 in best",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.erosion < 0 or self.size < 0:
            raise OptionError("a trimap's erosion and size cannot be negative")


@dataclass(frozen=True)
class TileOptions(OptionGroup):
    """The square tiles that the matting network runs on, laid over the unknown band.

    Attributes:
        tile_px: side of a tile, a multiple of 32 from 64 up.
        overlap_px: how far neighbouring tiles overlap.
        batch: how many tiles are in a batch; None leaves it to the device.
        reuse: on a CPU, unchanged tiles keep the alpha of the frame before.
        double_below_px: frames with a shorter long side are upscaled by two first: in small images edges are
            sharper than the network draws them.
        both_below_px: frames below this long side (and above the former) run at both scales, and alpha is the
            mean: better at sharp edges, and as good in hair.
    """

    tile_px: int = 192
    overlap_px: int = 24
    batch: int | None = None
    reuse: bool = True
    double_below_px: int = 640
    both_below_px: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile_px % 32 or self.tile_px < 64:
            raise OptionError(f"tile size {self.tile_px} is not a multiple of 32 from 64 up")
        if not 0 <= self.overlap_px <= self.tile_px // 2:
            raise OptionError(f"tile overlap {self.overlap_px} is not between 0 and half a tile")
        if self.batch is not None and self.batch < 1:
            raise OptionError("a batch holds at least one tile")


@dataclass(frozen=True)
class TemporalOptions(OptionGroup):
    """Temporal smoothing of probabilities and alpha along the optical flow.

    ``strength``: the largest weight of the past, and ``moving_strength`` that in the alpha of moving pixels.
    """

    mode: TemporalMode = option(
        "lookahead",
        "Temporal smoothing with the frames before (causal), also with frames after (lookahead), or off.",
        flag="--temporal",
        name="temporal mode",
    )
    lookahead: int = option(
        2,
        "How many frames lookahead waits for.",
        flag="--lookahead",
        name="look-ahead",
        minimum=1,
        maximum=16,
        unit="frames",
        metavar="N",
    )
    strength: float = option(
        0.9, "Largest weight of the past.", name="temporal strength", minimum=0, maximum=1, below=True
    )
    moving_strength: float = option(
        0.6, "The same where pixels move.", name="temporal strength", minimum=0, maximum=1, below=True
    )
    flow_long_side_px: int = 320

    @property
    def frames_ahead(self) -> int:
        """How many frames after it a frame waits for."""
        return self.lookahead if self.mode == "lookahead" else 0


@dataclass(frozen=True)
class EdgeOptions(OptionGroup):
    """Adjustments of a finished matte, in the order of the fields; the defaults change nothing."""

    choke_px: float = option(
        0.0,
        "Shrink the matte by so many px; grow it if negative.",
        flag="--choke",
        name="choke",
        minimum=-100,
        maximum=100,
        unit="px",
    )
    feather_px: float = option(
        0.0,
        "Blur the matte with this standard deviation in px.",
        flag="--feather",
        name="feather",
        minimum=0,
        maximum=100,
        unit="px",
    )
    black_point: float = option(0.0, "Alpha up to this becomes 0.", flag="--black-point")
    white_point: float = option(1.0, "Alpha from this on becomes 1.", flag="--white-point")
    gamma: float = option(
        1.0,
        "Above 1 makes partial coverage denser.",
        flag="--gamma-matte",
        name="matte gamma",
        minimum=0.1,
        maximum=10,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.black_point < self.white_point <= 1:
            raise OptionError(
                f"black point {self.black_point} and white point {self.white_point}: "
                "give 0 <= black point < white point <= 1"
            )


@dataclass(frozen=True)
class BlendOptions(OptionGroup):
    """How the foreground's colours are made and put over a background."""

    despill: Screen = option(
        "off",
        "Remove the spill of a green or blue screen from the foreground: green, blue or off.",
        flag="--despill",
    )
    linear: bool = option(
        False, "Blend in linear light instead of gamma-coded samples.", flag="--linear", name="linear light"
    )
    light_wrap: float = option(
        0.0,
        "How much of the background's light spills onto the edge of the foreground, 0 to 1.",
        flag="--light-wrap",
        minimum=0,
        maximum=1,
    )


@dataclass(frozen=True)
class SubjectOptions(OptionGroup):
    """Which of the people in a clip are kept, and garbage and holdout mattes.

    ``largest`` keeps the ``count`` largest people; ``point`` the one at ``place`` (x, y), ``box`` the one
    that best fits ``place`` (x, y, width, height), in frame pixels from the top left, and ``mask`` what the
    image ``mask`` covers, each at ``at_s`` seconds.
    """

    choice: SubjectChoice = option("all", "Who is kept.", name="subject")
    count: int = 1
    place: tuple[float, ...] = ()
    at_s: float = 0.0
    mask: Path | None = None
    keep: Path | None = option(
        None, "An image, white where everything is kept (a holdout matte).", flag="--keep", metavar="PATH"
    )
    drop: Path | None = option(
        None, "An image, white where nothing is kept (a garbage matte).", flag="--drop", metavar="PATH"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 1:
            raise OptionError("a subject is at least one person")
        if len(self.place) != {"point": 2, "box": 4}.get(self.choice, 0):
            raise OptionError("a point is X,Y and a box X,Y,W,H")
        if any(not 0 <= value < math.inf for value in (*self.place, self.at_s)):
            raise OptionError("a subject's place and time are numbers from 0 up")
        if self.choice == "box" and not all(self.place[2:]):
            raise OptionError("a subject's box has no area")
        if (self.mask is not None) != (self.choice == "mask"):
            raise OptionError("a mask is a choice of its own: give it or another subject")

    @property
    def images(self) -> tuple[Path, ...]:
        """The image files that are named."""
        return tuple(path for path in (self.mask, self.keep, self.drop) if path is not None)


@dataclass(frozen=True)
class MattingOptions(OptionGroup):
    """Everything that decides how a matte is made, stage by stage."""

    segment: SegmentOptions = field(default_factory=SegmentOptions)
    trimap: TrimapOptions = field(default_factory=TrimapOptions)
    tiles: TileOptions = field(default_factory=TileOptions)
    temporal: TemporalOptions = field(default_factory=TemporalOptions)
    edges: EdgeOptions = field(default_factory=EdgeOptions)

    @property
    def still_segment(self) -> SegmentOptions:
        """How a still image that is no frame of a clip is segmented: there is time for more pixels."""
        return replace(self.segment, long_side_px=max(self.segment.long_side_px, _BEST_SEGMENT_PX))

    @property
    def still_tiles(self) -> TileOptions:
        """The tiles of such an image."""
        px = max(self.tiles.both_below_px, _BEST_BOTH_BELOW_PX)
        return replace(self.tiles, both_below_px=px, reuse=False)

    @classmethod
    def for_tier(cls, tier: Tier) -> MattingOptions:
        """The defaults of a tier.

        ``best`` segments more pixels of every frame, expands the band, and runs the matting network at both
        scales on all but large frames; ``fast`` segments every second frame where little moves.

        Raises:
            OptionError: there is no such tier.
        """
        check_choice("tier", tier, Tier)
        if tier == "best":
            return cls(
                segment=SegmentOptions(long_side_px=_BEST_SEGMENT_PX),
                trimap=TrimapOptions(max_band_expansions=2),
                tiles=TileOptions(both_below_px=_BEST_BOTH_BELOW_PX),
            )
        return cls(segment=SegmentOptions(every=2))


@dataclass(frozen=True)
class PipelineOptions(OptionGroup):
    """Which networks run where, and how each stage works."""

    tier: Tier = option("fast", "fast or best.", flag="--tier")
    device: str = option("auto", "auto, cpu, cuda or mps.", flag="--device")
    segmenter: str | None = option(
        None,
        "Segmenter weights of your own: a file, or a name listed by weights list.",
        flag="--segmenter",
        metavar="WEIGHTS",
    )
    matting_net: str | None = option(
        None,
        "Weights of the matting network, likewise.",
        flag="--matting-net",
        aliases=("--matter",),
        metavar="WEIGHTS",
    )
    matting: MattingOptions = field(default_factory=lambda: MattingOptions.for_tier("fast"))

    @classmethod
    def for_tier(cls, tier: Tier) -> PipelineOptions:
        """The defaults of a tier.

        Raises:
            OptionError: there is no such tier.
        """
        return cls(tier=tier, matting=MattingOptions.for_tier(tier))


@dataclass(frozen=True)
class JobOptions(OptionGroup):
    """What a job writes, and of which part of its input.

    Every field is also a keyword of `process`. ``{name}`` in an output's name stands for the input's, and
    outputs with relative names go to ``output_dir``.
    """

    output_dir: Path | None = option(
        None,
        "The folder of all outputs, made if need be; {name} in -o is the input's name.",
        flag="--output-dir",
        metavar="FOLDER",
    )
    resume: bool = option(
        False,
        "Work in segments that outlive a crash; the same call then resumes after the last one.",
        flag="--resume",
    )
    segment_s: float = option(10, "Length of a segment, in seconds.", flag="--segment-s")
    input_alpha: InputAlpha = option(
        "keep",
        "Of a clip with alpha: keep (nothing becomes more opaque than it was) or replace.",
        flag="--input-alpha",
    )
    rate: Fraction | None = option(
        None, "Frames per second of an image sequence (24 without it).", flag="--rate", metavar="FPS"
    )
    missing: MissingStills = option(
        "error",
        "Where numbers of an image sequence lack: error, hold (repeat the still before), or skip.",
        flag="--missing",
    )
    background: str | None = option(
        None,
        "An image, a clip, a colour (#00ff00, white), blur, or transparent (the default).",
        flag="--bg",
        metavar="BACKGROUND",
    )
    preset: str | None = option(
        None,
        "The output format, one that autohair-video formats lists; else by extension.",
        flag="--format",
        metavar="NAME",
    )
    purpose: str | None = option(
        None,
        "Choose the format for premiere, resolve, fcp, after-effects, web, obs, nuke or unscreen.",
        flag="--for",
        metavar="PROGRAM",
    )
    premultiplied: bool = option(
        False,
        "Write premultiplied colours, not straight ones; premultiplied in linear light with --linear.",
        flag="--premultiplied",
    )
    matte: Path | None = option(
        None,
        "Write alpha as gray: .mkv (lossless), .mp4, .png, name.%05d.png.",
        flag="--matte",
        metavar="PATH",
    )
    foreground: Path | None = option(
        None, "Write the estimated foreground colours, without alpha.", flag="--foreground", metavar="PATH"
    )
    trimap_out: Path | None = option(
        None, "Write the trimap: files as for --matte.", flag="--trimap-out", metavar="PATH"
    )
    trimap: Path | None = option(
        None,
        "Trimaps (0, 128, 255) instead of automatic ones: an image for a still; a clip or an image sequence "
        "for a clip.",
    )
    subject: SubjectOptions = field(default_factory=SubjectOptions)
    blend: BlendOptions = field(default_factory=BlendOptions)
    start_s: float | None = option(None, "Second of the clip to begin at.", flag="--start", metavar="SECONDS")
    end_s: float | None = option(None, "Second to end at.", flag="--end", metavar="SECONDS")
    deinterlace: bool = option(
        True, "Whether interlaced frames are deinterlaced.", flag="--deinterlace/--no-deinterlace"
    )
    overwrite: bool = option(False, "Replace outputs that exist.", flag="--overwrite")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.segment_s < math.inf:
            raise OptionError(f"segments of {self.segment_s} s cannot be made: give more than 0")
        if self.background is not None:
            object.__setattr__(self, "background", os.fspath(self.background).strip())
