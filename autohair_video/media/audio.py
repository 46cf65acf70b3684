"""Copies the sound and subtitles of one clip into another while its video is being written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from autohair_video.errors import InputError
from autohair_video.media.clock import ContinuousClock, continuous_packets, may_jump
from autohair_video.media.decode import check_input_file, reason
from autohair_video.media.inputs import Source
from autohair_video.media.metadata import copy_metadata

# Codecs that players and editors read in each container; None: all that FFmpeg can mux.
_SOUND: Final[Mapping[str, frozenset[str] | None]] = MappingProxyType(
    {
        "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"}),
        "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s16be"})
        | {"pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_alaw", "pcm_mulaw"},
        "webm": frozenset({"opus", "vorbis"}),
        "avi": frozenset({"mp3", "ac3", "pcm_s16le", "pcm_s24le", "pcm_u8"}),
        "matroska": None,
    }
)
_SUBTITLES: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "mp4": frozenset({"mov_text"}),
        "mov": frozenset({"mov_text"}),
        "webm": frozenset({"webvtt"}),
        "matroska": frozenset({"subrip", "ass", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle"}),
    }
)
_ENCODERS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "mp4": ("aac", "AAC"),
        "mov": ("aac", "AAC"),
        "webm": ("libopus", "Opus"),
        "avi": ("pcm_s16le", "PCM"),
    }
)
_LAYOUTS: Final = MappingProxyType({1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"})
_BITS_PER_CHANNEL: Final = 96_000
_AAC_LIMIT: Final = 96_000
# Less than this is no loss: encoders differ by their delay and padding.
_CUT_OFF_S: Final = Fraction(1, 2)
# Interleaving: audio packets lie within this distance of their video in a well-made file.
_SEEK_MARGIN_S: Final = 2
# FFmpeg's start of a file, which an origin can be, is rounded to this.
_MICROSECOND: Final = Fraction(1, 1_000_000)


class PacketCopier:
    """Feeds the audio and subtitle packets of ``source`` to ``output``, in step with its video.

    Every stream is added to ``output`` on creation: packets as they are where the container holds
    the codec, audio re-encoded where it does not, other subtitles left out; ``notices`` has a
    line for each of those. All times are moved back by ``origin`` seconds; where that is not 0,
    packets that begin before it are dropped, and so are packets from ``until`` (seconds in the
    source) on.

    The source is demuxed a second time, beside the video's own reader: one packet is held and no
    more.

    Raises:
        InputError: ``source`` cannot be opened.
    """

    def __init__(
        self,
        source: str | Path,
        output: OutputContainer,
        muxer: str,
        *,
        origin: Fraction,
        until: Fraction | None,
    ) -> None:
        check_input_file(source, "clip")
        try:
            self._source = av.open(Source.of(source).url)
        except (av.FFmpegError, OSError, ValueError) as exc:
            raise InputError(f"cannot read the sound of {source} ({reason(exc)})") from exc
        self.notices: list[str] = []
        self._output, self._muxer = output, muxer
        self._origin, self._until = origin, until
        self._tracks: dict[int, _Copied | _Encoded] = {}
        self._ends: dict[int, Fraction] = {}
        for number, sound in enumerate(self._source.streams.audio, 1):
            self._add_sound(sound, number)
        for number, subtitles in enumerate(self._source.streams.subtitles, 1):
            self._add_subtitles(subtitles, number)
        self.notices += copy_metadata(self._source, output, muxer, origin=origin, until=until)
        self._waiting = self._read()
        self._next = next(self._waiting, None)

    def advance(self, time_s: Fraction) -> None:
        """Writes all packets that are due by ``time_s`` seconds of the output."""
        while self._next is not None and _begin_s(self._next) - self._origin <= time_s:
            self._output.mux(self._tracks[self._next.stream.index].packets(self._next))
            self._next = next(self._waiting, None)

    def finish(self, end_s: Fraction | None = None) -> None:
        """Writes all that is left, or all that begins before ``end_s`` seconds of the output."""
        while self._next is not None and (end_s is None or _begin_s(self._next) - self._origin < end_s):
            self.advance(_begin_s(self._next) - self._origin)
        for track in self._tracks.values():
            self._output.mux(track.flush())
        if end_s is None and self._until is None:
            self.notices += self._cut_off()
        self.notices += self._retimed()

    def close(self) -> None:
        """Closes the source."""
        self._source.close()

    def _add_sound(self, stream: AudioStream, number: int) -> None:
        codec = _codec_name(stream)
        held = _SOUND.get(self._muxer, frozenset())
        if codec is None:
            self.notices.append(f"sound track {number} has an unknown codec and was left out")
        elif held == frozenset():
            self.notices.append(f"sound track {number} was left out: {self._label} hold none")
        elif held is None or codec in held:
            self._tracks[stream.index] = _Copied(stream, self._output, self._origin)
        else:
            encoder, label = _ENCODERS[self._muxer]
            self._tracks[stream.index] = _Encoded(stream, self._output, self._origin, encoder)
            self.notices.append(
                f"sound track {number} ({codec}) was re-encoded as {label}: {self._label} do not hold {codec}"
            )

    def _add_subtitles(self, stream: SubtitleStream, number: int) -> None:
        codec = _codec_name(stream)
        if codec in _SUBTITLES.get(self._muxer, frozenset()):
            self._tracks[stream.index] = _Copied(stream, self._output, self._origin)
        else:
            self.notices.append(
                f"subtitle track {number} ({codec or 'unknown codec'}) was left out: "
                f"{self._label} do not hold it"
            )

    def _cut_off(self) -> Iterator[str]:
        """A line for each sound track that is much shorter than the container says."""
        for number, stream in enumerate(self._source.streams.audio, 1):
            if stream.index not in self._tracks or not stream.duration or not stream.time_base:
                continue
            length_s = ((stream.start_time or 0) + stream.duration) * stream.time_base
            end_s = self._ends.get(stream.index, Fraction(0))
            if end_s < length_s - _CUT_OFF_S:
                yield f"sound track {number} breaks off at {float(end_s):.2f} s of {float(length_s):.2f} s"

    def _retimed(self) -> Iterator[str]:
        """A line for each track with time stamps that did not rise."""
        for index, track in self._tracks.items():
            if isinstance(track, _Copied) and track.retimed:
                yield (
                    f"track {index} ({self._source.streams[index].type}): {track.retimed} packets had time "
                    "stamps that do not rise, and were moved behind those before them"
                )

    @property
    def _label(self) -> str:
        return "image sequences" if self._muxer == "image2" else f"{self._muxer} files"

    def _read(self) -> Iterator[Packet[Any]]:
        """The packets between origin and until; a damaged file just ends."""
        streams = [self._source.streams[index] for index in self._tracks]
        if not streams:
            return
        try:
            # Where the clock may start again, one time stands for several places.
            if self._origin > _SEEK_MARGIN_S and not may_jump(self._source):
                self._source.seek(int((self._origin - _SEEK_MARGIN_S) * av.time_base))
            for packet in continuous_packets(self._source, streams, ContinuousClock()):
                if packet.size and not packet.is_corrupt and self._is_wanted(packet):
                    self._ends[packet.stream.index] = _begin_s(packet) + _length_s(packet)
                    yield packet
        except av.FFmpegError as exc:
            self.notices.append(f"the sound breaks off: {reason(exc)}")

    def _is_wanted(self, packet: Packet[Any]) -> bool:
        begin_s = _begin_s(packet)
        return (not self._origin or begin_s > self._origin - _MICROSECOND) and (
            self._until is None or begin_s < self._until
        )


class _Copied:
    """A stream whose packets are written as they are.

    ``retimed``: packets whose decoding time did not rise, which muxers refuse: they were moved behind the one
    before, as ffmpeg does.
    """

    def __init__(self, stream: Stream, output: OutputContainer, origin: Fraction) -> None:
        self._output = output.add_stream_from_template(stream)
        self._output.metadata.update(stream.metadata)
        self._shift = _ticks(origin, stream)
        self._next_dts: int | None = None
        # Lines of subtitles may begin together.
        self._least_step = 1 if stream.type == "audio" else 0
        self.retimed = 0

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        pts = packet.dts if packet.pts is None else packet.pts
        dts = pts if packet.dts is None else packet.dts
        if pts is None or dts is None:
            return []
        pts, dts = pts - self._shift, dts - self._shift
        if self._next_dts is not None and dts < self._next_dts:
            self.retimed += 1
            pts, dts = max(pts, self._next_dts), self._next_dts
        self._next_dts = dts + self._least_step
        packet.pts, packet.dts = max(pts, dts), dts
        packet.stream = self._output
        return [packet]

    def flush(self) -> list[Packet[Any]]:
        return []


class _Encoded:
    """An audio stream that is decoded and encoded with a codec that the container holds."""

    def __init__(self, stream: AudioStream, output: OutputContainer, origin: Fraction, encoder: str) -> None:
        channels = stream.codec_context.channels
        layout = _LAYOUTS.get(channels, "stereo")
        rate = stream.codec_context.sample_rate
        if encoder == "libopus" or rate > _AAC_LIMIT:
            rate = 48_000
        self._input = stream
        self._output = cast(AudioStream, output.add_stream(encoder, rate=rate))
        self._output.codec_context.layout = layout
        self._output.codec_context.bit_rate = _BITS_PER_CHANNEL * max(1, channels)
        self._output.metadata.update(stream.metadata)
        self._shift = _ticks(origin, stream)

    def packets(self, packet: Packet[Any]) -> list[Packet[Any]]:
        try:
            frames = self._input.decode(packet)
        except av.FFmpegError:
            return []
        return [out for frame in frames for out in self._encode(frame)]

    def flush(self) -> list[Packet[Any]]:
        packets = [out for frame in self._input.decode() for out in self._encode(frame)]
        return packets + self._output.encode(None)

    def _encode(self, frame: AudioFrame) -> list[Packet[Any]]:
        if frame.pts is not None:
            frame.pts -= self._shift
        return self._output.encode(frame)


def _codec_name(stream: Stream) -> str | None:
    return None if stream.codec_context is None else stream.codec_context.codec.canonical_name


def _ticks(seconds: Fraction, stream: Stream) -> int:
    return round(seconds / stream.time_base) if stream.time_base else 0


def _begin_s(packet: Packet[Any]) -> Fraction:
    """When a packet begins, in seconds of its file; 0 if it does not say."""
    time = packet.dts if packet.pts is None else packet.pts
    return Fraction(0) if time is None else time * packet.time_base


def _length_s(packet: Packet[Any]) -> Fraction:
    return (packet.duration or 0) * packet.time_base
