"""Threads around the pipeline: prefetch before a consumer, background work after a producer, both bounded."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Final, Generic, TypeVar

T = TypeVar("T")

# Interval at which a blocked put or get checks for a stop. Also what makes Ctrl-C work on Windows,
# where a lock without a timeout cannot be interrupted.
_POLL_S: Final = 0.1
# How long `Prefetch.close` waits for a producer that is blocked, for example in a demuxer on a stalled URL.
_JOIN_S: Final = 2.0

_END: Final = EOFError("no more items")


class Prefetch(Iterator[T]):
    """An iterator whose items are produced on a daemon thread, up to ``depth`` ahead. See `prefetch`."""

    def __init__(self, items: Iterable[T], depth: int) -> None:
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._produce, args=(items,), daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        while not self._stop.is_set():
            try:
                item, error = self._queue.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if error is not None:
                self.close()
                if error is _END:
                    break
                raise error
            return item  # type: ignore[return-value]  # None is queued with an error only
        raise StopIteration

    def close(self) -> None:
        """Stop the thread after its current item, and wait for it a bounded time.

        May be called from any thread. A producer that is blocked in a call without a timeout is left
        behind: its thread is a daemon and ends with the process.
        """
        self._stop.set()
        if self._thread is not threading.current_thread():
            self._thread.join(_JOIN_S)

    def _produce(self, items: Iterable[T]) -> None:
        try:
            for item in items:
                self._put(item, None)
                if self._stop.is_set():
                    return
            self._put(None, _END)
        except BaseException as exc:  # raised again in the consumer
            self._put(None, exc)

    def _put(self, item: T | None, error: BaseException | None) -> None:
        while not self._stop.is_set():
            try:
                self._queue.put((item, error), timeout=_POLL_S)
                return
            except queue.Full:
                continue


def prefetch(items: Iterable[T], depth: int = 2) -> Prefetch[T]:
    """Iterate over ``items`` on a thread of their own, at most ``depth`` ahead of the consumer.

    An exception of ``items`` is raised here, after the items before it. A consumer that stops early must
    call `Prefetch.close` (or use `contextlib.closing`).

    >>> list(prefetch(range(5)))
    [0, 1, 2, 3, 4]
    """
    return Prefetch(items, depth)


class BackgroundWorker(Generic[T]):
    """Runs ``work`` on each item, on a thread of its own, with at most ``depth`` items queued.

    ``executor``: one of its threads runs ``work``, and it is shut down at the end of the ``with`` block;
    without it, a daemon thread is started.

    An exception of ``work`` is raised by the next `put` or `flush`, or at the end of the ``with`` block.
    """

    def __init__(
        self, work: Callable[[T], None], depth: int = 2, *, executor: ThreadPoolExecutor | None = None
    ) -> None:
        self._work = work
        self._executor = executor
        self._queue: queue.Queue[T | None] = queue.Queue(depth)
        self._error: BaseException | None = None
        self._cancelled = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def put(self, item: T) -> None:
        """Queue one item; blocks while the queue is full."""
        self._raise()
        self._queue.put(item)

    def try_put(self, item: T) -> bool:
        """Queue one item if there is room, without blocking; returns whether it was queued."""
        self._raise()
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            return False
        return True

    def flush(self) -> None:
        """Wait until every queued item has been worked on."""
        self._queue.join()
        self._raise()

    def __enter__(self) -> BackgroundWorker[T]:
        if self._executor is None:
            self._thread.start()
        else:
            self._executor.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cancelled = kind is not None
        self._queue.put(None)
        if self._executor is None:
            self._thread.join()
        else:
            self._executor.shutdown()
        if kind is None:
            self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            if self._error is None and not self._cancelled:
                try:
                    self._work(item)
                except BaseException as exc:  # raised again in the producer
                    self._error = exc
            self._queue.task_done()


class LatestSlot(Generic[T]):
    """A slot for one item between two threads: a new item replaces one that was not yet taken."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._changed = threading.Condition()

    def put(self, item: T) -> None:
        """Store an item; never blocks."""
        with self._changed:
            self._item = item
            self._changed.notify()

    def take(self, timeout_s: float) -> T | None:
        """Remove and return the newest item; None if there is none within ``timeout_s``.

        >>> slot = LatestSlot[int]()
        >>> slot.put(1)
        >>> slot.put(2)
        >>> slot.take(0), slot.take(0)
        (2, None)
        """
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None, timeout_s)
            item, self._item = self._item, None
            return item
