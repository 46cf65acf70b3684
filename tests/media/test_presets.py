"""The table of outputs: which row an extension chooses, and what each row makes of a frame's format."""

from __future__ import annotations

import av
import pytest

from autohair_video.errors import OptionError
from autohair_video.frames import FrameFormat
from autohair_video.media import PRESETS, codec_format, preset_for, preset_named
from autohair_video.media.presets import Role, codec_pixel_format


@pytest.mark.parametrize(
    ("path", "role", "name"),
    [
        ("a.mp4", "composite", "h264"),
        ("a.MKV", "composite", "h264"),
        ("a.mov", "alpha", "prores4444"),
        ("a.webm", "alpha", "vp9-alpha"),
        ("a.mkv", "matte", "ffv1-matte"),
        ("a.mp4", "matte", "h264-matte"),
        ("a.%05d.png", "matte", "png-sequence"),
    ],
)
def test_the_extension_chooses(path: str, role: Role, name: str) -> None:
    assert preset_for(path, role=role) is preset_named(name)


@pytest.mark.parametrize(
    ("path", "role", "accepted"),
    [
        ("a.avi", "composite", ".mp4, .m4v, .mov, .mkv"),
        ("a.mp4", "alpha", ".mov, .webm"),
        ("a.png", "matte", "name.%05d.png"),
        ("a", "alpha", ".mov, .webm"),
    ],
)
def test_what_is_accepted_is_named(path: str, role: Role, accepted: str) -> None:
    with pytest.raises(OptionError, match=accepted):
        preset_for(path, role=role)
    with pytest.raises(OptionError, match=", ".join(PRESETS)):
        preset_named("h263")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("depth", [8, 9, 10, 12])
@pytest.mark.parametrize("subsampling", [(2, 2), (2, 1), (1, 1)])
@pytest.mark.parametrize("size", [(64, 48), (17, 33), (16, 33)])
def test_every_row_asks_its_encoder_for_what_it_takes(
    preset: str, depth: int, subsampling: tuple[int, int], size: tuple[int, int]
) -> None:
    row = PRESETS[preset]
    fmt = FrameFormat(*size, depth, *subsampling)
    codec = av.codec.Codec(row.codec, "w")
    assert codec_pixel_format(row, fmt) in {taken.name for taken in codec.video_formats or []}
    wanted = codec_format(row, fmt)
    assert codec_format(row, wanted) == wanted


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ((8, 2, 2), "yuv420p"),
        ((8, 1, 1), "yuv444p"),
        ((9, 2, 1), "yuv422p10le"),
        ((12, 2, 2), "yuv420p10le"),
    ],
)
def test_h264_keeps_depth_and_chroma_as_far_as_it_can(source: tuple[int, int, int], target: str) -> None:
    assert codec_pixel_format(PRESETS["h264"], FrameFormat(64, 48, *source)) == target
