"""What a clip holds: streams, times, rotation and colour, found by decoding its first frame."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from autohair_video.errors import InputError
from autohair_video.frames import MATRIX_BT470BG, MATRIX_RGB, UNSPECIFIED, FrameFormat
from autohair_video.media.colour import effective_matrix
from autohair_video.media.decode import decoded_frames, open_clip
from autohair_video.media.hdr import HdrMetadata, read_hdr_metadata
from autohair_video.media.inputs import Source, SourceLike
from autohair_video.media.orientation import Orientation, read_orientation
from autohair_video.media.pixel_formats import RANGE_FULL, RANGE_LIMITED, native_format

_RESERVED: Final = 3
# How Matroska writes a stream's length.
_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class TrackInfo:
    """An audio or subtitle stream; ``channels`` and ``sample_rate`` are 0 for subtitles."""

    index: int
    kind: str
    codec: str
    language: str | None = None
    channels: int = 0
    sample_rate: int = 0


@dataclass(frozen=True)
class ClipInfo:
    """What a clip holds. ``format`` is that of the frames as the reader hands them out.

    ``orientation`` is how the reader rotates and mirrors the frames as their display matrix says.
    ``native_format`` is the pixel format that they pass through before.
    ``is_vfr`` is a hint only: the container's average and base rates disagree.
    """

    path: Path
    container: str
    duration_s: float | None
    codec: str
    pixel_format: str
    native_format: str
    format: FrameFormat
    orientation: Orientation
    rate: Fraction | None
    is_vfr: bool
    frames: int | None
    has_alpha: bool
    audio: tuple[TrackInfo, ...]
    subtitles: tuple[TrackInfo, ...]
    is_still: bool
    is_interlaced: bool = False
    hdr: HdrMetadata | None = None

    @property
    def rotation(self) -> int:
        """`Orientation.rotation`, in degrees counter-clockwise."""
        return self.orientation.rotation

    @property
    def expected_frames(self) -> int | None:
        """How many frames there should be, for a progress line; None where nothing is known."""
        if self.frames or not self.duration_s or not self.rate:
            return self.frames
        return max(1, round(self.duration_s * float(self.rate)))


def probe(path: Source | SourceLike) -> ClipInfo:
    """Opens a clip, decodes its first frame and says what is in it.

    Raises:
        InputError: the file is missing, a folder, empty, not a video, has no video stream (only
            sound, say), or not one frame of it can be decoded.
    """
    path = Source.of(path)
    container, stream = open_clip(path)
    with container:
        first = next(decoded_frames(container, stream, []), None)
        if first is None:
            raise undecodable(path)
        return describe(path, container, stream, first[0])


def undecodable(path: Source) -> InputError:
    """What to raise for a clip without a single good frame."""
    return InputError(f"{path} holds a video stream, but not one frame of it can be decoded")


def describe(path: Source, container: InputContainer, stream: VideoStream, first: VideoFrame) -> ClipInfo:
    """`probe` for a clip that is already open and whose first frame has been decoded."""
    orientation = read_orientation(first)
    rate, base_rate = stream.average_rate, stream.base_rate
    return ClipInfo(
        path=Path(str(path)),
        container=container.format.name,
        duration_s=stream_duration(container, stream),
        codec=stream.codec_context.codec.canonical_name,
        pixel_format=first.format.name,
        native_format=native_format(first.format, quarter_turn=orientation.transposed),
        format=_delivered_format(stream, first, orientation),
        orientation=orientation,
        rate=rate or None,
        is_vfr=bool(rate and base_rate and abs(rate / base_rate - 1) > 0.01),
        frames=stream.frames or None,
        has_alpha=any(part.is_alpha for part in first.format.components)
        or stream.metadata.get("alpha_mode") == "1",
        audio=tuple(_track(s) for s in container.streams.audio),
        subtitles=tuple(_track(s) for s in container.streams.subtitles),
        is_still=path.is_still,
        is_interlaced=bool(first.interlaced_frame),
        hdr=read_hdr_metadata(first),
    )


def stream_duration(container: InputContainer, stream: Stream) -> float | None:
    """Length of one stream in seconds, or of the file where only that is known."""
    own_s = _own_duration(stream)
    if own_s is not None:
        return own_s
    return container.duration / av.time_base if container.duration else None


def has_own_duration(stream: Stream) -> bool:
    """Whether the container stores the length of this stream, not only that of the file."""
    return _own_duration(stream) is not None


def _own_duration(stream: Stream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    for name, value in stream.metadata.items():
        clock = _CLOCK.fullmatch(value)
        if name.upper().startswith("DURATION") and clock:
            hours, minutes, seconds = clock.groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return None


def content_end(path: Source) -> float:
    """When the last packet of any stream ends, in seconds of the file; demuxes all of it, decodes nothing."""
    container, _ = open_clip(path)
    end_s = 0.0
    with container:
        try:
            for packet in container.demux():
                if packet.pts is not None and packet.size:
                    end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except av.FFmpegError:
            return end_s
    return end_s


def _track(stream: Stream) -> TrackInfo:
    context = stream.codec_context
    codec = context.codec.canonical_name if context is not None else "unknown"
    if stream.type != "audio" or context is None:
        return TrackInfo(stream.index, stream.type, codec, stream.language)
    return TrackInfo(
        stream.index,
        stream.type,
        codec,
        stream.language,
        channels=context.channels,  # type: ignore[attr-defined]
        sample_rate=context.sample_rate,  # type: ignore[attr-defined]
    )


def _delivered_format(stream: VideoStream, frame: VideoFrame, orientation: Orientation) -> FrameFormat:
    """The format of the reader's frames: a native layout, upright, tags as in the clip."""
    context = stream.codec_context
    native = av.VideoFormat(native_format(frame.format, quarter_turn=orientation.transposed))
    gray = len(native.components) == 1
    fmt = FrameFormat(
        width=frame.width,
        height=frame.height,
        bit_depth=native.components[0].bits,
        subsample_x=2 if gray else 32 // native.chroma_width(32),
        subsample_y=2 if gray else 32 // native.chroma_height(32),
        matrix=MATRIX_RGB if native.is_rgb else _matrix(stream, frame),
        full_range=native.is_rgb or _is_full_range(frame),
        primaries=context.color_primaries or UNSPECIFIED,
        transfer=context.color_trc or UNSPECIFIED,
        sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(1),
    )
    return _turned(fmt) if orientation.transposed else fmt


def _turned(fmt: FrameFormat) -> FrameFormat:
    """``fmt`` after a quarter turn."""
    return replace(
        fmt,
        width=fmt.height,
        height=fmt.width,
        # An unspecified matrix goes by the size as coded; the turned size could be taken otherwise.
        matrix=effective_matrix(fmt),
        sample_aspect_ratio=1 / fmt.sample_aspect_ratio,
    )


def _matrix(stream: VideoStream, frame: VideoFrame) -> int:
    """The frame's matrix, or the container's; reserved codes and RGB count as unspecified."""
    for code in (frame.colorspace, stream.codec_context.colorspace):
        if code not in (MATRIX_RGB, UNSPECIFIED, _RESERVED):
            return int(code)
    # RFC 6386, 9.2: VP8 has no other, and of its decoders only FFmpeg's own says so.
    return MATRIX_BT470BG if stream.codec_context.codec.canonical_name == "vp8" else UNSPECIFIED


def _is_full_range(frame: VideoFrame) -> bool:
    name = frame.format.name
    if name.startswith(("gray", "mono", "ya")):
        # FFmpeg takes gray that says nothing for full range.
        return frame.color_range != RANGE_LIMITED
    return name.startswith("yuvj") or frame.color_range == RANGE_FULL
