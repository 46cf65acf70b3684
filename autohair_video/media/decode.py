"""Opens a clip and decodes its video stream, for probe and reader."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
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
from autohair_video.media.inputs import Source, SourceLike

# Packets: more than the reorder delay of any decoder.
_MOST_WAITING: Final = 256
# A URL that sends nothing for so long is given up, so that no thread stays blocked in the demuxer.
_STALL_S: Final = 30.0
# FFmpeg's own VP8 and VP9 decoders ignore alpha.
_ALPHA_DECODERS: Final = {"vp9": "libvpx-vp9", "vp8": "libvpx"}
# The clock of these containers starts anywhere: a recording may begin at hour 20, between two key frames.
FREE_CLOCKS: Final = ("mpegts", "mpeg")


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
    if path.is_dir():
        raise InputError(f"{path} is a folder: name one {what} in it")
    if not path.exists():
        raise InputError(f"{what} {path} does not exist")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes)")


def reason(exc: Exception) -> str:
    """The short text of an FFmpeg or system error, without numbers and file names."""
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__


def decoder_with_alpha(stream: VideoStream) -> VideoCodecContext:
    """The stream's decoder, or one that keeps alpha."""
    name = _ALPHA_DECODERS.get(stream.codec_context.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode") != "1":
        return stream.codec_context
    return cast(VideoCodecContext, av.CodecContext.create(name, "r"))


def decoded_frames(
    container: InputContainer, stream: VideoStream, damage: list[DecodeDamage], *, keep_alpha: bool = False
) -> Iterator[tuple[VideoFrame, int]]:
    """Frames in display order, each with its packet's duration in ticks (0: unknown).

    ``keep_alpha``: use a decoder that keeps alpha, which may be slower.

    What cannot be read or decoded is skipped; ``damage`` gets the first of it. What a
    broadcast recording has before its first key frame is no damage.
    """
    durations: dict[int, int] = {}
    context = decoder_with_alpha(stream) if keep_alpha else None
    begin_s = Fraction(container.start_time or 0, av.time_base)
    has_begun = container.format.name not in FREE_CLOCKS
    for packet in _packets(container, stream, damage):
        if packet.is_corrupt and has_begun:
            _note(damage, "a packet is cut short", packet, begin_s)
        if packet.pts is not None and packet.duration:
            durations[packet.pts] = packet.duration
            if len(durations) > _MOST_WAITING:
                # Not every packet becomes a frame of its own: two fields make one.
                del durations[next(iter(durations))]
        try:
            flushing = None if packet.size == 0 else packet
            frames = packet.decode() if context is None else context.decode(flushing)
        except av.FFmpegError as exc:
            if has_begun:
                _note(damage, f"a packet cannot be decoded ({reason(exc)})", packet, begin_s)
            continue
        for frame in frames:
            has_begun = True
            if frame.is_corrupt:
                _note(damage, "a frame is decoded in part", frame, begin_s)
            yield frame, durations.pop(frame.pts, 0) if frame.pts is not None else 0


def _packets(
    container: InputContainer, stream: VideoStream, damage: list[DecodeDamage]
) -> Iterator[Packet[Any]]:
    """The stream's packets, last the empty one that flushes; a broken file just ends."""
    try:
        yield from container.demux(stream)
    except av.FFmpegError as exc:
        _note(damage, f"reading stopped ({reason(exc)})")
        flush: Packet[Any] = Packet()
        flush.stream = stream
        yield flush


def _note(
    damage: list[DecodeDamage],
    line: str,
    place: Packet[Any] | VideoFrame | None = None,
    begin_s: Fraction = Fraction(0),
) -> None:
    if damage:
        return
    if place is None or place.pts is None or not place.time_base:
        damage.append(DecodeDamage(line))
        return
    time_s = place.pts * place.time_base
    # Frame-threaded decoders report an error some frames later.
    damage.append(DecodeDamage(f"near {float(time_s - begin_s):.2f} s {line}", time_s))


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
