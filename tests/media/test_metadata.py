"""Titles, chapters, timecode and attachments: copied where the container holds them, else named."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from autohair_video.media import PRESETS, ClipReader, ClipWriter
from tests.helpers.clips import make_clip
from tests.helpers.writers import write

FONT = b"not a font, but bytes" * 9


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A Matroska file with a title, two chapters, a font and a timecode."""
    clip, path = make_clip(tmp_path / "plain.mp4", pts=range(10)), tmp_path / "in.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as output:
        video = source.streams.video[0]
        stream = output.add_stream_from_template(video, opaque=True)
        output.metadata.update({"title": "A film", "comment": "of ours", "timecode": "01:00:00:00"})
        stream.metadata["language"] = "deu"
        output.add_attachment("font.ttf", "font/ttf", FONT)
        output.set_chapters([_chapter(1, 0, 200, "One"), _chapter(2, 200, 400, "Two")])
        for packet in source.demux(video):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    return path


def _chapter(number: int, start: int, end: int, title: str) -> Any:
    times = {"start": start, "end": end, "time_base": Fraction(1, 1000)}
    return {"id": number, **times, "metadata": {"title": title}}


def _chapters(container: Any) -> list[tuple[Fraction, Fraction, str]]:
    return [
        (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"]["title"])
        for c in container.chapters()
    ]


def test_matroska_keeps_all_but_the_timecode(tmp_path: Path, film: Path) -> None:
    notices: list[str] = []
    write(film, tmp_path / "out.mkv", PRESETS["ffv1-alpha"], notices=notices)
    with av.open(str(film)) as given, av.open(str(tmp_path / "out.mkv")) as found:
        assert (found.metadata["title"], found.metadata["COMMENT"]) == ("A film", "of ours")
        assert _chapters(found) == _chapters(given)
        assert found.streams.video[0].language == "deu"
        (font,) = (s for s in found.streams if s.type == "attachment")
        assert bytes(font.data) == FONT  # type: ignore[attr-defined]
    assert [line for line in notices if "timecode" not in line] == []


@pytest.mark.parametrize("name", ["prores4444", "h264"])
def test_quicktime_keeps_title_chapters_and_timecode(tmp_path: Path, film: Path, name: str) -> None:
    notices: list[str] = []
    write(film, tmp_path / "out.mov", PRESETS[name], notices=notices)
    with av.open(str(film)) as given, av.open(str(tmp_path / "out.mov")) as found:
        assert found.metadata["title"] == "A film"
        assert _chapters(found) == _chapters(given)
        assert "01:00:00:00" in {stream.metadata.get("timecode") for stream in found.streams}
    assert notices == ["attachment font.ttf was left out: only Matroska files hold any"]


def test_what_a_gif_cannot_hold_is_named(tmp_path: Path, film: Path) -> None:
    notices: list[str] = []
    write(film, tmp_path / "out.gif", PRESETS["gif"], notices=notices)
    assert [line.split(" ")[0] for line in notices] == ["2", "timecode", "attachment"]


def test_chapters_are_cut_with_a_span(tmp_path: Path, film: Path) -> None:
    with (
        ClipReader(film, start_s=0.12, end_s=0.32) as reader,
        ClipWriter(
            tmp_path / "out.mp4",
            PRESETS["h264"],
            reader.format,
            reader.time_base,
            copy_from=film,
            origin=reader.origin,
            until=reader.until,
        ) as writer,
    ):
        for batch in reader:
            writer.write(batch)
    with av.open(str(tmp_path / "out.mp4")) as found:
        begin, middle, end = Fraction(0), Fraction(8, 100), Fraction(20, 100)
        assert _chapters(found) == [(begin, middle, "One"), (middle, end, "Two")]
