"""How finely to look at a picture, so that the device holds the wanted rate.

Quality is a ladder. A step down is taken when pictures have taken too long for a while; a step up when
the finer level is expected to fit with room to spare for a longer while. A step up that had to be
taken back makes the next one wait longer, so that a device between two levels does not swing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autohair_video.options import Tier


@dataclass(frozen=True)
class Level:
    """``share``: of the shown size, at which mattes are made; ``segment_px``: the segmenter's long side.

    The segmenter looks at every ``every``-th picture; between, its last probabilities follow the motion,
    which is found on thumbnails of ``flow_px``.
    """

    share: float
    segment_px: int
    every: int
    flow_px: int = 320


LEVELS: Final = (
    Level(1.0, 320, 1),
    Level(0.75, 320, 1),
    Level(0.5, 256, 1),
    Level(0.5, 256, 2, flow_px=160),
    Level(0.4, 256, 4, flow_px=160),
)

# What the best tier begins with.
_BEST_LEVELS: Final = (Level(1.0, 640, 1), *LEVELS)

_DOWN_AFTER_S: Final = 1.0
_UP_AFTER_S: Final = 3.0
_MAX_WAIT_S: Final = 60.0
# The share of a picture's time that the finer level may be expected to need.
_HEADROOM: Final = 0.8
# The weight of the newest picture in the mean time a picture takes.
_EMA_ALPHA: Final = 0.2
# How much longer the next finer level may take.
_FINER_LEVEL_COST: Final = 1.7


def levels_for(tier: Tier) -> tuple[Level, ...]:
    """The ladder of a tier, the finest level first."""
    return _BEST_LEVELS if tier == "best" else LEVELS


class AdaptiveQuality:
    """The level to work at, from the time that each picture took."""

    def __init__(self, rate: float, levels: tuple[Level, ...] = LEVELS) -> None:
        self.levels = levels
        self.number = 0
        self._budget_s = 1 / rate
        self._mean_s: float | None = None
        self._since_s: float | None = None
        self._wait_s = _UP_AFTER_S
        self._rose = False

    @property
    def level(self) -> Level:
        """The level to work at."""
        return self.levels[self.number]

    @property
    def quality(self) -> int:
        """The steps that could still be taken down, and one: 1 is the coarsest level."""
        return len(self.levels) - self.number

    def observe(self, seconds: float, now_s: float) -> None:
        """Say how long one picture took at the present level, and when; may change the level."""
        before = seconds if self._mean_s is None else self._mean_s
        self._mean_s = before + (seconds - before) * _EMA_ALPHA
        step = self._wanted_step(self._mean_s)
        if step == 0:
            self._since_s = None
            return
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s >= (_DOWN_AFTER_S if step > 0 else self._wait_s):
            self._move(step)

    def _wanted_step(self, mean_s: float) -> int:
        if mean_s > self._budget_s:
            return int(self.number + 1 < len(self.levels))
        return -int(self.number > 0 and mean_s * _FINER_LEVEL_COST < _HEADROOM * self._budget_s)

    def _move(self, step: int) -> None:
        if self._rose:
            self._wait_s = min(2 * self._wait_s, _MAX_WAIT_S) if step > 0 else _UP_AFTER_S
        self._rose = step < 0
        self.number += step
        self._mean_s = self._since_s = None
