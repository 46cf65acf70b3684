"""Adaptive quality: the finest level at which the device holds the wanted frame rate.

A step down is taken when frames have taken too long for a while; a step up when the finer level is
expected to fit with headroom for a longer while (hysteresis). A step up that had to be reverted doubles the
wait before the next one, so that a device between two levels does not oscillate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from autohair_video.options import Tier


@dataclass(frozen=True)
class Level:
    """One quality level.

    ``scale``: of the shown size, at which alpha is inferred. ``segment_px``: the segmenter's long side.
    ``every``: the segmenter runs on every N-th frame; between, its last probabilities are warped along the
    optical flow, which is estimated on thumbnails of at most ``flow_px``.
    """

    scale: float
    segment_px: int
    every: int
    flow_px: int = 320


# Finest first; the costs of neighbours differ by a factor of 1.3 to 1.8 (`bench --live`, 640x360, two cores).
LEVELS: Final = (
    Level(1.0, 320, 1),
    Level(0.75, 320, 1),
    Level(0.5, 256, 1),
    Level(0.5, 256, 2, flow_px=160),
    Level(0.4, 256, 4, flow_px=160),
)

_BEST_LEVELS: Final = (Level(1.0, 640, 1), *LEVELS)

_DOWN_AFTER_S: Final = 1.0
_UP_AFTER_S: Final = 3.0
_MAX_WAIT_S: Final = 60.0
# Fraction of the frame budget that the finer level may be expected to need.
_HEADROOM: Final = 0.8
# Weight of the newest frame in the moving average of the frame time.
_EMA_ALPHA: Final = 0.2
# Upper bound of the next finer level's frame time relative to the present one.
_FINER_LEVEL_COST: Final = 1.7


def levels_for(tier: Tier) -> tuple[Level, ...]:
    """The levels of a tier, finest first."""
    return _BEST_LEVELS if tier == "best" else LEVELS


class AdaptiveQuality:
    """Chooses the level from the time of each frame.

    `observe` is called by one thread; `level` and `quality` may be read by others, as ``number`` is a
    single int that `observe` alone replaces.
    """

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
        """The present level."""
        return self.levels[self.number]

    @property
    def quality(self) -> int:
        """The present level counted from the coarsest, which is 1."""
        return len(self.levels) - self.number

    def observe(self, frame_time_s: float, now_s: float) -> None:
        """Record that a frame took ``frame_time_s`` at the present level; may change the level."""
        before = frame_time_s if self._mean_s is None else self._mean_s
        self._mean_s = before + (frame_time_s - before) * _EMA_ALPHA
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
