"""HDR metadata, from the clip to the encoders that can hold it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from autohair_video.media import PRESETS, ClipReader, probe
from autohair_video.media.hdr import HdrMetadata
from tests.helpers.clips import make_clip
from tests.helpers.writers import write

PQ = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
DISPLAY = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
LIGHT = HdrMetadata(
    red=(Fraction(68, 100), Fraction(32, 100)),
    green=(Fraction(265, 1000), Fraction(69, 100)),
    blue=(Fraction(15, 100), Fraction(6, 100)),
    white=(Fraction(3127, 10000), Fraction(329, 1000)),
    min_luminance=Fraction(5, 1000),
    max_luminance=Fraction(1000),
    content_max=1000,
    frame_average_max=400,
)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(
        tmp_path / "in.mp4",
        size=(96, 64),
        pts=range(3),
        codec="libx265",
        pixel_format="yuv420p10le",
        tags=PQ,
        options={"x265-params": f"log-level=error:hdr10=1:master-display={DISPLAY}:max-cll=1000,400"},
    )


@pytest.mark.parametrize("name", ["h264", "h265", "av1"])
def test_hdr_metadata_and_tags_are_kept(tmp_path: Path, clip: Path, name: str) -> None:
    assert probe(clip).hdr == LIGHT
    target = write(clip, tmp_path / f"out{PRESETS[name].default_extension}", PRESETS[name])
    given, found = probe(clip), probe(target)
    assert found.format == given.format
    light = found.hdr
    assert light is not None
    assert (light.content_max, light.frame_average_max, light.max_luminance) == (1000, 400, 1000)
    assert light.red is not None
    # AV1 counts in 1/65536.
    assert [float(part) for part in light.red] == pytest.approx([0.68, 0.32], abs=1e-4)


def test_formats_without_hdr_metadata_say_so(tmp_path: Path, clip: Path) -> None:
    notices: list[str] = []
    write(clip, tmp_path / "out.mov", PRESETS["prores4444"], notices=notices)
    assert notices == ["HDR mastering data is not written: prores4444 has no place for it"]
    with ClipReader(make_clip(tmp_path / "plain.mp4", pts=range(1))) as reader:
        assert reader.info.hdr is None
