"""What a live session is started with, and what its viewer can change while it runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Literal, TypeVar, get_args

from autohair_video.errors import OptionError
from autohair_video.options import MattingOptions, SubjectOptions, TemporalOptions, Tier

T = TypeVar("T")
View = Literal["composite", "matte", "side", "trimap", "original"]
VIEWS: Final[tuple[View, ...]] = get_args(View)
TIERS: Final[tuple[Tier, ...]] = get_args(Tier)

MIN_BAND: Final = 0.25
MAX_BAND: Final = 4.0
_BAND_STEP: Final = 1.25
_MIN_SIDE_PX: Final = 64
_MAX_SIDE_PX: Final = 3840
# The flow is estimated on thumbnails of this long side: at 640x360 a third of the time of the files' 320 px.
_FLOW_PX: Final = 192


def live_matting_options() -> MattingOptions:
    """The default stages of a live session: causal smoothing, no band expansion."""
    return MattingOptions(temporal=TemporalOptions(mode="causal", flow_long_side_px=_FLOW_PX))


@dataclass(frozen=True)
class LiveOptions:
    """Fixed options of a session.

    ``width``, ``height``: size in pixels of the frames shown; both even. ``rate``: frames per second
    requested from the camera and aimed at. ``adapt``: whether quality is lowered to hold the rate.
    ``backgrounds``: at least one; the viewer cycles through them. ``folder``: where snapshots and
    recordings are written. ``preset``: format of recordings. ``tier``: initial tier of the networks.
    ``matting``: the stages, before the viewer's settings. Live is always causal, and the quality level sets
    the segmenter's size; ``matting.segment.every`` is a lower bound of the level's interval. ``subject``:
    who is kept; a choice that needs no image.

    Raises:
        OptionError: a size or a rate is out of range, the tier is unknown, or the subject needs an image.
    """

    width: int = 640
    height: int = 360
    rate: float = 30.0
    adapt: bool = True
    backgrounds: tuple[str, ...] = ("blur",)
    folder: Path = Path()
    preset: str = "h264"
    tier: Tier = "fast"
    matting: MattingOptions = field(default_factory=live_matting_options)
    subject: SubjectOptions = field(default_factory=SubjectOptions)

    def __post_init__(self) -> None:
        sides = (self.width, self.height)
        if min(sides) < _MIN_SIDE_PX or max(sides) > _MAX_SIDE_PX or self.width % 2 or self.height % 2:
            limits = f"two even numbers from {_MIN_SIDE_PX} to {_MAX_SIDE_PX}"
            raise OptionError(f"size {self.width}x{self.height}: give {limits}")
        if not 1 <= self.rate <= 240:
            raise OptionError(f"{self.rate:g} frames per second: give 1 to 240")
        if self.subject.images:
            raise OptionError("a live session takes no mask, keep or drop image: use --subject")
        _check_tier(self.tier)


@dataclass(frozen=True)
class Settings:
    """The viewer's choices; ``band`` scales the unknown band's width, 1 being the default.

    Raises:
        OptionError: the view or the tier is unknown, or the band is out of range.
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

    @property
    def matte_key(self) -> tuple[object, ...]:
        """The settings on which the matte depends; the others change only how it is shown."""
        return self.band, self.smoothing, self.tier


class SettingsStore:
    """The current settings and the list of backgrounds; every method may be called from any thread."""

    def __init__(self, options: LiveOptions) -> None:
        self._lock = threading.Lock()
        # both are immutable values, replaced under the lock
        self._current = Settings(options.backgrounds[0], tier=options.tier)
        self._backgrounds = options.backgrounds

    @property
    def current(self) -> Settings:
        """The settings now."""
        return self._current

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """The backgrounds to cycle through."""
        return self._backgrounds

    def change(self, change: Callable[[Settings], Settings]) -> None:
        """Replace the settings by ``change(current)``."""
        with self._lock:
            self._current = change(self._current)

    def next_background(self) -> None:
        """Choose the next background of the list, cyclically."""
        with self._lock:
            name = next_item(self._backgrounds, self._current.background)
            self._current = replace(self._current, background=name)

    def add_background(self, background: str) -> None:
        """Append a background to the list if it is not there."""
        with self._lock:
            if background not in self._backgrounds:
                self._backgrounds = (*self._backgrounds, background)


def _check_tier(tier: str) -> None:
    if tier not in TIERS:
        raise OptionError(f"unknown tier {tier!r}: use {' or '.join(TIERS)}")


def next_item(items: tuple[T, ...], item: T) -> T:
    """The item after ``item``, cyclically; the first if it is absent.

    >>> next_item(("a", "b"), "b"), next_item(("a", "b"), "c")
    ('a', 'a')
    """
    return items[(items.index(item) + 1) % len(items)] if item in items else items[0]


def widen_band(settings: Settings) -> Settings:
    """A band 25 % wider, up to `MAX_BAND`."""
    return replace(settings, band=min(MAX_BAND, round(settings.band * _BAND_STEP, 3)))


def narrow_band(settings: Settings) -> Settings:
    """A band 20 % narrower, down to `MIN_BAND`."""
    return replace(settings, band=max(MIN_BAND, round(settings.band / _BAND_STEP, 3)))
