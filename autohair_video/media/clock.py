"""Time stamps of containers whose clock may jump, made continuous as FFmpeg's command line does."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any, Final

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

# AVFMT_TS_DISCONT: the format allows its clock to jump (MPEG transport and program streams, Ogg, HLS).
_MAY_JUMP: Final = 0x0200
# FFmpeg's dts_delta_threshold: a step forwards of more seconds is a jump.
_LONGEST_STEP_S: Final = 10
# FFmpeg: a step backwards of more seconds is one.
_LONGEST_STEP_BACK_S: Final = Fraction(1, 10)


def may_jump(container: InputContainer) -> bool:
    """Whether the container's clock may jump or start again in mid-file, as where recordings were joined."""
    return bool(container.format.flags & _MAY_JUMP)


def continuous_packets(
    container: InputContainer, streams: Sequence[Stream], clock: ContinuousClock
) -> Iterator[Packet[Any]]:
    """The packets of ``streams`` and their empty flush packets, on one continuous clock.

    ``clock`` is a new one. Where the container's clock may jump, sound and video are demuxed together, so
    that both are moved alike.

    Raises:
        av.FFmpegError: the demuxer fails.
    """
    if not may_jump(container):
        yield from container.demux(streams)
        return
    wanted = {stream.index for stream in streams}
    timed = [s for s in container.streams if s.type in ("video", "audio") and s.codec_context is not None]
    for packet in container.demux([*timed, *(s for s in streams if s not in timed)]):
        clock.correct(packet)
        if packet.stream.index in wanted:
            yield packet


class ContinuousClock:
    """Moves packets behind a jump of the clock so that their stream's decoding times continue.

    This is what ffmpeg's ``ts_discontinuity_process`` does: the first packet that steps back by more than
    0.1 s, or on by more than 10 s, moves all later packets of the file.

    ``jumps``: how often that has happened.
    """

    def __init__(self) -> None:
        self.jumps = 0
        self._offset_s = Fraction(0)
        self._last_s: Fraction | None = None
        self._last_dts_s: dict[int, Fraction] = {}
        self._next_dts_s: dict[int, Fraction] = {}

    def correct(self, packet: Packet[Any]) -> None:
        """Change the packet's pts and dts in place; packets of all streams come in the file's order."""
        base, index = packet.time_base, packet.stream.index
        if packet.dts is not None and packet.stream.type in ("video", "audio"):
            self._follow(packet, packet.dts * base + self._offset_s, index)
        if self._offset_s:
            shift = round(self._offset_s / base)
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift

    def _follow(self, packet: Packet[Any], dts_s: Fraction, index: int) -> None:
        expected_s = self._next_dts_s.get(index)
        if expected_s is None:
            expected_s = self._last_s
            is_jump = expected_s is not None and abs(dts_s - expected_s) > _LONGEST_STEP_S
        else:
            is_jump = (
                abs(dts_s - expected_s) > _LONGEST_STEP_S
                or dts_s + _LONGEST_STEP_BACK_S < self._last_dts_s[index]
            )
        if is_jump and expected_s is not None:
            self.jumps += 1
            self._offset_s -= dts_s - expected_s
            dts_s = expected_s
        length_s = (packet.duration or 0) * packet.time_base
        rate = packet.stream.average_rate if packet.stream.type == "video" else None
        if not length_s and rate:
            length_s = 1 / rate
        self._last_dts_s[index] = dts_s
        self._last_s = self._next_dts_s[index] = dts_s + length_s


def from_key_frame_before(packets: Iterator[Packet[Any]], tick: int) -> Iterator[Packet[Any]]:
    """The packets from the second key frame before the pts ``tick`` on: a seek that reads all before it.

    Two groups of pictures are kept, as the leading frames of an open one refer to that before it.
    """
    groups: deque[list[Packet[Any]]] = deque([[]], maxlen=2)
    for packet in packets:
        if packet.is_keyframe:
            groups.append([])
        groups[-1].append(packet)
        if packet.dts is not None and packet.dts >= tick:
            break
    for group in groups:
        yield from group
    yield from packets
