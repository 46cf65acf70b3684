"""Opens a clip and decodes its video stream, for probe and reader."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from autohair_video.errors import InputError
from autohair_video.media.clock import (
    ContinuousClock,
    continuous_packets,
    from_key_frame_before,
    may_jump,
)
from autohair_video.media.frame_loss import FrameLossDetector, UnreadBytes
from autohair_video.media.inputs import Source, SourceLike, exists

# Characters of a path in a message: no file system takes longer names.
_LONGEST_SHOWN: Final = 300
# Packets: more than the reorder delay of any decoder.
_MOST_WAITING: Final = 256
# A URL that sends nothing for so long is given up, so that no thread stays blocked in the demuxer.
_STALL_S: Final = 30.0
# FFmpeg's own VP8 and VP9 decoders ignore alpha.
_ALPHA_DECODERS: Final = {"vp9": "libvpx-vp9", "vp8": "libvpx"}
# The clock of these containers starts anywhere: a recording may begin at hour 20, between two key frames.
FREE_CLOCKS: Final = ("mpegts", "mpeg")
_WITHOUT_PTS: Final = ("avi",)
# Packets between the one that is marked as cut short and the jump of the clock, where recordings were joined.
_JOINT_PACKETS: Final = 8


class DecodeDamage(NamedTuple):
    """What could not be read or decoded, and at which time of the stream, in seconds, if that is known."""

    line: str
    time_s: Fraction | None = None


def open_clip(path: Source | SourceLike) -> tuple[InputContainer, VideoStream]:
    """The opened container and its main video stream, set to decode on all cores.

    Raises:
        InputError: the file is missing, a folder, empty, not a video, or has no video stream (only
            sound).
    """
    source = Source.of(path)
    demuxer, options = source.demuxer
    if not source.is_sequence:
        check_input_file(path, "clip")
    try:
        timeout = _STALL_S if source.is_url else None
        container = av.open(source.url, format=demuxer, options=options, timeout=timeout)
    except (av.FFmpegError, OSError, ValueError) as exc:
        raise InputError(f"{path} is not a video that FFmpeg can read ({reason(exc)})") from exc
    try:
        stream = _main_video_stream(source, container)
    except InputError:
        container.close()
        raise
    stream.thread_type = "AUTO"
    stream.codec_context.options = source.decoder_options
    return container, stream


def check_input_file(source: Source | SourceLike, what: str) -> None:
    """Raises InputError unless ``source`` is a file with something in it, or a URL."""
    source = Source.of(source)
    if source.is_url:
        return
    path = Path(source.location)
    if not exists(path):
        raise InputError(f"{what} {_shortened(path)} does not exist")
    if path.is_dir():
        raise InputError(f"{path} is a folder: name one {what} in it")
    if path.is_fifo():
        raise InputError(f"{path} is a pipe, which cannot be read twice: name a file, or - for input")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")


def _shortened(path: Path) -> str:
    """A path for a message, which may be longer than any line."""
    return str(path) if len(str(path)) <= _LONGEST_SHOWN else f"{str(path)[:_LONGEST_SHOWN]}..."


def reason(exc: Exception) -> str:
    """The short text of an FFmpeg or system error, without numbers and file names."""
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def has_no_pts(container: InputContainer) -> bool:
    """Whether the container stores frames in decoding order, at a constant rate and without a pts (AVI)."""
    return container.format.name in _WITHOUT_PTS


def decoder_with_alpha(stream: VideoStream) -> VideoCodecContext:
    """The stream's decoder, or one that keeps alpha."""
    name = _ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    return cast(VideoCodecContext, av.CodecContext.create(name, "r"))


def decoded_frames(
    container: InputContainer,
    stream: VideoStream,
    damage: list[DecodeDamage],
    *,
    keep_alpha: bool = False,
    from_tick: int | None = None,
) -> Iterator[tuple[VideoFrame, int]]:
    """Frames in display order, each with its packet's duration in ticks (0: unknown).

    ``keep_alpha``: use a decoder that keeps alpha, which may be slower. ``from_tick``: read but do not
    decode what lies more than two key frames before this pts.

    What cannot be read or decoded is skipped; ``damage`` gets the first of it. What a
    broadcast recording has before its first key frame is no damage.
    """
    clock = ContinuousClock()
    losses = FrameLossDetector(stream)
    packets = _packets(container, stream, damage, clock, losses)
    if from_tick is not None:
        packets = from_key_frame_before(packets, from_tick)
    decoder = _Decoder(container, stream, damage, clock, losses, keep_alpha=keep_alpha)
    for packet in packets:
        yield from decoder.decode(packet)
    decoder.finish()


class _Decoder:
    """Decodes packets, times frames as their container means it, and notes damage."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        damage: list[DecodeDamage],
        clock: ContinuousClock,
        losses: FrameLossDetector,
        *,
        keep_alpha: bool,
    ) -> None:
        self._context = decoder_with_alpha(stream) if keep_alpha else None
        self._damage, self._base = damage, stream.time_base or Fraction(1)
        self._begin_s = Fraction(container.start_time or 0, av.time_base)
        self._has_begun = container.format.name not in FREE_CLOCKS
        self._durations: dict[int, int] = {}
        self._clock, self._may_jump = clock, may_jump(container)
        self._packets = 0
        self._cut_short: list[tuple[int, int, int | None]] = []
        self._losses = losses
        # Frames in display order take the decoding times, sorted: FFmpeg makes the pts up.
        self._decoding_times: list[int] | None = [] if has_no_pts(container) else None

    def decode(self, packet: Packet[Any]) -> Iterator[tuple[VideoFrame, int]]:
        """The frames that are ready after one packet; an empty one flushes."""
        self._note_corrupt(packet)
        self._add(packet)
        try:
            flushing = None if packet.size == 0 else packet
            frames = packet.decode() if self._context is None else self._context.decode(flushing)
        except av.FFmpegError as exc:
            if self._has_begun:
                self._note(f"a packet cannot be decoded ({reason(exc)})", packet.pts)
            return
        for frame in frames:
            self._has_begun = True
            if frame.is_corrupt:
                self._note("a frame is decoded in part", frame.pts)
            yield frame, self._timed(frame)

    def finish(self) -> None:
        """After the last frame: notes those that are missing."""
        self._note_missing(self._losses.finish())

    def _add(self, packet: Packet[Any]) -> None:
        if self._decoding_times is not None:
            if packet.size and packet.dts is not None:
                heappush(self._decoding_times, packet.dts)
            return
        if self._has_begun:
            self._losses.add_packet(packet)
        if packet.pts is not None and packet.duration:
            self._durations[packet.pts] = packet.duration
            if len(self._durations) > _MOST_WAITING:
                # Not every packet becomes a frame of its own: two fields make one.
                del self._durations[next(iter(self._durations))]

    def _timed(self, frame: VideoFrame) -> int:
        """Sets the frame's pts where the container has none; returns its packet's duration."""
        if self._decoding_times is not None:
            frame.pts = heappop(self._decoding_times) if self._decoding_times else None
            return 0
        if frame.pts is None:
            return 0
        duration = self._durations.pop(frame.pts, 0)
        self._note_missing(self._losses.add_frame(frame.pts, duration))
        return duration

    def _note_corrupt(self, packet: Packet[Any]) -> None:
        """Notes a packet that the demuxer says is cut short, unless it lies where two recordings were joined.

        There the counters of a transport stream break off, with nothing lost.
        """
        if self._cut_short and self._clock.jumps > self._cut_short[0][0]:
            self._cut_short.clear()
        if packet.is_corrupt and self._has_begun:
            self._cut_short.append((self._clock.jumps, self._packets, packet.pts))
        patience = _JOINT_PACKETS if self._may_jump and packet.size else 0
        if self._cut_short and self._packets - self._cut_short[0][1] >= patience:
            self._note("a packet is cut short", self._cut_short[0][2])
        self._packets += 1

    def _note_missing(self, tick: int | None) -> None:
        if tick is not None:
            self._note("frames are missing", tick)

    def _note(self, line: str, pts: int | None) -> None:
        note_damage(self._damage, line, None if pts is None else pts * self._base, self._begin_s)


def _packets(
    container: InputContainer,
    stream: VideoStream,
    damage: list[DecodeDamage],
    clock: ContinuousClock,
    losses: FrameLossDetector,
) -> Iterator[Packet[Any]]:
    """The stream's packets, last the empty one that flushes; a broken file just ends."""
    # Alpha of VP8 and VP9 lies in bytes of its own between the packets.
    is_checked = "matroska" in container.format.name and stream.metadata.get("alpha_mode") != "1"
    try:
        if is_checked:
            yield from _checked_for_holes(container, stream, losses)
        else:
            yield from continuous_packets(container, [stream], clock)
    except av.FFmpegError as exc:
        note_damage(damage, f"reading stopped ({reason(exc)})")
        flush: Packet[Any] = Packet()
        flush.stream = stream
        yield flush


def _checked_for_holes(
    container: InputContainer, stream: VideoStream, losses: FrameLossDetector
) -> Iterator[Packet[Any]]:
    unread = UnreadBytes()
    for packet in container.demux():
        if unread.before(packet):
            losses.add_hole()
        if packet.stream.index == stream.index:
            yield packet


def note_damage(
    damage: list[DecodeDamage],
    line: str,
    time_s: Fraction | None = None,
    begin_s: Fraction = Fraction(0),
) -> None:
    """Keep the first damage of a clip, with its time in the stream."""
    if damage:
        return
    # Frame-threaded decoders report an error some frames later.
    where = "" if time_s is None else f"near {float(time_s - begin_s):.2f} s "
    damage.append(DecodeDamage(f"{where}{line}", time_s))


def _main_video_stream(path: Source, container: InputContainer) -> VideoStream:
    films = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    # FFmpeg takes any text file for ANSI art.
    if container.format.name == "tty" or not films:
        if container.streams.audio:
            raise InputError(f"{path} holds sound but no video stream")
        raise InputError(f"{path} is not a video: it has no video stream")
    best = container.streams.best("video")
    stream = best if best is not None and best in films else films[0]
    if stream.codec_context is None:
        raise InputError(f"the video stream of {path} has a codec that this FFmpeg cannot decode")
    return stream
