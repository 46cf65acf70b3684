"""Counting of matted, dropped and displayed frames."""

from __future__ import annotations

import pytest

from autohair_video.live.stats import FrameCounter


def test_dropped_frames_are_the_gaps_in_the_numbers() -> None:
    counter = FrameCounter()
    for number in (1, 2, 5, 6):
        counter.add_matted(number, number / 10)
    assert counter.dropped == 2
    counter.pause()
    counter.add_matted(20, 2.0)
    assert counter.dropped == 2


def test_fps_is_that_of_the_last_frames_and_zero_when_stale() -> None:
    counter = FrameCounter()
    times_s = [n / 10 for n in range(50)] + [5 + n / 20 for n in range(31)]
    for number, time_s in enumerate(times_s):
        counter.add_matted(number, time_s)
    assert counter.fps(times_s[-1]) == pytest.approx(20)
    assert counter.fps(times_s[-1] + 3) == 0


def test_latency_is_the_median_of_the_last_frames_and_each_frame_counts_once() -> None:
    counter = FrameCounter()
    assert counter.latency_s() is None
    for number in range(1, 131):
        latency_s = 1.0 if number <= 100 else 0.25
        counter.add_displayed(number, number, number + latency_s)
        counter.add_displayed(number, number, number + 9.0)
    assert counter.latency_s() == 0.25
    stats = counter.stats(quality=1, qualities=5, memory_bytes=())
    assert len(stats.latencies_s) == 130
    assert stats.latency_s is not None
    assert stats.latency_s[0] == 1.0
