"""Clips as batches of planes: demuxed, decoded, turned upright, with the stream's own pts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, dropwhile, islice, takewhile
from math import ceil, isfinite
from threading import Lock
from types import TracebackType
from typing import Final

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from torch import Tensor

from autohair_video.errors import InputError, OptionError
from autohair_video.frames import FrameBatch
from autohair_video.media.clock import may_jump
from autohair_video.media.decode import (
    FREE_CLOCKS,
    DecodeDamage,
    decoded_frames,
    has_no_pts,
    open_clip,
)
from autohair_video.media.deinterlace import Deinterlacer
from autohair_video.media.frame_times import TimedFrame, TimestampFixes, timed_frames
from autohair_video.media.inputs import Source, SourceLike
from autohair_video.media.pixel_formats import Samples, to_native, view_alpha, view_planes
from autohair_video.media.probe import (
    content_end,
    describe,
    has_own_duration,
    stream_duration,
    undecodable,
)
from autohair_video.media.seek_point import SeekPoint, digest_of

_MICROSECOND: Final = Fraction(1, 1_000_000)


class ClipReader:
    """Iterates over a clip, once, as `FrameBatch` of at most ``batch_size`` frames on the CPU.

    All pts are the stream's own. ``start_s`` and ``end_s`` count from the beginning of the clip; the
    frames that begin in between are delivered. Rotation metadata is applied; interlaced frames are made
    whole unless ``deinterlace`` is false. All batches have the one ``format``: a frame that changes size
    or pixel format on the way is scaled to it. Memory does not grow with the clip.

    Opening decodes the first frame, so all attributes but ``truncated`` are known at once:

    ``info``: what `probe` says.
    ``format``, ``time_base``: those of every batch.
    ``origin``: seconds that a writer must subtract from all times: 0 for a whole clip, the first
    frame's time after ``start_s`` or where that is negative, and the container's start where its
    clock begins anywhere (MPEG transport and program streams).
    ``until``: the stream time in seconds where ``end_s`` cuts, or None.
    ``truncated``: after the last batch, one line about what could not be read, or None.
    ``notices``: after the last batch, one line for each other thing about the clip.

    Raises:
        InputError: as `probe`, or no frame lies between ``start_s`` and ``end_s``.
        OptionError: the batch size or the span makes no sense.
    """

    def __init__(
        self,
        path: Source | SourceLike,
        *,
        batch_size: int = 8,
        start_s: float | None = None,
        end_s: float | None = None,
        deinterlace: bool = True,
        keep_alpha: bool = False,
    ) -> None:
        _check_options(batch_size, start_s or 0, end_s)
        self._path = Source.of(path)
        self._batch_size, self._keep_alpha = batch_size, keep_alpha
        self._span = start_s or 0, end_s
        self._damage: list[DecodeDamage] = []
        self._last: TimedFrame | None = None
        self.truncated: str | None = None
        self._resized: str | None = None
        self._fixes = TimestampFixes()
        self._retimed_before: str | None = None
        self._first_s: Fraction | None = None
        self._deinterlace = Deinterlacer() if deinterlace else None
        # Held while packets are read. `prefetch` reads on a thread that it leaves behind if it is blocked.
        self._reading = Lock()
        self._container, self._stream = open_clip(self._path)
        # Kept, as notices are read after the file was closed.
        self._container_begin_s = Fraction(self._container.start_time or 0, av.time_base)
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        start_s, end_s = self._span
        begin = self.begin_s
        self.time_base = self._stream.time_base or Fraction(1, 1000)
        self.until = None if end_s is None else begin + Fraction(end_s)
        frames = self._seek(self._tick(begin + Fraction(start_s))) if start_s else self._decode()
        frames = self._to_end(frames)
        first = next(frames, None)
        if first is None and (start_s or end_s):
            raise InputError(f"{self._path} has no frame between the given start and end")
        if first is None:
            raise undecodable(self._path)
        self._first_s = None if start_s else first.pts * self.time_base
        self.info = describe(self._path, self._container, self._stream, first.image)
        if self.is_deinterlaced:
            self.info = replace(self.info, is_interlaced=True)
        self.format = self.info.format
        self._frames: Iterator[TimedFrame] = chain([first], frames)
        self.origin = self._origin(first, begin, trimmed=bool(start_s))

    def _origin(self, first: TimedFrame, begin: Fraction, *, trimmed: bool) -> Fraction:
        if trimmed or first.pts < 0:
            return first.pts * self.time_base
        return begin if self.info.container in FREE_CLOCKS else Fraction(0)

    @property
    def begin_s(self) -> Fraction:
        """Seconds at which the clip's own clock begins, from which all that users name is counted."""
        begin_s = self._container_begin_s
        # The container's start may be a time stamp that was wrong.
        return begin_s if self._first_s is None or not self._fixes.count else min(begin_s, self._first_s)

    @property
    def length_s(self) -> float | None:
        """Seconds from the clip's beginning to the end of its video; None where it is unknown."""
        late_s = float((self._stream.start_time or 0) * self.time_base - self.begin_s)
        return self.info.duration_s and self.info.duration_s + max(0, late_s)

    @property
    def last_s(self) -> float | None:
        """When the last frame handed out begins, in seconds from the clip's beginning; None before it."""
        return None if self._last is None else float(self._last.pts * self.time_base - self.begin_s)

    def _to_end(self, frames: Iterator[TimedFrame]) -> Iterator[TimedFrame]:
        if self.until is None:
            return frames
        stop = self._tick(self.until)
        return takewhile(lambda frame: frame.pts < stop, frames)

    def _tick(self, seconds: Fraction) -> int:
        """The first pts at or after ``seconds``; FFmpeg's own seconds are cut to microseconds."""
        return ceil((seconds - _MICROSECOND) / self.time_base)

    def _decode(self, *, from_tick: int | None = None) -> Iterator[TimedFrame]:
        frames = decoded_frames(
            self._container, self._stream, self._damage, keep_alpha=self._keep_alpha, from_tick=from_tick
        )
        if self._deinterlace is not None:
            frames = self._deinterlace(frames)
        return timed_frames(frames, self._stream, self._track_end(), self._damage, self._fixes)

    def _track_end(self) -> int | None:
        """Where an MP4 track ends; its packets last until the next in decoding order instead."""
        stream = self._stream
        if "mp4" not in self._container.format.name or not stream.duration:
            return None
        return (stream.start_time or 0) + stream.duration

    def _seek(self, tick: int, *, lead: int = 0) -> Iterator[TimedFrame]:
        """Frames from the pts ``tick`` on, by way of the key frame before it, at least ``lead`` before."""
        if may_jump(self._container):
            # Where the clock starts again, one time stands for several places: read up to the right one.
            self._reopen()
            return dropwhile(lambda frame: frame.pts < tick, self._decode(from_tick=tick - lead))
        if has_no_pts(self._container) and self._stream.codec_context.has_b_frames:
            return self._count_up_to(tick)
        try:
            self._container.seek(tick - lead, stream=self._stream)
            frames = self._decode()
            head = next(frames, None)
        except av.FFmpegError:
            head = None
        if head is None or head.pts > tick:
            # Not every container finds its key frames: count from the beginning then.
            return self._count_up_to(tick)
        return dropwhile(lambda frame: frame.pts < tick, chain([head], frames))

    def _count_up_to(self, tick: int) -> Iterator[TimedFrame]:
        self._reopen()
        return dropwhile(lambda frame: frame.pts < tick, self._decode())

    def _reopen(self) -> None:
        self._container.close()
        self._container, self._stream = open_clip(self._path)
        self._damage.clear()
        self._resized, self._fixes = None, TimestampFixes()

    def seek_point(self, batch: FrameBatch) -> SeekPoint:
        """The point after the last frame of ``batch``, which this reader produced."""
        return SeekPoint(
            batch.pts[-1],
            batch.durations[-1],
            digest_of(batch),
            damage=tuple(found.line for found in self._damage[:1]),
            resized=self._resized,
            is_deinterlaced=self.is_deinterlaced,
            retimed=self._retimed(),
        )

    def resume_from(self, point: SeekPoint) -> bool:
        """Seeks to the frame after ``point``, without decoding the whole clip before it.

        Returns:
            Whether that succeeded. If not, the reader is at its beginning again.
        """
        # Two frames more, which the deinterlacer needs as neighbours.
        frames = self._seek(point.pts, lead=2 * point.duration)
        head = next(frames, None)
        if head is None or head.image.pts != point.pts or digest_of(self._batch([head])) != point.digest:
            self._reopen()
            self._prepare()
            return False
        self._last, self._frames = head, self._to_end(frames)
        self._damage[:0] = [DecodeDamage(line) for line in point.damage]
        self._resized = point.resized or self._resized
        self._retimed_before = point.retimed
        if self._deinterlace is not None:
            self._deinterlace.engaged |= point.is_deinterlaced
        return True

    @property
    def notices(self) -> list[str]:
        """One line for each thing about the clip that should be known, but for ``truncated``."""
        return [line for line in (self._interlacing(), self._resized, self._retimed()) if line]

    def _retimed(self) -> str | None:
        """One line on time stamps that were replaced."""
        found = self._fixes.notice(self.time_base, self.begin_s)
        return self._retimed_before or (f"{self._path}: {found}" if found else None)

    def _interlacing(self) -> str | None:
        if self.is_deinterlaced:
            return f"{self._path} is interlaced: its frames were deinterlaced"
        return f"{self._path} is interlaced, and was taken as it is" if self.info.is_interlaced else None

    def __enter__(self) -> ClipReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def is_deinterlaced(self) -> bool:
        """Whether interlaced frames have been found and deinterlaced."""
        return self._deinterlace is not None and self._deinterlace.engaged

    def close(self) -> None:
        """Closes the file; not while a thread is blocked in reading it, whose memory that would free."""
        if self._reading.acquire(blocking=False):
            self._container.close()
            self._reading.release()

    def _next_frames(self, count: int) -> list[TimedFrame]:
        with self._reading:
            return list(islice(self._frames, count))

    def __iter__(self) -> Iterator[FrameBatch]:
        return self.batches(self._batch_size)

    def batches(self, size: int) -> Iterator[FrameBatch]:
        """The frames in batches of another size than the reader was made with."""
        while group := self._next_frames(size):
            self._last = group[-1]
            yield self._batch(group)
        if self._last is not None:
            self.truncated = self._missing(self._last)

    def _batch(self, group: list[TimedFrame]) -> FrameBatch:
        views = [self._planes(frame.image) for frame in group]
        planes = [torch.from_numpy(np.stack(plane)).unsqueeze(1) for plane in zip(*views, strict=True)]
        if len(planes) == 1:
            planes += self._neutral_chroma(len(group))
        y, u, v = planes
        return FrameBatch(
            (y, u, v),
            self.format,
            pts=tuple(frame.pts for frame in group),
            durations=tuple(frame.duration for frame in group),
            time_base=self.time_base,
            alpha=self._alpha(group) if self._keep_alpha and self.info.has_alpha else None,
        )

    def _alpha(self, group: list[TimedFrame]) -> Tensor:
        """(N, 1, H, W); opaque where a frame has none."""
        size = self.format.height, self.format.width
        planes = []
        for frame in group:
            alpha = view_alpha(frame.image)
            upright = np.ones(0) if alpha is None else self.info.orientation.apply(alpha)
            planes.append(upright if upright.shape == size else np.ones(size, np.float32))
        return torch.from_numpy(np.stack(planes)).unsqueeze(1)

    def _planes(self, image: VideoFrame) -> list[Samples]:
        orientation = self.info.orientation
        self._resized = self._resized or self._changed_size(image)
        native = to_native(image, self.format, self.info.native_format, transposed=orientation.transposed)
        return [orientation.apply(plane) for plane in view_planes(native)]

    def _changed_size(self, image: VideoFrame) -> str | None:
        width, height = self.format.width, self.format.height
        if self.info.orientation.transposed:
            width, height = height, width
        if (image.width, image.height) == (width, height):
            return None
        at_s = float((image.pts or 0) * self.time_base - self.origin)
        return (
            f"{self._path} changes from {width}x{height} to {image.width}x{image.height} at {at_s:.2f} s: "
            "what follows was scaled to the first size"
        )

    def _neutral_chroma(self, count: int) -> list[Tensor]:
        shape = (count, 1, *self.format.chroma_size)
        neutral = 1 << (self.format.bit_depth - 1)
        return [torch.full(shape, neutral, dtype=self.format.sample_dtype) for _ in range(2)]

    def _missing(self, last: TimedFrame) -> str | None:
        """One line on what was lost, given the last frame that was not."""
        end_s = float((last.pts + last.duration) * self.time_base)
        shown_s = end_s - float(self.begin_s)
        length_s = stream_duration(self._container, self._stream)
        if length_s and self._breaks_off(end_s, length_s - 0.1 - 2 * float(last.duration * self.time_base)):
            return f"{self._path} breaks off at {shown_s:.2f} s of {length_s:.2f} s"
        for found in self._damage:
            # A decoder may have run beyond ``end_s``.
            if self.until is None or found.time_s is None or found.time_s < self.until:
                return f"{self._path} is damaged: {found.line}; its frames end at {shown_s:.2f} s"
        return None

    def _breaks_off(self, end_s: float, least_s: float) -> bool:
        """Whether a clip of at least ``least_s`` seconds lacks frames after ``end_s``."""
        start_s = float((self._stream.start_time or 0) * self.time_base)
        # A container's length may be that of a time stamp that was wrong.
        is_wrong = self._fixes.latest * self.time_base >= least_s
        if is_wrong or self.until is not None or end_s - min(start_s, 0) >= least_s:
            return False
        # A length of the file is that of its longest stream, which need not be the video.
        return has_own_duration(self._stream) or content_end(self._path) < least_s


def _check_options(batch_size: int, start_s: float, end_s: float | None) -> None:
    if batch_size < 1:
        raise OptionError(f"a batch of {batch_size} frames is too small: use 1 or more")
    for name, time_s in (("start", start_s), ("end", end_s)):
        if time_s is not None and not isfinite(time_s):
            raise OptionError(f"{name} {time_s} s is no time in a clip: give seconds")
    if start_s < 0:
        raise OptionError(f"start {start_s} s is negative")
    if end_s is not None and end_s <= start_s:
        raise OptionError(f"end {end_s} s does not lie after the start at {start_s} s")
