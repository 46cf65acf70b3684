"""Encodes batches of frames, and alpha with them, into a clip with the sound of another."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from math import lcm
from pathlib import Path
from types import TracebackType
from typing import Any, Final, cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from autohair_video.errors import JobError, OutputError
from autohair_video.frames import FrameBatch, FrameFormat
from autohair_video.media.atomic_output import StagedOutput, check_output
from autohair_video.media.audio import PacketCopier
from autohair_video.media.decode import check_input_file, reason
from autohair_video.media.disk_space import FinalizationEstimate
from autohair_video.media.encoder_input import encoder_planes, encoder_size
from autohair_video.media.encoder_quirks import restored_thread_priority, silence_encoder
from autohair_video.media.hdr import HdrMetadata, encoder_options
from autohair_video.media.inputs import local_url
from autohair_video.media.packet_times import FixedRateGrid, PacketDurations
from autohair_video.media.palette import Palette
from autohair_video.media.pixel_formats import RANGE_FULL, RANGE_LIMITED, make_frame
from autohair_video.media.presets import Preset, codec_format, codec_pixel_format

# Muxers that store the length of each track, and edit lists.
EDITED: Final = ("mp4", "mov")
# The muxer that stores a frame rate instead of times.
_GRID: Final = "avi"
_PALETTED: Final = "pal8"
# Ticks per second of a movie clock: faster ones overflow 32-bit boxes after 71 minutes.
_MAX_MOVIE_TIMESCALE: Final = 1_000_000
# Muxers whose files play without having been finalised.
_PLAYS_CUT_OFF: Final = ("matroska", "webm")


class ClipWriter:
    """Writes one clip, as a context manager that finishes it.

    After a `JobError` what was written is finished as far as it goes, as ``name.partial.ext``, which
    ``kept`` then names; after other errors it is removed.

    Every frame keeps its pts and duration to the tick where the container's clock allows it (MP4,
    MOV); Matroska and WebM count in milliseconds. Colour tags and the sample aspect ratio go into
    the file. The output takes its name when it is complete; until then an older file of that name
    stays as it was.

    ``fmt`` and ``time_base``: those of all batches to come. `presets.codec_format` says which
    format reaches the encoder without being converted.
    ``copy_from``: the clip whose sound and subtitles are copied (see `PacketCopier`); None for a
    silent clip.
    ``hdr``: HDR metadata, written where the encoder can.
    ``rate``: frames per second, as a hint for the encoder and for what players display.
    ``origin``, ``until``: `ClipReader`'s; all times are moved back by ``origin`` seconds.
    ``notices``: one line for each thing that could not be kept as it was.

    Raises:
        OptionError: the preset does not go with the extension of ``path``.
        OutputError: ``path`` cannot be written, is ``copy_from``, or exists and ``overwrite`` is
            false.
        InputError: ``copy_from`` cannot be read.
    """

    def __init__(
        self,
        path: str | Path,
        preset: Preset,
        fmt: FrameFormat,
        time_base: Fraction,
        *,
        copy_from: str | Path | None = None,
        origin: Fraction = Fraction(0),
        until: Fraction | None = None,
        rate: Fraction | None = None,
        hdr: HdrMetadata | None = None,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        preset.check_path(path)
        check_output(path, overwrite=overwrite, inputs=[] if copy_from is None else [copy_from])
        self._preset, self._format, self._time_base = preset, fmt, time_base
        self._target = codec_format(preset, fmt)
        self._pixel_format = codec_pixel_format(preset, fmt)
        self._copy_from, self._origin, self._until = copy_from, origin, until
        self._rate, self._hdr = rate, hdr
        self._shift = round(origin / time_base)
        # Colours are reduced to a palette after they have been drawn.
        self._drawn_format = "bgra" if self._pixel_format == _PALETTED else self._pixel_format
        self._palette: Palette | None = None
        self._grid: FixedRateGrid | None = None
        self._durations = PacketDurations()
        self._need = FinalizationEstimate()
        self._stream: VideoStream | None = None
        self._sound: PacketCopier | None = None
        self.notices: list[str] = []
        self.kept: Path | None = None
        if copy_from is not None:
            check_input_file(copy_from, "clip")
        silence_encoder(preset.codec)
        self._staged = StagedOutput(path)
        self._muxer = preset.muxers[self.path.suffix.lower()]
        self._output = self._open()

    def needs(self, frames: int) -> tuple[Path, int]:
        """The file, and about how many bytes it needs for so many frames more and to be finished."""
        return self._staged.path, self._need.bytes(frames)

    def write(self, batch: FrameBatch, alpha: Tensor | None = None) -> None:
        """Encodes one batch, on whatever device it lies.

        ``alpha``: (N, 1, H, W) float32 in 0..1, straight; needed by presets of the roles alpha and
        matte and by no other.

        Raises:
            OutputError: the encoder or the disk refuses.
        """
        if batch.format != self._format:
            raise ValueError(f"frames of {batch.format} for a writer of {self._format}")
        if (alpha is None) == self._preset.needs_alpha:
            raise ValueError(f"alpha is {'missing' if alpha is None else 'out of place'}")
        tensors = encoder_planes(self._preset, batch.planes, self._format, alpha)
        planes = [plane.cpu().numpy()[:, 0] for plane in tensors]
        try:
            stream = self._stream or self._start(batch)
            for i, (pts, duration) in enumerate(zip(batch.pts, batch.durations, strict=True)):
                frame = make_frame(self._drawn_format, [plane[i] for plane in planes])
                frame.pts, frame.time_base = pts - self._shift, self._time_base
                # ProRes stores these in every frame; PyAV before 17 cannot set them.
                if hasattr(frame, "color_primaries"):
                    frame.color_primaries, frame.color_trc = self._target.primaries, self._target.transfer
                frame.colorspace, frame.color_range = self._target.matrix, self._range()
                if self._grid is not None:
                    frame.pts = self._on_grid(self._grid, frame.pts)
                self._durations.add(frame.pts, duration)
                self._encode(stream, frame)
        except (av.FFmpegError, OSError) as exc:
            raise OutputError(f"cannot write {self.path} ({reason(exc)})") from exc

    def close(self) -> None:
        """Finishes the clip and gives it its name.

        Raises:
            OutputError: no frame was written, or the disk refuses.
        """
        if self._stream is None:
            self.abort()
            raise OutputError(f"no frame was written to {self.path}")
        try:
            self._finish(self._stream)
        except (av.FFmpegError, OSError) as exc:
            self._keep_cut_off()
            raise OutputError(f"cannot finish {self.path} ({reason(exc)})") from exc
        except BaseException:
            self.abort()
            raise
        self._close_sound()
        self._staged.commit()

    def close_partial(self) -> None:
        """Finishes what there is as ``name.partial.ext``, its sound cut to the video; see ``kept``.

        Where the disk was found full too late, MP4 and MOV cannot be finished, and nothing is kept; Matroska
        plays without its end.
        """
        if self._stream is None:
            self.abort()
            return
        try:
            self._finish(self._stream, whole=False)
        except (av.FFmpegError, OSError):
            self._keep_cut_off()
        else:
            self._close_sound()
            self.kept = self._staged.commit_partial()

    def _keep_cut_off(self) -> None:
        if self._muxer not in _PLAYS_CUT_OFF:
            self.abort()
            return
        self._close_sound()
        with suppress(av.FFmpegError, OSError):
            self._output.close()
        self.kept = self._staged.commit_partial()

    def abort(self) -> None:
        """Gives up: what was written is removed, an older file of that name stays as it was."""
        self._close_sound()
        with suppress(av.FFmpegError, OSError):
            self._output.close()
        self._staged.discard()

    def __enter__(self) -> ClipWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        elif isinstance(error, JobError):
            self.close_partial()
        else:
            self.abort()

    def _open(self) -> OutputContainer:
        try:
            return av.open(
                local_url(self._staged.work_path),
                "w",
                format=self._muxer,
                container_options=muxer_options(self._muxer, self._time_base.denominator)
                | dict(self._preset.muxer_options),
            )
        except (av.FFmpegError, OSError, ValueError) as exc:
            self._staged.discard()
            raise OutputError(f"cannot write {self.path} ({reason(exc)})") from exc

    def _late(self, batch: FrameBatch, rate: Fraction) -> Fraction:
        """Seconds of sound before the first frame, for containers in which video cannot begin late."""
        begin_s = (batch.pts[0] - self._shift) * self._time_base
        return begin_s if self._muxer == _GRID and begin_s * rate > Fraction(1, 2) else Fraction(0)

    def _on_grid(self, grid: FixedRateGrid, pts: int) -> int:
        snapped = grid.snap(pts)
        if snapped is None:
            raise OutputError(
                f"cannot write {self.path}: AVI holds frames of one rate, and this clip's varies"
            )
        return snapped

    def _start(self, batch: FrameBatch) -> VideoStream:
        """Adds the streams; without a nominal rate, the first frames give one."""
        rate = self._rate or len(batch) / ((sum(batch.durations) or len(batch)) * self._time_base)
        stream = cast(VideoStream, self._output.add_stream(self._preset.codec, rate=rate))
        context, target = stream.codec_context, self._target
        context.width, context.height = encoder_size(self._preset, target)
        context.pix_fmt = self._pixel_format
        context.time_base = stream.time_base = self._time_base
        if self._muxer == _GRID:
            stream.time_base, self._grid = 1 / Fraction(rate), FixedRateGrid(rate, self._time_base)
        context.colorspace, context.color_range = target.matrix, self._range()
        context.color_primaries, context.color_trc = target.primaries, target.transfer
        context.sample_aspect_ratio = target.sample_aspect_ratio
        context.options = self._encoder_options()
        if self._preset.tag is not None and self._muxer in EDITED:
            context.codec_tag = self._preset.tag
        if self._pixel_format == _PALETTED:
            self._palette = Palette(target.width, target.height, self._time_base)
        if self._copy_from is not None:
            self._sound = PacketCopier(
                self._copy_from,
                self._output,
                self._muxer,
                origin=self._origin + self._late(batch, Fraction(rate)),
                until=self._until,
            )
            self._sound.notices[:0] = self.notices
            self.notices = self._sound.notices
        self._stream = stream
        return stream

    def _encoder_options(self) -> dict[str, str]:
        options = dict(self._preset.options)
        if self._hdr is None or self._preset.role == "matte":
            return options
        own = encoder_options(self._preset.codec, self._hdr)
        if own is None:
            self.notices.append(f"HDR mastering data is not written: {self._preset.name} has no place for it")
        for name, value in (own or {}).items():
            options[name] = ":".join(filter(None, (options.get(name), value)))
        return options

    def _encode(self, stream: VideoStream, frame: VideoFrame) -> None:
        for done in [frame] if self._palette is None else self._palette.push(frame):
            with restored_thread_priority(self._preset.codec):
                packets = stream.encode(done)
            self._need.count(packet.size for packet in packets)
            self._durations.stamp(packets)
            self._mux(packets)

    def _finish(self, stream: VideoStream, *, whole: bool = True) -> None:
        packets = []
        if self._palette is not None:
            packets += [packet for frame in self._palette.push(None) for packet in stream.encode(frame)]
        with restored_thread_priority(self._preset.codec):
            packets += stream.encode(None)
        if len(packets) <= 2 and self._durations.is_first(packets):
            # libx265 leaves the dts of clips this short undefined; they have no frames to reorder.
            for packet in packets:
                packet.dts = packet.pts
        self._durations.stamp(packets)
        if packets and self._muxer in EDITED:
            self._durations.complete(packets[-1])
        self._mux(packets)
        if self._sound is not None:
            self._sound.finish(None if whole else self._durations.end * self._time_base)
        self._output.close()

    def _mux(self, packets: Iterable[Packet[Any]]) -> None:
        for packet in packets:
            if self._sound is not None and packet.dts is not None:
                self._sound.advance(packet.dts * packet.time_base)
            self._output.mux(packet)

    def _range(self) -> int:
        return RANGE_FULL if self._target.full_range else RANGE_LIMITED

    def _close_sound(self) -> None:
        if self._sound is not None:
            self._sound.close()


def muxer_options(muxer: str, ticks_per_s: int) -> dict[str, str]:
    """Muxer options with which a container keeps the times of a video of ``ticks_per_s``."""
    if muxer in EDITED:
        # The movie's clock says when each track starts: it must hold the video's ticks, and should
        # hold the sound's, or a late track would be moved. Faster clocks than that need 64-bit boxes
        # for clips of some length, which old players do not read.
        common = lcm(ticks_per_s, 48_000)
        return {
            "movflags": "+faststart",
            "video_track_timescale": str(ticks_per_s),
            "movie_timescale": str(common if common <= _MAX_MOVIE_TIMESCALE else ticks_per_s),
        }
    if muxer == "matroska":
        # The priming packet of copied AAC lies before zero; moving it there would move the video too.
        return {"avoid_negative_ts": "disabled"}
    return {}
