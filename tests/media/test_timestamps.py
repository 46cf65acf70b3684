"""Time stamps as damaged, joined and old files have them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from autohair_video.media import ClipReader, preset_named
from autohair_video.media.frame_times import TimestampFixes, rising_frames
from tests.helpers.clips import join_tracks, make_clip, make_sound, sound_packets, timeline
from tests.helpers.ffmpeg import displayed_times
from tests.helpers.writers import write


def _mended(times: Sequence[int | None], step: int = 40) -> tuple[list[int], TimestampFixes]:
    frames = []
    for time in times:
        frame = av.VideoFrame(16, 16, "gray")
        frame.pts = time
        frames.append((frame, 0))
    fixes = TimestampFixes()
    return [frame.pts for frame in rising_frames(iter(frames), step, fixes)], fixes


@pytest.mark.parametrize(
    ("times", "mended"),
    [
        ([23808, 40, 80, 120], [0, 40, 80, 120]),
        ([0, 40, 9999, 120, 160], [0, 40, 80, 120, 160]),
        ([0, 40, -500, 120, 160], [0, 40, 80, 120, 160]),
        ([0, 40, 80, 3], [0, 40, 80, 120]),
        ([0, 33, 33, 100], [0, 33, 66, 100]),
        ([0, 1, 1, 2, 3], [0, 1, 2, 3, 4]),
    ],
    ids=["first", "ahead", "behind", "last", "equal", "no room"],
)
def test_only_the_wrong_time_stamp_is_replaced(times: list[int], mended: list[int]) -> None:
    found, fixes = _mended(times)
    assert found == mended
    assert fixes.count == sum(a != b for a, b in zip(times, mended, strict=True))
    assert fixes.restarts == 0


def test_a_clock_that_starts_again_goes_on() -> None:
    found, fixes = _mended([0, 40, 80, 0, 40, 80, 120])
    assert found == [0, 40, 80, 120, 160, 200, 240]
    assert (fixes.count, fixes.restarts) == (0, 1)


@pytest.mark.parametrize("times", [[0, 40, 80], [5], [0, 1, 1000, 1001], [-80, -40, 0]])
def test_rising_times_are_kept(times: list[int]) -> None:
    found, fixes = _mended(times)
    assert found == times
    assert fixes.notice(Fraction(1, 1000), Fraction(0)) is None


def _retimed(clip: Path, target: Path, times: dict[int, int]) -> Path:
    """A copy of a clip with other pts for some of its packets, in the file's order."""
    with av.open(str(clip)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for number, packet in enumerate(packets):
            packet.stream = stream
            packet.pts = times.get(number, packet.pts)
            output.mux(packet)
    return target


def test_one_wild_time_stamp_moves_no_other_frame_and_is_named(tmp_path: Path) -> None:
    clip = make_clip(
        tmp_path / "a.mkv", options={"bf": "0"}, time_base=Fraction(1, 1000), pts=range(0, 480, 40), last=40
    )
    wild = _retimed(clip, tmp_path / "b.mkv", {5: 23_808})
    assert timeline(wild) == timeline(clip)
    with ClipReader(wild) as reader:
        list(reader)
        assert reader.truncated is None
        assert reader.notices == [
            f"{wild}: a frame's time stamp of 23.81 s does not fit its neighbours: 0.20 s was used"
        ]


def _take(folder: Path, name: str, *, sound: bool) -> Path:
    film = make_clip(folder / f"{name}.mp4", pts=range(15), options={"bf": "2", "g": "10"})
    if not sound:
        return join_tracks(film, target=folder / f"{name}.ts")
    tone = make_sound(folder / f"{name}.m4a", seconds=0.6)
    return join_tracks(film, tone, target=folder / f"{name}.ts")


@pytest.mark.parametrize("sound", [False, True], ids=["silent", "with sound"])
def test_two_joined_takes_are_one_clip(tmp_path: Path, sound: bool) -> None:
    takes = [_take(tmp_path, name, sound=sound) for name in ("a", "b")]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(take.read_bytes() for take in takes))
    with ClipReader(joined) as reader:
        begins = [pts * reader.time_base for batch in reader for pts in batch.pts]
        assert reader.truncated is None
    assert len(begins) == 30
    ours = [begin - begins[0] for begin in begins]
    assert all(abs(a - b) < Fraction(1, 1000) for a, b in zip(ours, displayed_times(joined), strict=True))
    assert all(abs(b - a - Fraction(1, 25)) < Fraction(1, 30) for a, b in pairwise(ours))
    if sound:
        out = write(joined, tmp_path / "out.mov", preset_named("prores4444"))
        tones = [begin for begin, _ in sound_packets(out)]
        assert len(tones) == len(sound_packets(joined))
        assert all(0 < b - a < Fraction(1, 20) for a, b in pairwise(tones))
        assert Fraction(11, 10) < tones[-1] < Fraction(5, 4)


def test_a_span_of_joined_takes_and_resuming_in_the_second(tmp_path: Path) -> None:
    takes = [_take(tmp_path, name, sound=False) for name in ("a", "b")]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(take.read_bytes() for take in takes))
    with ClipReader(joined, batch_size=5) as reader:
        batches = list(reader)
        points = [reader.seek_point(batch) for batch in batches]
    with ClipReader(joined, start_s=0.8) as reader:
        assert [pts for batch in reader for pts in batch.pts] == [pts for b in batches[4:] for pts in b.pts]
    with ClipReader(joined, batch_size=5) as reader:
        reader.resume_from(points[3])
        rest = list(reader)
        assert [b.pts for b in rest][-2:] == [b.pts for b in batches[4:]]


def test_b_frames_in_avi_have_constant_steps(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.avi", pts=range(14), options={"bf": "2", "b-adapt": "0"}, container={})
    steps = Fraction(1, 25)
    assert timeline(clip) == [(n * steps, steps) for n in range(14)]
    with ClipReader(clip, start_s=0.2) as reader:
        assert [pts for batch in reader for pts in batch.pts] == list(range(5, 14))
