"""FFmpeg's frames as sample planes, and back, without a copy more than needed.

Native pixel formats are planar, little-endian, 8 to 12 bit: yuv420p, yuv422p, yuv444p and gbrp with
their deeper kin. yuvj* are the same samples in full range, a fourth (alpha) plane is passed over,
and gray gets neutral chroma. Any other format goes through swscale to the nearest native one, range
and depth kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from av import VideoFormat, VideoFrame
from numpy.typing import NDArray

from autohair_video.frames import FrameFormat

RANGE_LIMITED: Final = 1
RANGE_FULL: Final = 2

Samples = NDArray[Any]

# In which order packed pixels hold their channels.
_PACKED: Final = {
    "argb": "argb",
    "rgba": "rgba",
    "bgra": "bgra",
    "rgb24": "rgb",
    "rgba64be": "rgba",
    "rgba64le": "rgba",
    "rgb48be": "rgb",
}
_CHROMA_DIGITS: Final = {(2, 2): "420", (2, 1): "422", (1, 1): "444"}


def pixel_format(fmt: FrameFormat, *, alpha: bool = False) -> str:
    """FFmpeg's name of the pixel format that holds ``fmt``, with or without an alpha plane.

    >>> pixel_format(FrameFormat(16, 16, bit_depth=10, subsample_x=1, subsample_y=1), alpha=True)
    'yuva444p10le'
    """
    return _format_name(fmt.is_rgb, (fmt.subsample_x, fmt.subsample_y), fmt.bit_depth, alpha=alpha)


def native_format(fmt: VideoFormat, *, quarter_turn: bool = False) -> str:
    """The native pixel format nearest to ``fmt``.

    4:2:2 becomes 4:4:4 for frames that get a quarter turn.

    >>> [native_format(VideoFormat(name)) for name in ("nv12", "p010le", "bgra", "gray16le")]
    ['yuv420p', 'yuv420p10le', 'gbrp', 'gray12le']
    """
    depth = min(max(8, *(part.bits for part in fmt.components)), 12)
    rgb = fmt.is_rgb or fmt.has_palette
    if not rgb and len(fmt.components) < 3:
        return "gray" + _depth_suffix(depth)
    # 32 is a multiple of every subsampling there is (4:1:0 has 4).
    across, down = (min(32 // f(32), 2) for f in (fmt.chroma_width, fmt.chroma_height))
    if across == 1 or (quarter_turn and down == 1):
        across = down = 1
    name = _format_name(rgb, (across, down), depth)
    plain = fmt.name.replace("yuvj", "yuv").replace("yuva", "yuv").replace("gbrap", "gbrp")
    return fmt.name if plain == name else name


def to_native(frame: VideoFrame, fmt: FrameFormat, name: str, *, transposed: bool) -> VideoFrame:
    """``frame`` in the pixel format ``name`` and at the size it has before being transposed to ``fmt``.

    The frame itself comes back when it already is all that.
    """
    width, height = (fmt.height, fmt.width) if transposed else (fmt.width, fmt.height)
    if (frame.format.name, frame.width, frame.height) == (name, width, height):
        return frame
    if fmt.is_rgb and _is_coarse(frame.format):
        # On the way to planes swscale shifts 5 bits to 8, so that white would not be 255.
        frame = frame.reformat(format="rgb24")
    sample_range = None
    if not fmt.is_rgb:
        sample_range = RANGE_FULL if fmt.full_range else RANGE_LIMITED
    return frame.reformat(
        width=width,
        height=height,
        format=name,
        src_color_range=sample_range,
        dst_color_range=sample_range,
    )


def _is_coarse(fmt: VideoFormat) -> bool:
    """Whether a format packs R, G and B with fewer than 8 bits each."""
    return fmt.is_rgb and not fmt.has_palette and min(part.bits for part in fmt.components) < 8


def view_planes(frame: VideoFrame) -> list[Samples]:
    """Views of a native frame's planes, (h, w) uint8 or int16 each: Y, Cb, Cr or R, G, B.

    Gray frames have one plane. The views are good as long as the frame lives.
    """
    views = [_view(frame, index) for index in range(min(len(frame.planes), 3))]
    if frame.format.name.startswith("gbr"):
        green, blue, red = views
        return [red, green, blue]
    return views


def make_frame(name: str, planes: Sequence[Samples]) -> VideoFrame:
    """A frame of the pixel format ``name`` with the given (h, w) planes copied in.

    They come as Y, Cb, Cr or R, G, B, with alpha last where the format has it, and hold sample values
    of its depth.
    """
    height, width = planes[0].shape
    frame = VideoFrame(width, height, name)
    for view, plane in zip(_writable_views(frame), planes, strict=True):
        np.copyto(view, plane, casting="unsafe")
    return frame


def _writable_views(frame: VideoFrame) -> list[Samples]:
    """All planes of a frame that was made here, R, G and B in this order, packed ones unpacked."""
    order = _PACKED.get(frame.format.name)
    if order is not None:
        plane, dtype = frame.planes[0], _sample_type(frame.format)
        shape = frame.height, frame.width, len(order)
        strides = plane.line_size, len(order) * dtype.itemsize, dtype.itemsize
        pixels: Samples = np.ndarray(shape, dtype, buffer=memoryview(plane), strides=strides)
        return [pixels[:, :, order.index(channel)] for channel in "rgba"[: len(order)]]
    views = [_view(frame, index) for index in range(len(frame.planes))]
    if frame.format.name.startswith("gbr"):
        green, blue, red, *alpha = views
        return [red, green, blue, *alpha]
    return views


def _view(frame: VideoFrame, index: int) -> Samples:
    plane = frame.planes[index]
    rows = np.frombuffer(memoryview(plane), _sample_type(frame.format)).reshape(plane.height, -1)
    samples: Samples = rows[:, : plane.width]
    return samples[::-1] if plane.line_size < 0 else samples


def _sample_type(fmt: VideoFormat) -> np.dtype[Any]:
    bits = fmt.components[0].bits
    if bits == 8:
        return np.dtype(np.uint8)
    if _is_float(fmt):
        return np.dtype(f"<f{bits // 8}")
    # torch has no arithmetic on unsigned 16-bit samples: below 16 bit the signed type does
    kind = "u2" if bits == 16 else "i2"
    return np.dtype(f"{'>' if fmt.is_big_endian else '<'}{kind}")


def _is_float(fmt: VideoFormat) -> bool:
    return "f16" in fmt.name or "f32" in fmt.name


def _format_name(rgb: bool, subsampling: tuple[int, int], depth: int, *, alpha: bool = False) -> str:
    if rgb:
        return ("gbrap" if alpha else "gbrp") + _depth_suffix(depth)
    return f"yuv{'a' * alpha}{_CHROMA_DIGITS[subsampling]}p{_depth_suffix(depth)}"


def _depth_suffix(depth: int) -> str:
    return "" if depth == 8 else f"{depth}le"


def view_light(frame: VideoFrame) -> NDArray[np.float32] | None:
    """R, G, B of a frame of floating-point samples, (3, h, w) float32, unclipped; None for other frames."""
    if not (_is_float(frame.format) and frame.format.name.startswith("gbr")):
        return None
    light: NDArray[np.float32] = np.stack(_writable_views(frame)[:3]).astype(np.float32)
    return light


def view_alpha(frame: VideoFrame) -> NDArray[np.float32] | None:
    """Alpha of a decoded frame, (h, w) float32 in 0..1; None where its format has none."""
    if not frame.format.has_palette and not any(part.is_alpha for part in frame.format.components):
        return None
    if len(frame.planes) != 4:
        frame = frame.reformat(format="rgba64le" if frame.format.components[0].bits > 8 else "rgba")
    samples = _writable_views(frame)[3]
    largest = 1 if _is_float(frame.format) else (1 << frame.format.components[3].bits) - 1
    alpha: NDArray[np.float32] = samples.astype(np.float32) / np.float32(largest)
    return alpha
