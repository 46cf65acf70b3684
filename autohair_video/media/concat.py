"""Concatenates the encoded segments of an output, packet by packet."""

from __future__ import annotations

import os
import re
import shutil
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from autohair_video.errors import OptionError, OutputError
from autohair_video.media.atomic_output import StagedOutput, is_sequence
from autohair_video.media.audio import PacketCopier
from autohair_video.media.decode import reason
from autohair_video.media.inputs import local_url
from autohair_video.media.packet_times import complete_track
from autohair_video.media.presets import Preset
from autohair_video.media.writer import EDITED, muxer_options

_JOINABLE: Final = (*EDITED, "matroska", "webm", "image2")
# FFmpeg: AV_CODEC_PROP_REORDER.
_REORDERS: Final = 8
_NUMBER: Final = re.compile(r"(\d+)(?:\.partial)?\.\w+$")


@dataclass(frozen=True)
class TailSpec:
    """What an output has besides its video segments.

    ``end_s``: when its last frame ends, in its own seconds. ``copy_from``, ``origin`` and ``until`` are
    those of `ClipWriter`, for the sound, which is written to the output's end only if ``whole``.
    """

    end_s: Fraction
    copy_from: str | None = None
    origin: Fraction = Fraction(0)
    until: Fraction | None = None
    whole: bool = True


def check_concatenable(path: Path, preset: Preset) -> None:
    """Raises OptionError if files of this kind cannot be concatenated."""
    if preset.muxers[path.suffix.lower()] not in _JOINABLE:
        raise OptionError(f"{path}: {preset.name} cannot be joined from segments, and so not resumed")


def concat_segments(
    parts: Sequence[Path], path: Path, preset: Preset, rest: TailSpec
) -> tuple[StagedOutput, list[str]]:
    """Joins what `ClipWriter` wrote to ``parts``, in order, with the times that they have.

    Returns:
        The output, to be committed, and one line for each thing of the sound that could not be kept.

    Raises:
        OutputError: a part cannot be read, or the disk refuses.
    """
    staged = StagedOutput(path, replace_stale=True)
    try:
        if is_sequence(path):
            _gather(parts, staged.work_path)
            return staged, []
        return staged, _join(parts, staged.work_path, preset, rest)
    except (av.FFmpegError, OSError) as exc:
        staged.discard()
        raise OutputError(f"cannot join the parts of {path} ({reason(exc)})") from exc
    except BaseException:
        staged.discard()
        raise


def _gather(parts: Sequence[Path], target: Path) -> None:
    number = 0
    for part in parts:
        stills = part.parent.glob(part.name.replace("%05d", "[0-9]*"))
        for still in sorted(stills, key=lambda file: _last_number(file.name)):
            number += 1
            goal = target.with_name(target.name % number)
            try:
                os.link(still, goal)
            except OSError:
                shutil.copyfile(still, goal)


def _last_number(name: str) -> int:
    match = _NUMBER.search(name)
    if match is None:
        raise OutputError(f"{name} is no numbered image of a segment")
    return int(match[1])


def _join(parts: Sequence[Path], target: Path, preset: Preset, rest: TailSpec) -> list[str]:
    muxer = preset.muxers[target.suffix.lower()]
    with ExitStack() as stack:
        first = stack.enter_context(av.open(local_url(parts[0]))).streams.video[0]
        if first.time_base is None:
            raise OutputError(f"{parts[0]} has no time base: delete the segments and start again")
        options = muxer_options(muxer, first.time_base.denominator) | dict(preset.muxer_options)
        output = av.open(local_url(target), "w", format=muxer, container_options=options)
        stack.callback(_close_quietly, output)
        stream = _copied_stream(first, output, muxer)
        sound = None
        if rest.copy_from is not None:
            sound = PacketCopier(rest.copy_from, output, muxer, origin=rest.origin, until=rest.until)
            stack.enter_context(closing(sound))
        packets = _packets(parts, stream, rest.end_s)
        if muxer in EDITED:
            packets = _completed(packets, rest.end_s)
        for packet in packets:
            if sound is not None and packet.dts is not None:
                sound.advance(packet.dts * packet.time_base)
            output.mux(packet)
        if sound is not None:
            sound.finish(None if rest.whole else rest.end_s)
        output.close()
        return sound.notices if sound else []


def _copied_stream(template: VideoStream, output: OutputContainer, muxer: str) -> VideoStream:
    stream = output.add_stream_from_template(template)
    stream.time_base = template.time_base
    context = stream.codec_context
    if template.average_rate:
        context.framerate = template.average_rate
    if template.metadata.get("alpha_mode") == "1":
        # Matroska keeps it apart from other tags, and writes it for this pixel format.
        context.pix_fmt = "yuva420p"
    if muxer in EDITED:
        context.codec_tag = template.codec_context.codec_tag
    return stream


def _packets(parts: Sequence[Path], stream: VideoStream, end_s: Fraction) -> Iterator[Packet[Any]]:
    """All packets in decoding order."""
    reordered = bool(_REORDERS & stream.codec_context.codec.properties)
    orders = [_Order.of(part) for part in parts] if reordered else []
    delay = max((order.delay for order in orders), default=0)
    begins = [*(order.begin for order in orders[1:]), round(end_s / (stream.time_base or 1))]
    extradata: bytes | None = None
    shown: deque[int] = deque(maxlen=delay + 1)
    for number, part in enumerate(parts):
        with av.open(local_url(part)) as source:
            video = source.streams.video[0]
            head = video.codec_context.extradata
            if number and head != extradata:
                raise OutputError(f"{part} was encoded with other settings than the parts before it")
            extradata = head
            packets = _with_content(source.demux(video))
            if reordered:
                packets = _retimed(packets, sorted(_display_times(part)), begins[number], shown)
            for packet in packets:
                packet.stream = stream
                yield packet


def _retimed(
    packets: Iterator[Packet[Any]], times: Sequence[int], end: int, shown: deque[int]
) -> Iterator[Packet[Any]]:
    """The packets of a segment with decoding times and durations recomputed.

    Segments store none (Matroska), or decoding times that overlap with those of the segment
    before, and durations in decoding order (MP4). ``times``: display times in rising order. ``shown``:
    the last of those, over all segments, one more than the reorder delay.
    """
    lengths = {time: following - time for time, following in pairwise([*times, end])}
    for packet, time in zip(packets, times, strict=True):
        shown.append(time)
        # before the first frame, one tick for each frame of reorder delay
        packet.dts = shown[0] - ((shown.maxlen or 0) - len(shown))
        packet.duration = lengths[packet.pts or 0]
        yield packet


@dataclass(frozen=True)
class _Order:
    """A segment's first pts, and its reorder delay in frames."""

    begin: int
    delay: int

    @classmethod
    def of(cls, part: Path) -> _Order:
        times = _display_times(part)
        place = {time: index for index, time in enumerate(sorted(times))}
        return cls(min(times), max(index - place[time] for index, time in enumerate(times)))


def _display_times(part: Path) -> list[int]:
    """In decoding order."""
    with av.open(local_url(part)) as source:
        packets = _with_content(source.demux(source.streams.video[0]))
        return [packet.pts for packet in packets if packet.pts is not None]


def _with_content(packets: Iterator[Packet[Any]]) -> Iterator[Packet[Any]]:
    """Without the empty flush packet at the end."""
    return (packet for packet in packets if packet.size)


def _completed(packets: Iterator[Packet[Any]], end_s: Fraction) -> Iterator[Packet[Any]]:
    """The packets of an MP4 track, the last one extended by `complete_track`."""
    held = first = next(packets)
    begin_pts, begin_dts = first.pts, first.dts
    for packet in packets:
        yield held
        held = packet
    end_pts = round(end_s / held.time_base)
    complete_track(held, begin_pts=begin_pts, begin_dts=begin_dts, end_pts=end_pts)
    yield held


def _close_quietly(output: OutputContainer) -> None:
    """After an error, the one that closing adds says nothing more; after success it is closed already."""
    with suppress(av.FFmpegError, OSError):
        output.close()
