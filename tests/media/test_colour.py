"""Colour conversion against values worked out by hand, against swscale, and there and back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from autohair_video.frames import FrameBatch, FrameFormat
from autohair_video.media import (
    convert_format,
    effective_matrix,
    from_rgb,
    quantise_alpha,
    round_planes,
    to_rgb,
)
from tests.helpers.clips import picture

MATRICES = (1, 4, 5, 6, 7, 9)


def _batch(planes: tuple[Tensor, Tensor, Tensor], fmt: FrameFormat) -> FrameBatch:
    return FrameBatch(planes, fmt, (0,), (1,), Fraction(1, 25))


def _format(**settings: object) -> FrameFormat:
    return FrameFormat(**{"width": 4, "height": 4, "subsample_x": 1, "subsample_y": 1} | settings)


def _samples(rgb: tuple[float, float, float], fmt: FrameFormat) -> list[int]:
    frame = torch.tensor(rgb).view(1, 3, 1, 1).expand(1, 3, fmt.height, fmt.width)
    return [int(plane[0, 0, 0, 0]) for plane in round_planes(from_rgb(frame, fmt), fmt)]


def _ramp(fmt: FrameFormat) -> tuple[Tensor, Tensor, Tensor]:
    """Planes of a smooth picture that holds many colours."""
    y, x = torch.meshgrid(
        torch.linspace(0.1, 0.9, fmt.height), torch.linspace(0.1, 0.9, fmt.width), indexing="ij"
    )
    return round_planes(from_rgb(torch.stack([x, y, 1 - (x + y) / 2])[None], fmt), fmt)


@pytest.mark.parametrize(
    ("rgb", "settings", "expected"),
    [
        ((1, 0, 0), {"matrix": 1}, [63, 102, 240]),
        ((0, 1, 0), {"matrix": 6, "full_range": True}, [150, 44, 21]),
        ((0, 0, 1), {"matrix": 9, "bit_depth": 10}, [116, 960, 476]),
        ((1, 1, 0), {"matrix": 7}, [216, 16, 140]),
        ((0.2, 0.4, 0.6), {"matrix": 0}, [51, 102, 153]),
    ],
)
def test_samples_of_pure_colours_are_those_of_the_standard(
    rgb: tuple[float, float, float], settings: dict[str, object], expected: list[int]
) -> None:
    assert _samples(rgb, _format(**settings)) == expected


@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12])
def test_white_black_and_primaries_come_back_exact(matrix: int, full_range: bool, depth: int) -> None:
    fmt = _format(matrix=matrix, full_range=full_range, bit_depth=depth)
    step = 1 << (depth - 8)
    black, white = (0, fmt.max_value) if full_range else (16 * step, 235 * step)
    assert _samples((0, 0, 0), fmt) == [black, 128 * step, 128 * step]
    assert _samples((1, 1, 1), fmt) == [white, 128 * step, 128 * step]
    corners = torch.tensor([[r, g, b] for r in (0, 1) for g in (0, 1) for b in (0, 1)])
    frame = corners.float().T.reshape(1, 3, 2, 4)
    fmt = replace(fmt, width=4, height=2)
    again = to_rgb(_batch(round_planes(from_rgb(frame, fmt), fmt), fmt))
    assert (again - frame).abs().max() <= 1.5 / (219 * step)


@pytest.mark.parametrize("matrix", [1, 5, 9])
@pytest.mark.parametrize("full_range", [False, True])
def test_rgb_agrees_with_swscale(matrix: int, full_range: bool) -> None:
    rgb = av.VideoFrame.from_ndarray(picture(3, 32, 24), format="rgb24")
    codes = {1: 1, 5: 5, 9: 9}
    yuv = rgb.reformat(
        format="yuv444p",
        dst_colorspace=codes[matrix],
        dst_color_range=2 if full_range else 1,
        src_color_range=2,
    )
    planes = tuple(torch.from_numpy(p.copy())[None, None] for p in yuv.to_ndarray())
    fmt = FrameFormat(32, 24, 8, 1, 1, matrix=matrix, full_range=full_range)
    ours = to_rgb(_batch(planes, fmt))[0].permute(1, 2, 0).numpy() * 255  # type: ignore[arg-type]
    assert np.abs(ours - picture(3, 32, 24)).max() <= 3


def test_an_unspecified_matrix_goes_by_size_as_in_players() -> None:
    assert effective_matrix(FrameFormat(720, 576)) == 6
    assert effective_matrix(FrameFormat(1280, 536)) == 1
    assert effective_matrix(FrameFormat(640, 480, matrix=9)) == 9


@pytest.mark.parametrize("size", [(16, 12), (17, 33), (1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("subsampling", [(2, 2), (2, 1), (1, 1)])
def test_a_flat_colour_stays_flat_at_any_size(size: tuple[int, int], subsampling: tuple[int, int]) -> None:
    fmt = FrameFormat(*size, 8, *subsampling, matrix=1)
    frame = torch.tensor([0.8, 0.3, 0.1]).view(1, 3, 1, 1).expand(1, 3, size[1], size[0])
    planes = round_planes(from_rgb(frame, fmt), fmt)
    assert planes[1].shape[-2:] == fmt.chroma_size
    assert (to_rgb(_batch(planes, fmt)) - frame).abs().max() <= 2 / 255


def test_chroma_is_sited_on_even_columns_and_between_rows() -> None:
    fmt = FrameFormat(8, 8, 8, 2, 2, matrix=6, full_range=True)
    luma = torch.full((1, 1, 8, 8), 100, dtype=torch.uint8)
    across = torch.tensor([40, 80, 120, 160], dtype=torch.uint8).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    full = replace(fmt, subsample_x=1, subsample_y=1)
    _, cb, cr = convert_format((luma, across, across.transpose(2, 3)), fmt, full)
    assert cb[0, 0, 0].tolist() == [40, 60, 80, 100, 120, 140, 160, 160]
    assert cr[0, 0, :, 0].tolist() == [40, 50, 70, 90, 110, 130, 150, 160]


def test_the_same_layout_hands_back_the_same_tensors() -> None:
    fmt = FrameFormat(17, 33, matrix=6)
    planes = _ramp(fmt)
    same = convert_format(planes, fmt, replace(fmt, matrix=5, primaries=1, transfer=1))
    assert all(a is b for a, b in zip(planes, same, strict=True))


def test_only_chroma_is_touched_between_subsamplings() -> None:
    fmt = FrameFormat(16, 12, matrix=1)
    planes = _ramp(fmt)
    assert convert_format(planes, fmt, replace(fmt, subsample_x=1, subsample_y=1))[0] is planes[0]


def test_limited_depths_differ_by_a_shift() -> None:
    fmt = FrameFormat(16, 12, matrix=1)
    planes = _ramp(fmt)
    deep = convert_format(planes, fmt, replace(fmt, bit_depth=10))
    for eight, ten in zip(planes, deep, strict=True):
        assert torch.equal(eight.short() << 2, ten)
    for eight, back in zip(planes, convert_format(deep, replace(fmt, bit_depth=10), fmt), strict=True):
        assert torch.equal(eight, back)


@pytest.mark.parametrize("matrix", [1, 6])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("depth", [8, 10])
def test_conversion_keeps_samples_within_two_levels(matrix: int, full_range: bool, depth: int) -> None:
    src = FrameFormat(32, 24, 8, 2, 2, matrix=6, full_range=True)
    planes = _ramp(src)
    dst = FrameFormat(32, 24, depth, 1, 1, matrix=matrix, full_range=full_range)
    converted = convert_format(planes, src, dst)
    error = to_rgb(_batch(converted, dst)) - to_rgb(_batch(planes, src))
    assert error.abs().max() <= 2 / 255


def test_converting_to_another_size_is_refused() -> None:
    fmt = FrameFormat(16, 12)
    with pytest.raises(ValueError, match="16x12 to 16x14"):
        convert_format(_ramp(fmt), fmt, FrameFormat(16, 14))


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_alpha_levels_survive_quantising(depth: int) -> None:
    largest = (1 << depth) - 1
    levels = torch.arange(largest + 1)
    assert torch.equal(quantise_alpha(levels / largest, depth).long(), levels)
