"""How a display matrix rotates and mirrors stored frames."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

# AVPacketSideData DISPLAYMATRIX: nine native 32-bit integers, row by row.
_MATRIX: Final = struct.Struct("=9i")
# Degrees; PyAV reports angles beyond it for a matrix that has none.
_FULL_TURN: Final = 360


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay out a frame: transposed first, then mirrored left to right and vertically.

    >>> Orientation(transposed=True, flipped_x=True).rotation
    270
    """

    transposed: bool = False
    flipped_x: bool = False
    flipped_y: bool = False

    def apply(self, plane: NDArray[Any]) -> NDArray[Any]:
        """A view of the (h, w) or (h, w, channels) ``plane`` as it is displayed."""
        upright = plane.swapaxes(0, 1) if self.transposed else plane
        return upright[:: -1 if self.flipped_y else 1, :: -1 if self.flipped_x else 1]

    @property
    def is_mirrored(self) -> bool:
        """Whether stored frames are mirror images of what is displayed."""
        return (self.transposed + self.flipped_x + self.flipped_y) % 2 == 1

    @property
    def rotation(self) -> int:
        """Degrees counter-clockwise by which stored frames are turned, after mirroring if `is_mirrored`."""
        if self.transposed:
            return 270 if self.flipped_x else 90
        return 180 if self.flipped_y else 0


def read_orientation(frame: VideoFrame) -> Orientation:
    """The orientation of a decoded frame, from its display matrix."""
    try:
        sides: list[Any] = [*frame.side_data]
    except ValueError:
        # PyAV raises for all side data where one kind is unknown to it, but still reads the angle.
        return _rotated(-frame.rotation) if abs(frame.rotation) <= _FULL_TURN else Orientation()
    data = next((bytes(side) for side in sides if side.type == Type.DISPLAYMATRIX), b"")
    return orientation_of(_MATRIX.unpack_from(data)) if len(data) >= _MATRIX.size else Orientation()


def orientation_of(matrix: Sequence[int]) -> Orientation:
    """The orientation nearest to a display matrix (ISO/IEC 14496-12, 8.3.2), as FFmpeg autorotates.

    A stored point (x, y) is displayed at (m[0] x + m[3] y, m[1] x + m[4] y), y pointing down. A matrix that
    leaves nothing to display (all zeros) counts as none.

    >>> orientation_of((-65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    Orientation(transposed=False, flipped_x=True, flipped_y=False)
    """
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    scale_x, scale_y = math.hypot(a, c), math.hypot(b, d)
    if not scale_x or not scale_y:
        return Orientation()
    angle = math.degrees(math.atan2(b / scale_y, a / scale_x))
    turned = _rotated(angle)
    if turned.transposed:
        # c and b of the same sign: mirrored.
        is_mirrored = (c > 0) == (b > 0) and c != 0
        return Orientation(True, turned.flipped_x != is_mirrored, turned.flipped_y)
    return Orientation(False, a < 0, d < 0)


def _rotated(clockwise: float) -> Orientation:
    """A rotation, by the nearest multiple of 90 degrees."""
    return {
        0: Orientation(),
        90: Orientation(transposed=True, flipped_x=True),
        180: Orientation(flipped_x=True, flipped_y=True),
        270: Orientation(transposed=True, flipped_y=True),
    }[round(clockwise / 90) % 4 * 90]
