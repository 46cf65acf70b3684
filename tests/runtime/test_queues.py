"""Prefetch, background work and hand-over between threads."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from autohair_video.media import ClipReader
from autohair_video.runtime.queues import BackgroundWorker, LatestSlot, prefetch
from tests.helpers.clips import make_clip

needs_fifo = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no named pipes in its file tree")


def test_prefetch_keeps_the_order() -> None:
    assert list(prefetch(range(100), depth=3)) == list(range(100))


def test_prefetch_raises_the_sources_error_after_the_items_before_it() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    items = prefetch(source())
    assert next(items) == 1
    with pytest.raises(ValueError, match="broken"):
        next(items)
    with pytest.raises(StopIteration):
        next(items)


def test_prefetch_is_never_more_than_its_depth_ahead() -> None:
    drawn = []
    items = prefetch((drawn.append(i) or i for i in range(100)), depth=2)  # type: ignore[func-returns-value]
    assert next(items) == 0
    items.close()
    assert len(drawn) <= 4, "one taken, two queued, one in hand"


def test_closing_prefetch_ends_its_thread() -> None:
    before = threading.active_count()
    items = prefetch(iter(int, 1), depth=1)
    next(items)
    items.close()
    assert threading.active_count() == before


def test_closing_prefetch_wakes_a_consumer_on_another_thread() -> None:
    """Two prefetches in a row: the inner is read on the outer's thread, and closed on the main one."""
    release = threading.Event()

    def stalled() -> Iterator[int]:
        release.wait()
        yield 0

    inner = prefetch(stalled())
    done: list[list[int]] = []
    consumer = threading.Thread(target=lambda: done.append(list(inner)))
    consumer.start()
    inner.close()
    consumer.join()
    release.set()
    assert done == [[]]


@needs_fifo
def test_closing_prefetch_returns_while_its_source_waits_for_a_pipe_without_a_writer(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    before = set(threading.enumerate())

    def source() -> Iterator[bytes]:
        with pipe.open("rb") as file:
            yield file.read()

    with closing(prefetch(source())):
        assert len(set(threading.enumerate()) - before) == 1, "the thread is blocked in open(2)"
    with pipe.open("wb"):
        pass  # lets the thread end


def test_leaving_a_clip_on_a_stalled_url_neither_hangs_nor_frees_what_is_being_read(tmp_path: Path) -> None:
    content = make_clip(tmp_path / "a.mkv", pts=range(60)).read_bytes()
    left = threading.Event()

    class Stalled(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) * 3 // 4])
            left.wait()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stalled) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a.mkv"
        with ClipReader(url, batch_size=4) as reader, closing(prefetch(reader)) as batches:
            assert len(next(batches)) == 4
        left.set()
        server.shutdown()
        thread.join()


def test_background_work_is_done_in_order_when_the_block_ends() -> None:
    done: list[int] = []
    with BackgroundWorker[int](done.append) as worker:
        for i in range(50):
            worker.put(i)
    assert done == list(range(50))


def test_an_error_of_the_work_reaches_the_producer() -> None:
    def work(item: int) -> None:
        raise OSError(f"disk full at {item}")

    def produce() -> None:
        with BackgroundWorker[int](work) as worker:
            for i in range(1000):
                worker.put(i)

    with pytest.raises(OSError, match="disk full at 0"):
        produce()


def test_try_put_refuses_what_has_no_room() -> None:
    started, release = threading.Event(), threading.Event()

    def work(item: int) -> None:
        started.set()
        release.wait()

    with BackgroundWorker[int](work, depth=1) as worker:
        worker.put(0)
        started.wait()
        assert worker.try_put(1)
        assert not worker.try_put(2)
        release.set()


def test_the_latest_slot_gives_the_newest_item_once() -> None:
    slot = LatestSlot[int]()
    slot.put(1)
    slot.put(2)
    assert slot.take(0) == 2
    assert slot.take(0) is None


def test_flush_waits_for_the_item_in_progress_and_raises_its_error() -> None:
    go, done = threading.Event(), []

    def work(item: int) -> None:
        assert go.wait(20)
        if item == 2:
            raise ValueError("broken")
        done.append(item)

    executor = ThreadPoolExecutor(1, "stage")
    worker = BackgroundWorker(work, executor=executor).__enter__()
    worker.put(1)
    threading.Timer(0.05, go.set).start()
    worker.flush()
    assert done == [1]
    worker.put(2)
    with pytest.raises(ValueError, match="broken"):
        worker.flush()
    worker.__exit__(InterruptedError, None, None)


def test_worker_runs_on_the_given_executor() -> None:
    names = []
    executor = ThreadPoolExecutor(1, "stage")
    with BackgroundWorker[int](
        lambda _: names.append(threading.current_thread().name), executor=executor
    ) as w:
        w.put(1)
    assert names == ["stage_0"]
