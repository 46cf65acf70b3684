"""Compares times of frames, sound and subtitles of two files."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

import av
from av.packet import Packet

from autohair_video.media.clock import ContinuousClock, continuous_packets
from autohair_video.media.inputs import Source, SourceLike
from autohair_video.verify.checks import Check

# Clock resolution in seconds of containers that do not keep every tick.
_CLOCKS: Final = {
    "matroska": Fraction(1, 1000),
    "webm": Fraction(1, 1000),
    "gif": Fraction(1, 100),
    "apng": Fraction(1, 1000),
    "avi": Fraction(1, 100),
}
# Containers without a start time.
_BEGINLESS: Final = ("gif", "apng", "avi")
_SILENT: Final = ("gif", "apng", "webp", "image2")
_MICROSECOND: Final = Fraction(1, 1_000_000)
# Sound that is re-encoded has the new codec's lead-in.
_ENCODER_DELAY: Final = Fraction(60, 1000)
_COPY_SLACK: Final = Fraction(2, 1000)


@dataclass
class Timeline:
    """Begin and length of every frame, counted in ``time_base`` and moved back by ``origin`` seconds."""

    time_base: Fraction
    origin: Fraction
    pts: list[int] = field(default_factory=list)
    last_duration: int = 0

    def add(self, pts: int, duration: int) -> None:
        """Note the next frame."""
        self.pts.append(pts)
        self.last_duration = duration

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self.pts)

    def begins_s(self, index: int) -> Fraction:
        """When a frame begins, in seconds; the writer moves times back by whole ticks."""
        return (self.pts[index] - round(self.origin / self.time_base)) * self.time_base

    @property
    def length_s(self) -> Fraction:
        """From the first frame's begin to the last one's end, in seconds."""
        return (self.pts[-1] + self.last_duration - self.pts[0]) * self.time_base


@dataclass(frozen=True)
class TrackTimes:
    """A sound or subtitle track: its codec, when it begins (s), and a digest of its packets."""

    kind: str
    codec: str
    begins_s: Fraction | None
    digest: str


def compare_times(muxer: str, given: Timeline, found: Timeline) -> list[Check]:
    """Every frame's begin, and the length of the whole, within the container's clock resolution."""
    slack = _CLOCKS.get(muxer, Fraction(0))
    if not given.count or not found.count:
        return [Check("pts", False, f"{given.count} frames", f"{found.count} frames")]
    shift = given.begins_s(0) - found.begins_s(0) if muxer in _BEGINLESS else Fraction(0)
    pairs = range(min(given.count, found.count))
    worst = max(abs(given.begins_s(i) - found.begins_s(i) - shift) for i in pairs)
    allowed = f"within {_ms(slack)}" if slack else "to the tick"
    pts = Check("pts", worst <= slack, allowed, "as given" if not worst else f"off by {_ms(worst)}")
    kept = abs(given.length_s - found.length_s) <= 2 * slack
    # An APNG's last frame stays as long as the one before it.
    passed = None if muxer == "apng" and not kept else kept
    lengths = f"{float(given.length_s):.4f} s", f"{float(found.length_s):.4f} s"
    return [pts, Check("duration", passed, *lengths)]


def read_tracks(path: Source | SourceLike, *, origin: Fraction, until: Fraction | None) -> list[TrackTimes]:
    """All sound and subtitle tracks of a file between two times of it; its own clock less ``origin``."""
    source = Source.of(path)
    if source.is_sequence:
        return []
    with av.open(source.url) as container:
        streams = [s for s in container.streams if s.type in ("audio", "subtitle")]
        begins: dict[int, Fraction] = {}
        digests = {stream.index: hashlib.sha256() for stream in streams}
        for packet in continuous_packets(container, streams, ContinuousClock()) if streams else ():
            time = packet.dts if packet.pts is None else packet.pts
            if not packet.size or time is None:
                continue
            begin_s = time * packet.time_base
            if (origin and begin_s <= origin - _MICROSECOND) or (until is not None and begin_s >= until):
                continue
            begins.setdefault(packet.stream.index, begin_s - origin)
            digests[packet.stream.index].update(_payload(packet))
        return [
            TrackTimes(s.type, _codec(s), begins.get(s.index), digests[s.index].hexdigest()) for s in streams
        ]


def _payload(packet: Packet[Any]) -> bytes:
    """A packet without the ADTS header (ISO/IEC 13818-7, 6.2) that AAC has in some containers."""
    data = bytes(packet)
    is_adts = _codec(packet.stream) == "aac" and len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    return data[7 if data[1] & 1 else 9 :] if is_adts else data


def compare_tracks(
    muxer: str, given: Sequence[TrackTimes], found: Sequence[TrackTimes], times: Timeline, *, whole: bool
) -> list[Check]:
    """The offset of each sound track from the video, whether it was copied, and what was left out."""
    checks = []
    sounds = [track for track in given if track.kind == "audio"]
    heard = [track for track in found if track.kind == "audio"]
    checks.append(Check.equal("sound tracks", 0 if muxer in _SILENT else len(sounds), len(heard)))
    for number, (before, after) in enumerate(zip(sounds, heard, strict=False), 1):
        copied = before.codec == after.codec
        checks.append(_offset_check(number, before, after, times, copied=copied))
        if copied and whole:
            same = before.digest == after.digest
            checks.append(Check(f"sound {number}", same, "every packet copied", "yes" if same else "altered"))
        elif not copied:
            checks.append(Check(f"sound {number}", None, before.codec, f"{after.codec}, re-encoded"))
    subtitles = [sum(track.kind == "subtitle" for track in tracks) for tracks in (given, found)]
    if subtitles[0]:
        kept = subtitles[0] == subtitles[1]
        checks.append(Check("subtitle tracks", True if kept else None, *(str(n) for n in subtitles)))
    return checks


def _offset_check(
    number: int, before: TrackTimes, after: TrackTimes, times: Timeline, *, copied: bool
) -> Check:
    name = f"sound {number} begins"
    if before.begins_s is None or after.begins_s is None:
        return Check.equal(name, before.begins_s, after.begins_s)
    # Matroska moves a file so that nothing lies before zero, the video with the sound.
    off = abs(after.begins_s - before.begins_s)
    slack = _COPY_SLACK if copied else _ENCODER_DELAY
    begin_ms = 1000 * float(times.begins_s(0))
    return Check(
        name,
        off <= slack,
        f"{1000 * float(before.begins_s) - begin_ms:+.1f} ms from the first frame",
        f"{1000 * float(after.begins_s) - begin_ms:+.1f} ms",
    )


def _codec(stream: av.stream.Stream) -> str:
    return "unknown" if stream.codec_context is None else stream.codec_context.codec.canonical_name


def _ms(seconds: Fraction) -> str:
    return f"{1000 * float(seconds):.2f} ms"
