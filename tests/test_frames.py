"""Frame batches and mattes: shapes are validated, copies between devices are safe."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from autohair_video.frames import FrameBatch, FrameFormat, Matte, join_frames


def _batch(frames: int = 3, *, alpha: bool = True) -> FrameBatch:
    fmt = FrameFormat(width=17, height=9)
    luma = torch.arange(frames * 17 * 9, dtype=torch.uint8).view(frames, 1, 9, 17)
    chroma = torch.full((frames, 1, *fmt.chroma_size), 128, dtype=torch.uint8)
    own = torch.rand(frames, 1, 9, 17) if alpha else None
    return FrameBatch((luma, chroma, chroma), fmt, tuple(range(frames)), (1,) * frames, Fraction(1, 25), own)


class _RecordedCopies(TorchFunctionMode):
    """Records the ``non_blocking`` argument of every `Tensor.to`, and lets the call through."""

    def __init__(self) -> None:
        super().__init__()
        self.non_blocking: list[bool] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is Tensor.to:
            self.non_blocking.append(bool((kwargs or {}).get("non_blocking", False)))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_copies_that_are_not_from_pinned_memory_to_cuda_are_synchronous(device: str) -> None:
    """A non-blocking copy to MPS may read freed memory; one to the CPU returns before its values."""
    with _RecordedCopies() as copies:
        _batch().to(device)
    assert copies.non_blocking == [False] * 4, "three planes and alpha"


def test_pageable_memory_is_copied_to_cuda_synchronously_and_comes_back_whole(cuda: str) -> None:
    batch = _batch()
    with _RecordedCopies() as copies:
        there = batch.to(cuda)
        back = there.to("cpu")
    assert not any(copies.non_blocking)
    assert back.alpha is not None
    assert batch.alpha is not None
    assert torch.equal(back.planes[0], batch.planes[0])
    assert torch.equal(back.alpha, batch.alpha)


def test_pinning_includes_alpha(cuda: str) -> None:
    pinned = _batch().pinned()
    assert pinned.alpha is not None
    assert pinned.alpha.is_pinned()
    with _RecordedCopies() as copies:
        pinned.to(cuda)
    assert copies.non_blocking == [True] * 4


def test_halves_join_to_the_whole() -> None:
    batch = _batch(5)
    joined = join_frames(batch.halves())
    assert joined.pts == batch.pts
    assert joined.durations == batch.durations
    assert torch.equal(joined.planes[0], batch.planes[0])
    assert joined.alpha is not None
    assert batch.alpha is not None
    assert torch.equal(joined.alpha, batch.alpha)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("durations", (1, 1), "2 durations for 3 frames"),
        ("trimap", torch.zeros(3, 1, 4, 4, dtype=torch.uint8), "a trimap of shape"),
        ("raw_alpha", torch.zeros(2, 1, 9, 17), "a raw_alpha of shape"),
        ("alpha", torch.zeros(3, 9, 17), r"alpha of shape \(3, 9, 17\) for 3 frames"),
        ("alpha", torch.zeros(3, 1, 9, 17, dtype=torch.float64), "torch.float64"),
    ],
)
def test_a_matte_that_does_not_fit_its_frames_is_refused(field: str, value: object, message: str) -> None:
    given: dict[str, Any] = {
        "alpha": torch.zeros(3, 1, 9, 17),
        "pts": (0, 1, 2),
        "durations": (1, 1, 1),
        "time_base": Fraction(1, 25),
    }
    with pytest.raises(ValueError, match=message):
        Matte(**{**given, field: value})


def test_a_matte_without_times_is_not_representable() -> None:
    with pytest.raises(TypeError, match="pts"):
        Matte(torch.zeros(1, 1, 9, 17))  # type: ignore[call-arg]
    assert Matte.of_still(torch.zeros(1, 1, 9, 17)).pts == (0,)


@pytest.mark.parametrize(
    ("plane", "message"),
    [
        (torch.zeros(3, 1, 9, 16, dtype=torch.uint8), r"shape \(3, 1, 9, 16\)"),
        (torch.zeros(3, 1, 9, 17), "torch.float32"),
    ],
)
def test_planes_that_do_not_fit_the_format_are_refused(plane: Tensor, message: str) -> None:
    batch = _batch()
    with pytest.raises(ValueError, match=message):
        batch.with_planes((plane, *batch.planes[1:]), batch.format)
