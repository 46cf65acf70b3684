"""Test clips, made on the fly with real encoders."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from autohair_video.media import ClipReader

NTSC_FILM = Fraction(1001, 24000)
# Durations of a phone's variable frame rate, in milliseconds.
VFR_MS = (0, 33, 67, 117, 133, 200, 233, 350, 367, 400, 467, 500)


def luma_of(index: int) -> int:
    """The level of the moving bar of frame ``index``; neighbours are far apart."""
    return 40 + 61 * index % 160


def picture(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a colour ramp, with a bright top left quarter and a bar that names the frame."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 160 // width + 40, y * 160 // height + 40, 0 * x + 90], axis=2)
    rgb[: height // 2, : width // 2] = 230
    rgb[height // 2 :, width // 2 :] = luma_of(index)
    return rgb.astype(np.uint8)


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    pts: Sequence[int] = range(12),
    time_base: Fraction = Fraction(1, 25),
    last: int = 1,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    tags: dict[str, int] | None = None,
    aspect: Fraction = Fraction(1),
    sound: str | None = None,
    container: dict[str, str] | None = None,
) -> Path:
    """A clip with a frame at each of ``pts``; the last one lasts ``last`` ticks.

    ``tags``: colorspace, color_range, color_primaries, color_trc. ``sound``: the encoder of a tone that
    covers the clip.
    """
    default = {
        "movflags": "+faststart",
        "video_track_timescale": str(time_base.denominator),
        "movie_timescale": str(time_base.denominator),
    }
    with av.open(str(path), "w", container_options=container or default) as output:
        video: Any = output.add_stream(codec, rate=round(1 / time_base) or 1)
        video.width, video.height = size
        video.pix_fmt = pixel_format
        video.time_base = video.codec_context.time_base = time_base
        video.codec_context.sample_aspect_ratio = aspect
        video.codec_context.options = options or {}
        for name, value in (tags or {}).items():
            setattr(video.codec_context, name, value)
        tone = output.add_stream(sound, rate=48000) if sound else None
        lengths = dict(zip(pts, np.diff([*pts, pts[-1] + last]).tolist(), strict=True))
        packets = []
        for index, time in enumerate(pts):
            frame = _frame(index, size, pixel_format, tags or {})
            frame.pts, frame.time_base = time, time_base
            packets += video.encode(frame)
        packets += video.encode(None)
        for packet in packets:
            packet.duration = lengths[packet.pts]
        # The durations of an MP4 track add up in decoding order.
        packets[-1].duration = pts[-1] + last - pts[0] - (packets[-1].dts - packets[0].dts)
        output.mux(packets)
        if tone is not None:
            _mux_tone(output, tone, float((pts[-1] + last) * time_base))
    return path


def make_sound(path: Path, *, codec: str = "aac", seconds: float = 0.5, channels: int = 2) -> Path:
    """A file with a tone and no video."""
    with av.open(str(path), "w") as output:
        stream: Any = output.add_stream(codec, rate=48000)
        stream.codec_context.layout = "mono" if channels == 1 else "stereo"
        _mux_tone(output, stream, seconds)
    return path


def join_tracks(clip: Path, *tones: Path, target: Path, subtitles: str | None = None) -> Path:
    """The video of one file with the sound of others, packets as they are, and a line of subtitles."""
    text: Path | None = None
    if subtitles is not None:
        text = target.with_name(f"{target.stem}.srt")
        text.write_text(f"1\n00:00:00,100 --> 00:00:00,300\n{subtitles}\n")
    files = [file for file in (clip, *tones, text) if file is not None]
    with ExitStack() as stack, av.open(str(target), "w") as output:
        sources = [stack.enter_context(av.open(str(file))).streams[0] for file in files]
        streams = [output.add_stream_from_template(source, opaque=True) for source in sources]
        for source, stream in zip(sources, streams, strict=True):
            for packet in source.container.demux(source):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    return target


def rotate_clip(path: Path, matrix: tuple[float, float, float, float]) -> Path:
    """Writes the display matrix a, b, c, d of ISO 14496-12, 8.3.2 into the first track of an MP4 file.

    A decoded point (x, y) is shown at (a x + c y, b x + d y); y points down.
    """
    data = bytearray(path.read_bytes())
    # Four bytes of type, 40 of version, times, ids and volume.
    at = data.index(b"tkhd") + 44
    a, b, c, d = (int(value * (1 << 16)) for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def raw_h264(clip: Path, target: Path) -> Path:
    """The bare stream of an H.264 clip, which knows no times."""
    with av.open(str(clip)) as source:
        stream = source.streams.video[0]
        bitstream = av.BitStreamFilterContext("h264_mp4toannexb", stream)
        packets = [out for packet in source.demux(stream) for out in bitstream.filter(packet)]
        target.write_bytes(b"".join(bytes(packet) for packet in packets))
    return target


def damage_packets(path: Path, numbers: Iterable[int]) -> Path:
    """Zeros in place of the second half of the video's packets of those numbers, in the file's order."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        places = [(packet.pos, packet.size) for packet in packets]
    data = bytearray(path.read_bytes())
    for begin, size in (places[number] for number in numbers):
        data[begin + size // 2 : begin + size] = bytes(size - size // 2)
    path.write_bytes(data)
    return path


def timeline(path: Path) -> list[tuple[Fraction, Fraction]]:
    """Begin and length of every frame in seconds, as the reader says."""
    with ClipReader(path) as reader:
        base = reader.time_base
        return [
            (pts * base, length * base)
            for batch in reader
            for pts, length in zip(batch.pts, batch.durations, strict=True)
        ]


def sound_packets(path: Path) -> list[tuple[Fraction, bytes]]:
    """Begin in seconds and bytes of every packet of the first audio stream."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        return [(p.pts * p.time_base, bytes(p)) for p in container.demux(stream) if p.size]


def _frame(index: int, size: tuple[int, int], pixel_format: str, tags: dict[str, int]) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(picture(index, *size), format="rgb24")
    frame = rgb.reformat(format=pixel_format)
    for name in ("colorspace", "color_range"):
        if name in tags:
            setattr(frame, name, tags[name])
    return frame


def _mux_tone(output: Any, stream: Any, seconds: float) -> None:
    rate, size, channels = 48000, 1024, stream.codec_context.channels
    for begin in range(0, int(seconds * rate), size):
        wave = 0.2 * np.sin(np.arange(begin, begin + size) * 2 * np.pi * 440 / rate)
        frame = av.AudioFrame.from_ndarray(
            np.tile(wave.astype(np.float32), (channels, 1)), format="fltp", layout=stream.layout.name
        )
        frame.pts, frame.sample_rate, frame.time_base = begin, rate, Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
