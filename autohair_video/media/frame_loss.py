"""Finds frames that are missing without the decoder having reported an error."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Final

from av.packet import Packet
from av.video.stream import VideoStream

# Decoders of these skip what refers to lost frames, silently. Each visible packet of theirs is one frame.
_INTER_CODECS: Final = frozenset(
    {"h264", "hevc", "vvc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4"}
)
# A step of more than this many frame durations is a gap.
_GAP: Final = Fraction(3, 2)
# Displayed frames after which a missing one is taken for lost: one with a wrong time stamp may still come.
_CONFIRM_AFTER: Final = 16
# Between two blocks of a Matroska file lie fewer bytes, even where a cluster begins.
_BLOCK_OVERHEAD: Final = 256
# MPEG-4 repeats a frame by a packet of at most this many bytes, which is no frame of its own.
_REPEAT_BYTES: Final = 20
# VP8 (RFC 6386, 9.1): the bit of the first byte that says whether a frame is displayed.
_VP8_SHOWN: Final = 1 << 4


class FrameLossDetector:
    """Compares packets with the frames that come out of the decoder, and both with their times.

    A packet is lost if no frame has its pts and the frames around it are more than one and a half frame
    durations apart. So hidden frames, second fields and variable rates are no loss.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._codec = stream.codec_context.codec.canonical_name
        self._pending: set[int] = set()
        self._missing: dict[int, tuple[int, int]] = {}
        self._last: tuple[int, int] | None = None
        self._count = 0
        self._usual = 0
        self._has_hole = False
        if stream.average_rate and stream.time_base:
            self._usual = max(1, round(1 / (stream.average_rate * stream.time_base)))

    def add_hole(self) -> None:
        """Note that the demuxer passed over bytes that it could not read: the next gap in time is a loss."""
        self._has_hole = True

    def add_packet(self, packet: Packet[Any]) -> None:
        """Note a packet before it is decoded."""
        if packet.pts is None or not packet.size or packet.is_discard or self._codec not in _INTER_CODECS:
            return
        is_repeat = self._codec == "mpeg4" and packet.size <= _REPEAT_BYTES
        is_hidden = self._codec == "vp8" and not bytes(packet)[0] & _VP8_SHOWN
        if not is_repeat and not is_hidden:
            self._pending.add(packet.pts)

    def add_frame(self, pts: int, duration: int) -> int | None:
        """Note a decoded frame, in display order. Returns the tick at which frames are missing, if any."""
        self._count += 1
        self._missing.pop(pts, None)
        before = {tick for tick in self._pending if tick < pts}
        self._pending -= before | {pts}
        if self._last is not None:
            last, step = self._last
            if step and pts - last > _GAP * step:
                lost = {tick for tick in before if tick > last} or (
                    {last + step} if self._has_hole else set()
                )
                self._missing |= dict.fromkeys(lost, (last + step, self._count))
                self._has_hole = False
        self._last = pts, duration or self._usual
        return self._confirmed(self._count - _CONFIRM_AFTER)

    def finish(self) -> int | None:
        """Likewise, after the last frame."""
        if self._last is not None:
            last, step = self._last
            if step and any(tick > last + _GAP * step for tick in self._pending):
                self._missing[last + step] = (last + step, self._count)
        return self._confirmed(self._count)

    def _confirmed(self, count: int) -> int | None:
        return min((at for at, seen in self._missing.values() if seen <= count), default=None)


class UnreadBytes:
    """Finds parts of a Matroska file that its demuxer passed over silently, by the places of the packets."""

    def __init__(self) -> None:
        self._end: int | None = None

    def before(self, packet: Packet[Any]) -> bool:
        """Whether there are some before ``packet``; packets of all streams come in the file's order."""
        if packet.pos is None or packet.pos < 0 or not packet.size:
            return False
        is_hole = self._end is not None and packet.pos - self._end > _BLOCK_OVERHEAD
        self._end = packet.pos + packet.size
        return is_hole
