"""How work is spread over a CPU's cores."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread

import pytest
import torch

from autohair_video.runtime.thread_pools import on_each_core, threads_on

CPU = torch.device("cpu")


@pytest.fixture(params=[2, 3])
def count(request: pytest.FixtureRequest) -> Iterator[int]:
    """So many cores for torch, as on a machine that has them."""
    usual = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(usual)


def _cores_used(_: int = 0) -> int:
    """On how many cores torch works in this thread, asked after a piece of work."""
    torch.rand(300, 300) @ torch.rand(300, 300)
    return torch.get_num_threads()


def test_what_runs_on_each_core_keeps_to_one(count: int) -> None:
    assert on_each_core(_cores_used, range(8), CPU) == [1] * 8
    assert _cores_used() == count


def test_what_is_too_little_for_many_cores_gets_all_of_them(count: int) -> None:
    assert on_each_core(_cores_used, [0], CPU) == [count]
    assert on_each_core(lambda item: item * 2, [], CPU) == []


def test_results_come_in_the_order_of_the_items(count: int) -> None:
    assert on_each_core(lambda item: item**2, range(20), CPU) == [n**2 for n in range(20)]


def test_threads_of_few_cores_leave_the_others_theirs(count: int) -> None:
    with threads_on(count - 1, name="few") as few:
        assert few.submit(_cores_used).result() == count - 1
        later: list[int] = []
        thread = Thread(target=lambda: later.append(_cores_used()))
        thread.start()
        thread.join()
    assert later == [count]
    assert _cores_used() == count
