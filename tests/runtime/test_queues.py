from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from autohair_video.runtime.queues import BackgroundWorker, prefetch


def test_items_come_in_order() -> None:
    assert list(prefetch(range(100), depth=3)) == list(range(100))


def test_an_error_of_the_source_comes_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)


def test_the_source_is_never_more_than_the_depth_ahead() -> None:
    drawn = []
    items = prefetch((drawn.append(i) or i for i in range(100)), depth=2)
    assert next(items) == 0
    items.close()
    # one taken, two waiting, one in hand
    assert len(drawn) <= 4


def test_a_consumer_that_stops_ends_the_thread() -> None:
    before = threading.active_count()
    items = prefetch(iter(int, 1), depth=1)
    next(items)
    items.close()
    assert threading.active_count() == before


def test_work_behind_is_done_in_order_when_the_block_ends() -> None:
    done: list[int] = []
    with BackgroundWorker[int](done.append) as behind:
        for i in range(50):
            behind.put(i)
    assert done == list(range(50))


def test_an_error_of_the_work_reaches_the_producer() -> None:
    def work(item: int) -> None:
        raise OSError(f"disk full at {item}")

    def produce() -> None:
        with BackgroundWorker[int](work) as behind:
            for i in range(1000):
                behind.put(i)

    with pytest.raises(OSError, match="disk full at 0"):
        produce()
