"""What a live session is started with, and what its viewer can change while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

from autohair_video.errors import OptionError
from autohair_video.options import TemporalOptions, Tier, TrimapOptions

T = TypeVar("T")
View = Literal["composite", "matte", "side", "trimap", "original"]
VIEWS: Final[tuple[View, ...]] = get_args(View)
TIERS: Final[tuple[Tier, ...]] = get_args(Tier)

MIN_BAND: Final = 0.25
MAX_BAND: Final = 4.0
_BAND_STEP: Final = 1.25
_MIN_SIDE_PX: Final = 64
_MAX_SIDE_PX: Final = 3840


@dataclass(frozen=True)
class LiveOptions:
    """What a session is started with, and keeps.

    ``width``, ``height``: of the pictures shown, in pixels; both even. ``rate``: pictures per second
    that are asked of the camera and aimed at. ``adapt``: whether quality gives way to the rate.
    ``backgrounds``: at least one; the viewer goes through them. ``folder``: where snapshots and clips
    go. ``preset``: what clips are recorded as. ``tier``: of the networks at first. ``trimap``,
    ``temporal``: how those stages work, before the viewer's settings.

    Raises:
        OptionError: a size or a rate is out of range, or there is no such tier.
    """

    width: int = 640
    height: int = 360
    rate: float = 30.0
    adapt: bool = True
    backgrounds: tuple[str, ...] = ("blur",)
    folder: Path = Path()
    preset: str = "h264"
    tier: Tier = "fast"
    trimap: TrimapOptions = field(default_factory=TrimapOptions)
    temporal: TemporalOptions = field(
        default_factory=lambda: TemporalOptions(mode="causal", flow_long_side_px=192)
    )

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if min(sides) < _MIN_SIDE_PX or max(sides) > _MAX_SIDE_PX or self.width % 2 or self.height % 2:
            limits = f"two even numbers from {_MIN_SIDE_PX} to {_MAX_SIDE_PX}"
            raise OptionError(f"size {self.width}x{self.height}: give {limits}")
        if not 1 <= self.rate <= 240:
            raise OptionError(f"{self.rate:g} pictures per second: give 1 to 240")
        _check_tier(self.tier)


@dataclass(frozen=True)
class Settings:
    """What the viewer has chosen; ``band`` scales the unknown band's width, 1 being the default.

    Raises:
        OptionError: there is no such view or tier, or the band is out of range.
    """

    background: str
    view: View = "composite"
    band: float = 1.0
    smoothing: bool = True
    frozen: bool = False
    tier: Tier = "fast"

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise OptionError(f"unknown view {self.view!r}: use {', '.join(VIEWS)}")
        if not MIN_BAND <= self.band <= MAX_BAND:
            raise OptionError(f"band {self.band:g}: give {MIN_BAND:g} to {MAX_BAND:g}")
        _check_tier(self.tier)


def _check_tier(tier: str) -> None:
    if tier not in TIERS:
        raise OptionError(f"unknown tier {tier!r}: use {' or '.join(TIERS)}")


def next_item(items: tuple[T, ...], item: T) -> T:
    """The item after ``item``, round and round; the first if it is not there.

    >>> following(("a", "b"), "b"), following(("a", "b"), "c")
    ('a', 'a')
    """
    return items[(items.index(item) + 1) % len(items)] if item in items else items[0]


def widen_band(settings: Settings) -> Settings:
    """A band a quarter wider, up to the widest."""
    return replace(settings, band=min(MAX_BAND, round(settings.band * _BAND_STEP, 3)))


def narrow_band(settings: Settings) -> Settings:
    """A band a fifth narrower, down to the narrowest."""
    return replace(settings, band=max(MIN_BAND, round(settings.band / _BAND_STEP, 3)))
