"""Threads at the edges of the pipeline: work ahead of a consumer, or behind a producer, bounded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Generic, TypeVar

T = TypeVar("T")
_PATIENCE_S = 0.1


def prefetch(items: Iterable[T], depth: int = 2) -> Generator[T, None, None]:
    """Draw ``items`` on a thread of their own, at most ``depth`` ahead of the consumer.

    An exception of ``items`` is raised again here, in its turn. When the consumer stops early (the
    generator is closed) the thread ends after the item it is at.

    >>> list(prefetch(range(5)))
    [0, 1, 2, 3, 4]
    """
    waiting: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(items, waiting, stop), daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            if error is _END:
                return
            if error is not None:
                raise error
            yield item  # type: ignore[misc]  # None only goes with an error
    finally:
        stop.set()
        thread.join()


_END = EOFError("no more items")


def _fill(
    items: Iterable[T],
    waiting: queue.Queue[tuple[T | None, BaseException | None]],
    stop: threading.Event,
) -> None:
    def put(item: T | None, error: BaseException | None) -> None:
        while not stop.is_set():
            try:
                waiting.put((item, error), timeout=_PATIENCE_S)
                return
            except queue.Full:
                continue

    try:
        for item in items:
            put(item, None)
            if stop.is_set():
                return
        put(None, _END)
    except BaseException as exc:  # raised again in the consumer
        put(None, exc)


class BackgroundWorker(Generic[T]):
    """Hands items to ``work`` on a thread of its own, at most ``depth`` of them waiting.

    An exception of ``work`` is raised again by the next `put`, or at the end of the ``with`` block.
    """

    def __init__(self, work: Callable[[T], None], depth: int = 2) -> None:
        self._work = work
        self._waiting: queue.Queue[T | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def put(self, item: T) -> None:
        """Queue one item; waits while ``depth`` are waiting."""
        self._raise()
        self._waiting.put(item)

    def try_put(self, item: T) -> bool:
        """Queue one item unless ``depth`` are waiting; whether it was queued."""
        self._raise()
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            return False
        return True

    def __enter__(self) -> BackgroundWorker[T]:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cancelled = kind is not None
        self._waiting.put(None)
        self._thread.join()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            if self._error is None and not self._cancelled:
                try:
                    self._work(item)
                except BaseException as exc:  # raised again by the producer
                    self._error = exc


class LatestSlot(Generic[T]):
    """A place for one item between two threads: a new one takes the place of one not yet taken."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Leave an item; never waits."""
        with self._changed:
            self._item = item
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """The newest item, once; None if there is none within that time.

        >>> place = LatestSlot[int]()
        >>> place.put(1)
        >>> place.put(2)
        >>> place.take(0), place.take(0)
        (2, None)
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None, timeout_s)
            item, self._item = self._item, None
            return item
