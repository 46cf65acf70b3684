"""Animated WebP, which FFmpeg does not decode, as a clip that it does."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from PIL import Image, ImageSequence

from autohair_video.errors import InputError
from autohair_video.media.temporary import temporary_folder

# Seconds; WebP counts in milliseconds.
_TICK: Final = Fraction(1, 1000)
# Milliseconds; browsers show frames without a duration for so long.
_UNSPECIFIED_MS: Final = 100


def webp_as_clip(path: Path) -> Path:
    """A lossless clip of an animation's frames, alpha and times, which lasts as long as the process.

    Raises:
        InputError: it cannot be read, or the folder for temporary files (TMPDIR) is full.
    """
    state = path.stat()
    return _converted(path.resolve(), state.st_mtime_ns, state.st_size)


@cache
def _converted(path: Path, _changed: int, _size: int) -> Path:
    target = temporary_folder() / "animation.mov"
    clock = {"video_track_timescale": str(_TICK.denominator), "movie_timescale": str(_TICK.denominator)}
    try:
        with Image.open(path) as image, av.open(str(target), "w", container_options=clock) as output:
            _write(image, output)
    except (OSError, ValueError, EOFError, SyntaxError, Image.DecompressionBombError) as exc:
        raise InputError(f"{path} cannot be decoded as WebP to {tempfile.gettempdir()} ({exc})") from exc
    return target


def _write(image: Image.Image, output: Any) -> None:
    has_alpha = "A" in image.mode
    stream = output.add_stream("png", rate=_TICK.denominator)
    stream.width, stream.height = image.size
    stream.pix_fmt = "rgba" if has_alpha else "rgb24"
    stream.time_base = stream.codec_context.time_base = _TICK
    for pts, duration, pixels in _frames(image, "RGBA" if has_alpha else "RGB"):
        frame = av.VideoFrame.from_ndarray(pixels, format=stream.pix_fmt)
        frame.pts, frame.time_base = pts, _TICK
        for packet in stream.encode(frame):
            packet.duration = duration
            output.mux(packet)


def _frames(image: Image.Image, mode: str) -> Iterator[tuple[int, int, np.ndarray[Any, Any]]]:
    pts = 0
    for frame in ImageSequence.Iterator(image):
        frame.load()
        duration = int(frame.info.get("duration", 0)) or _UNSPECIFIED_MS
        yield pts, duration, np.asarray(frame.convert(mode))
        pts += duration
