"""What a matted batch becomes: exact where alpha is one, own colours at the edge, the background right."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from clips import make_clip
from torch import Tensor

from autohair_video import FrameBatch, FrameFormat, Matte
from autohair_video.media import PRESETS, ClipReader, codec_format, to_rgb
from autohair_video.outputs import composite, cut_out, open_scene


def _read(path: Path) -> FrameBatch:
    with ClipReader(path) as reader:
        return next(iter(reader))


def _matte(batch: FrameBatch, alpha: Tensor | float) -> Matte:
    size = (len(batch), 1, batch.format.height, batch.format.width)
    return Matte(
        alpha if isinstance(alpha, Tensor) else torch.full(size, alpha),
        batch.pts,
        batch.durations,
        batch.time_base,
    )


def _batch(rgb: tuple[float, float, float], *, frames: int = 1) -> FrameBatch:
    """Frames of one colour, 24x16 RGB of 8 bit."""
    fmt = FrameFormat(24, 16, subsample_x=1, subsample_y=1, matrix=0, full_range=True)
    r, g, b = (torch.full((frames, 1, 16, 24), round(255 * value), dtype=torch.uint8) for value in rgb)
    return FrameBatch((r, g, b), fmt, tuple(range(frames)), (1,) * frames, Fraction(1, 10))


@pytest.mark.parametrize(
    "pixel_format",
    ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuv420p10le", "yuv422p10le", "yuv444p10le"],
)
@pytest.mark.parametrize("background", ["#ff00ff", "blur"])
def test_samples_under_alpha_one_reach_the_encoder_untouched(
    tmp_path: Path, pixel_format: str, background: str
) -> None:
    batch = _read(make_clip(tmp_path / "a.mp4", pts=range(2), pixel_format=pixel_format))
    target = codec_format(PRESETS["h264"], batch.format)
    assert target == batch.format
    result = composite(batch, _matte(batch, 1.0), open_scene(background, target), target)
    assert all(torch.equal(ours, given) for ours, given in zip(result.planes, batch.planes, strict=True))
    assert (result.pts, result.durations, result.format) == (batch.pts, batch.durations, target)


@pytest.mark.parametrize("size", [(64, 48), (17, 33)])
@pytest.mark.parametrize("color_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5], ids=["bt709", "bt601"])
def test_a_cut_out_in_another_format_shows_the_same_colours(
    tmp_path: Path, matrix: int, color_range: int, size: tuple[int, int]
) -> None:
    # FFV1 takes the odd size in 4:2:0 that x264 refuses
    clip = make_clip(
        tmp_path / "a.mkv",
        size=size,
        pts=range(2),
        codec="ffv1",
        tags={"colorspace": matrix, "color_range": color_range},
    )
    batch = _read(clip)
    assert (batch.format.matrix, batch.format.full_range) == (matrix, color_range == 2)
    target = codec_format(PRESETS["prores4444"], batch.format)
    assert (target.bit_depth, target.subsample_x, target.full_range) == (10, 1, False)
    result = cut_out(batch, _matte(batch, 1.0), target)
    assert (to_rgb(result) - to_rgb(batch)).abs().max() <= 2 / 255


def test_alpha_zero_leaves_the_background_alone(tmp_path: Path) -> None:
    batch = _read(make_clip(tmp_path / "a.mp4", pts=range(2)))
    result = composite(batch, _matte(batch, 0.0), open_scene("#204080", batch.format), batch.format)
    wanted = torch.tensor([0x20, 0x40, 0x80]).view(3, 1, 1) / 255
    assert (to_rgb(result) - wanted).abs().max() <= 2 / 255


def test_the_old_background_is_taken_out_of_the_edge() -> None:
    """A dark subject before green; its half covered columns must not bring green along."""
    batch = _batch((0.2, 0.1, 0.1))
    alpha = torch.zeros(1, 1, 16, 24)
    alpha[..., 10:14], alpha[..., 14:] = 0.5, 1.0
    mixed = [
        (plane.float() * alpha + level * (1 - alpha)).round().to(torch.uint8)
        for plane, level in zip(batch.planes, (0, 255, 0), strict=True)
    ]
    batch = batch.with_planes((mixed[0], mixed[1], mixed[2]), batch.format)
    red, green, _ = cut_out(batch, _matte(batch, alpha), batch.format).planes
    edge = slice(10, 14)
    assert batch.planes[1][..., edge].float().mean() > 130
    assert green[..., edge].float().mean() < 60
    assert (red[..., edge].float() - 51).abs().mean() < 15
    result = composite(batch, _matte(batch, alpha), open_scene("red", batch.format), batch.format)
    assert result.planes[1][..., edge].float().mean() < 40


def test_blur_keeps_the_subject_out_of_its_surroundings() -> None:
    batch = _batch((0.0, 0.0, 1.0))
    alpha = torch.zeros(1, 1, 16, 24)
    alpha[..., 4:12, 8:16] = 1.0
    white = [torch.where(alpha == 1, 255, plane).to(torch.uint8) for plane in batch.planes]
    batch = batch.with_planes((white[0], white[1], white[2]), batch.format)
    result = composite(batch, _matte(batch, alpha), open_scene("blur", batch.format), batch.format)
    outside = (alpha == 0).expand(1, 3, -1, -1)
    wanted = torch.tensor([0.0, 0.0, 1.0]).view(3, 1, 1).expand(1, 3, 16, 24)
    assert (to_rgb(result) - wanted)[outside].abs().max() <= 2 / 255


def test_a_clip_behind_is_shown_from_the_origin_on(tmp_path: Path) -> None:
    behind = make_clip(tmp_path / "b.mp4", size=(24, 16), pts=range(4), time_base=Fraction(1, 10))
    batch = _batch((1.0, 0.0, 0.0), frames=4)
    with ClipReader(behind) as reader:
        pictures = to_rgb(next(iter(reader)))
    for first, origin in ((0, Fraction(0)), (2, Fraction(-2, 10))):
        scene = open_scene(str(behind), batch.format, origin=origin)
        result = to_rgb(composite(batch, _matte(batch, 0.0), scene, batch.format))
        scene.close()
        assert (result - pictures.roll(-first, 0)).abs().max() <= 1 / 255
