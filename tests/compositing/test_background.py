"""Backgrounds: colours, cover-fitted pictures, looped videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from autohair_video.compositing.background import open_background
from autohair_video.errors import InputError, OptionError
from tests.helpers.clips import luma_of, make_clip, rotate_clip


def _save(path: Path, rgb: Tensor) -> str:
    """Writes an (H, W, 3) picture in 0..1."""
    cv2.imwrite(str(path), (rgb.flip(2) * 255).round().to(torch.uint8).numpy())
    return str(path)


@pytest.mark.parametrize(
    ("spec", "rgb"),
    [
        ("#00ff00", (0, 255, 0)),
        ("#0f0", (0, 255, 0)),
        ("#A1B2C3", (161, 178, 195)),
        ("white", (255, 255, 255)),
        ("SkyBlue", (135, 206, 235)),
        ("rebeccapurple", (102, 51, 153)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
    ],
)
def test_colours(spec: str, rgb: tuple[int, int, int]) -> None:
    picture = open_background(spec, 17, 9).rgb_at([0.0, 0.1])
    assert picture.shape == (1, 3, 9, 17)
    assert (picture[0, :, 8, 16] * 255).round().tolist() == list(rgb)


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (30, 30), (400, 100), (1, 1), (17, 33)])
def test_a_picture_covers_the_frame_with_its_middle(tmp_path: Path, size: tuple[int, int]) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 120), torch.linspace(0, 1, 160), indexing="ij")
    spec = _save(tmp_path / "a.png", torch.stack([x, y, torch.zeros_like(x)], dim=2))
    picture = open_background(spec, *size).rgb_at([0.0])
    assert picture.shape == (1, 3, size[1], size[0])
    # Whatever is cut, is cut evenly, and one step is as long across as it is down.
    assert picture[0, :2].mean(dim=(1, 2)).tolist() == pytest.approx([0.5, 0.5], abs=0.02)
    if min(size) > 10:
        across = (picture[0, 0, 0, -1] - picture[0, 0, 0, 0]) * 160 / (size[0] - 1)
        down = (picture[0, 1, -1, 0] - picture[0, 1, 0, 0]) * 120 / (size[1] - 1)
        assert float(across) == pytest.approx(float(down), rel=0.06)


def test_shrinking_averages_fine_detail_away(tmp_path: Path) -> None:
    checks = (torch.arange(300)[:, None] + torch.arange(400)[None]) % 2
    spec = _save(tmp_path / "a.png", checks[..., None].expand(-1, -1, 3).float())
    picture = open_background(spec, 57, 43).rgb_at([0.0])
    assert (picture - 0.5).abs().max() < 0.1


def _bar(picture: Tensor) -> list[int]:
    """The frame numbers that the bars of clips.picture show, one for each row of the result."""
    height, width = picture.shape[-2:]
    levels = picture[:, :, height * 3 // 4, width * 3 // 4].mean(dim=1) * 255
    known = torch.tensor([float(luma_of(index)) for index in range(6)])
    return [int((known - level).abs().argmin()) for level in levels]


def test_a_video_shows_the_frame_that_covers_each_time_and_loops(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "bg.mp4", pts=[0, 2, 3, 4], time_base=Fraction(1, 10), last=2)
    background = open_background(str(clip), 64, 48)
    assert _bar(background.rgb_at([0.0, 0.15, 0.2, 0.25, 0.3, 0.45])) == [0, 0, 1, 1, 2, 3]
    # It is 0.6 s long: the second time round begins there, and the eleventh at 6 s.
    assert _bar(background.rgb_at([0.59, 0.61, 0.85, 6.05, 6.35])) == [3, 0, 1, 0, 2]
    assert _bar(background.rgb_at([0.0])) == [0]
    background.close()


def test_a_jump_past_the_end_lands_in_the_right_round(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "bg.mp4", pts=range(5), time_base=Fraction(1, 10))
    assert _bar(open_background(str(clip), 64, 48).rgb_at([100.25])) == [2]


def test_a_one_frame_video_is_a_still(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "bg.mp4", pts=[0])
    assert _bar(open_background(str(clip), 32, 24).rgb_at([0.0, 0.3, 9.0])) == [0, 0, 0]


def test_a_rotated_video_is_upright(tmp_path: Path) -> None:
    clip = rotate_clip(make_clip(tmp_path / "bg.mp4", pts=[0]), (0, 1, -1, 0))
    luma = open_background(str(clip), 48, 64).rgb_at([0.0])[0].mean(dim=0)
    assert luma[:30, 26:].mean() > luma[:30, :22].mean() + 0.2


def test_what_is_no_background_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "noise.mp4").write_bytes(np.arange(5000, dtype=np.uint16).tobytes())
    for spec in ("grren", "blur", "#12345", "#00ff0080", "transparent"):
        with pytest.raises(OptionError, match="no colour and no file"):
            open_background(spec, 8, 8)
    wrong = {"missing.jpg": "does not exist", "text.png": "is not an image", "noise.mp4": "is not a video"}
    for name, message in wrong.items():
        with pytest.raises(InputError, match=message):
            open_background(str(tmp_path / name), 8, 8)
    with pytest.raises(InputError, match="is a folder"):
        open_background(str(tmp_path), 8, 8)
