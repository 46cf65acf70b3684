"""The ladder of quality: down when too slow, up with room, and never to and fro."""

from __future__ import annotations

from collections.abc import Callable

from autohair_video.live.quality import LEVELS, AdaptiveQuality

RATE = 10.0


def _levels(ladder: AdaptiveQuality, costs_s: Callable[[int], float], seconds: float) -> list[int]:
    """The level after each picture, on a device where level n takes ``costs_s(n)`` seconds."""
    now_s, levels = 0.0, []
    while now_s < seconds:
        took_s = costs_s(ladder.number)
        now_s += max(took_s, 1 / RATE)
        ladder.observe(took_s, now_s)
        levels.append(ladder.number)
    return levels


def test_fast_device_stays_at_finest_level() -> None:
    assert set(_levels(AdaptiveQuality(RATE), lambda level: 0.05, 60)) == {0}


def test_slow_device_steps_down_until_rate_holds() -> None:
    levels = _levels(AdaptiveQuality(RATE), lambda level: (0.4, 0.2, 0.09, 0.06, 0.05)[level], 60)
    assert levels[-1] == 2
    assert levels == sorted(levels)


def test_too_slow_device_ends_at_coarsest_level() -> None:
    assert _levels(AdaptiveQuality(RATE), lambda level: 9.0, 120)[-1] == len(LEVELS) - 1


def test_single_slow_frame_changes_nothing() -> None:
    ladder = AdaptiveQuality(RATE)
    for number in range(100):
        ladder.observe(0.3 if number == 50 else 0.02, number / RATE)
        assert ladder.number == 0


def test_level_rises_when_there_is_headroom() -> None:
    ladder = AdaptiveQuality(RATE)
    _levels(ladder, lambda level: 1.0, 20)
    assert ladder.number == len(LEVELS) - 1
    assert _levels(ladder, lambda level: 0.01, 60)[-1] == 0


def test_hysteresis_limits_oscillation() -> None:
    ladder = AdaptiveQuality(RATE)
    levels = _levels(ladder, lambda level: 0.12 if level == 0 else 0.03, 600)
    changes = [i for i in range(1, len(levels)) if levels[i] != levels[i - 1]]
    assert 0 < sum(1 for i in changes if i > len(levels) // 2) <= 12
    assert len(changes) < 40
