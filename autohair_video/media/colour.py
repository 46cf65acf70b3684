"""Y'CbCr <-> R'G'B' on tensors, on whatever device the planes lie.

Everything follows from the two constants Kr and Kb of a matrix (ITU-T H.273, table 4): the matrix
itself by equations 38 to 40, the sample values by 23 to 25 (limited range) and 29 to 31 (full
range). R'G'B' is gamma-coded throughout: no transfer function and no primaries are ever touched, so
a conversion and its inverse meet again whatever the clip's tags say. RGB planes are full range, as
FFmpeg takes them.

4:2:0 and 4:2:2 chroma is sited as MPEG-2 and H.264 do by default: on every second luma column, and
half way between two luma rows.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from autohair_video.frames import (
    MATRIX_BT470BG,
    MATRIX_BT709,
    MATRIX_BT2020_CL,
    MATRIX_BT2020_NCL,
    MATRIX_SMPTE170M,
    MATRIX_SMPTE240M,
    FrameBatch,
    FrameFormat,
)
from autohair_video.media.transfer import from_linear, to_linear

Planes = tuple[Tensor, Tensor, Tensor]
Scale = tuple[float, float]

MATRIX_FCC: Final = 4

# Constant-luminance BT.2020 is not affine; its own Kr and Kb in the affine form come closest.
_KR_KB: Final = {
    MATRIX_BT709: (0.2126, 0.0722),
    MATRIX_FCC: (0.30, 0.11),
    MATRIX_BT470BG: (0.299, 0.114),
    MATRIX_SMPTE170M: (0.299, 0.114),
    MATRIX_SMPTE240M: (0.212, 0.087),
    MATRIX_BT2020_NCL: (0.2627, 0.0593),
    MATRIX_BT2020_CL: (0.2627, 0.0593),
}


def effective_matrix(fmt: FrameFormat) -> int:
    """The matrix that the samples of ``fmt`` are read with, as a code point of ITU-T H.273.

    An unspecified matrix, or one that has no Kr and Kb (YCgCo, ICtCp), is guessed by size as mpv
    and most players do: BT.709 above 576 rows or from 1280 columns, BT.601 below.

    >>> effective_matrix(FrameFormat(640, 480)), effective_matrix(FrameFormat(1280, 720))
    (6, 1)
    """
    if fmt.is_rgb or fmt.matrix in _KR_KB:
        return fmt.matrix
    return MATRIX_BT709 if fmt.height > 576 or fmt.width >= 1280 else MATRIX_SMPTE170M


def to_rgb(batch: FrameBatch) -> Tensor:
    """Gamma-coded R'G'B' of a batch: (N, 3, H, W) float32 in 0..1, on the batch's device.

    Chroma is interpolated linearly to the luma's size. Values outside the RGB cube are clipped.
    """
    return planes_to_rgb(batch.planes, batch.format)


def planes_to_rgb(planes: Planes, fmt: FrameFormat) -> Tensor:
    """As `to_rgb`, for planes of float or integer sample values of ``fmt``."""
    return _decode(planes, fmt).clamp_(0, 1)


def from_rgb(rgb: Tensor, fmt: FrameFormat) -> Planes:
    """Planes of ``fmt`` for (N, 3, H, W) R'G'B' in 0..1.

    They hold float32 sample values, not rounded and not clipped. Chroma is filtered down to the
    format's chroma size.
    """
    if tuple(rgb.shape[1:]) != (3, fmt.height, fmt.width):
        raise ValueError(f"RGB of shape {tuple(rgb.shape)} for {fmt.width}x{fmt.height} px")
    return _encode(rgb.float(), fmt)


def round_planes(planes: Planes, fmt: FrameFormat) -> Planes:
    """Float sample values to the nearest integers of ``fmt``, clipped to 0..max_value."""
    y, u, v = (_quantise(plane, fmt.max_value) for plane in planes)
    return y, u, v


def quantise_alpha(alpha: Tensor, bit_depth: int) -> Tensor:
    """Alpha in 0..1 to integers of ``bit_depth`` bit: 0 stays 0, 1 is the largest value.

    >>> quantise_alpha(torch.tensor([0.0, 0.5, 1.0]), 8).tolist()
    [0, 128, 255]
    """
    largest = (1 << bit_depth) - 1
    return _quantise(alpha.float() * largest, largest)


def premultiply(planes: Planes, alpha: Tensor, fmt: FrameFormat) -> Planes:
    """Straight integer planes as planes of the same format over black.

    ``alpha``: (N, 1, H, W) float32 in 0..1. R'G'B' is multiplied as it is coded, as editors do by default.
    """
    y, u, v = (plane.float() for plane in planes)
    coarse = alpha if fmt.is_rgb else _downsample(alpha, fmt)
    black, zero = _luma_scale(fmt)[0], _chroma_scale(fmt)[0]
    luma = (y - black).mul_(alpha).add_(black)
    u, v = ((plane - zero).mul_(coarse).add_(zero) for plane in (u, v))
    return round_planes((luma, u, v), fmt)


def premultiply_light(planes: Planes, alpha: Tensor, fmt: FrameFormat) -> Planes:
    """`premultiply` for programs that blend light: what alpha multiplies is the light that is coded.

    Samples under alpha 1 stay exact.
    """
    shade = from_linear(to_linear(planes_to_rgb(planes, fmt), fmt) * alpha, fmt)
    coarse = alpha if fmt.is_rgb else _downsample(alpha, fmt)
    y, u, v = (
        torch.where(weight == 1, plane, new)
        for plane, new, weight in zip(
            planes, round_planes(from_rgb(shade, fmt), fmt), (alpha, coarse, coarse), strict=True
        )
    )
    return y, u, v


def convert_format(planes: Planes, src: FrameFormat, dst: FrameFormat) -> Planes:
    """Integer planes of ``src`` as integer planes of ``dst``, on the same device.

    What already agrees is handed through untouched, plane by plane: the very same tensors come back
    when the two formats differ in nothing but tags. Between formats of one matrix only range, bit
    depth and subsampling change; RGB is passed through only when the matrices differ.

    Raises:
        ValueError: the formats differ in size.
    """
    if (src.width, src.height) != (dst.width, dst.height):
        raise ValueError(f"cannot convert {src.width}x{src.height} to {dst.width}x{dst.height} px")
    if _coefficients(src) != _coefficients(dst):
        return round_planes(_encode(_decode(planes, src), dst), dst)
    y, u, v = planes
    luma, chroma = (_luma_scale(src), _luma_scale(dst)), (_chroma_scale(src), _chroma_scale(dst))
    u, v = (_rescale(_resample(plane, src, dst), *chroma, dst) for plane in (u, v))
    return _rescale(y, *luma, dst), u, v


def _coefficients(fmt: FrameFormat) -> tuple[float, float] | None:
    """Kr and Kb of a format's matrix; None for RGB."""
    return None if fmt.is_rgb else _KR_KB[effective_matrix(fmt)]


def _luma_scale(fmt: FrameFormat) -> Scale:
    """Sample value of black, and how many steps white lies above it."""
    if fmt.full_range or fmt.is_rgb:
        return 0.0, float(fmt.max_value)
    step = 1 << (fmt.bit_depth - 8)
    return 16.0 * step, 219.0 * step


def _chroma_scale(fmt: FrameFormat) -> Scale:
    """Sample value of no colour, and how many steps a colour difference of one takes."""
    if fmt.is_rgb:
        return 0.0, float(fmt.max_value)
    if fmt.full_range:
        return float(1 << (fmt.bit_depth - 1)), float(fmt.max_value)
    step = 1 << (fmt.bit_depth - 8)
    return 128.0 * step, 224.0 * step


def _decode(planes: Planes, fmt: FrameFormat) -> Tensor:
    """(N, 3, H, W) float32 R'G'B', not clipped."""
    black, span = _luma_scale(fmt)
    zero, chroma_span = _chroma_scale(fmt)
    y = (planes[0].float() - black).div_(span)
    cb, cr = ((plane.float() - zero).div_(chroma_span) for plane in planes[1:])
    constants = _coefficients(fmt)
    if constants is None:
        return torch.cat((y, cb, cr), dim=1)
    kr, kb = constants
    red, blue = (2 - 2 * kr) * cr, (2 - 2 * kb) * cb
    green = (kr * red + kb * blue) / (kr + kb - 1)
    # How far each colour lies from luma is linear in chroma: made at its size, it costs a quarter.
    return _upsample(torch.cat((red, green, blue), dim=1), fmt).add_(y)


def _encode(rgb: Tensor, fmt: FrameFormat) -> Planes:
    """Float32 sample values of ``fmt`` for (N, 3, H, W) float32 R'G'B'."""
    black, span = _luma_scale(fmt)
    zero, chroma_span = _chroma_scale(fmt)
    r, g, b = rgb.unsqueeze(2).unbind(1)
    constants = _coefficients(fmt)
    if constants is None:
        return r * span, g * span, b * span
    kr, kb = constants
    y = (r * kr).add_(g, alpha=1 - kr - kb).add_(b, alpha=kb)
    cb = _downsample(b - y, fmt) * (chroma_span / (2 - 2 * kb))
    cr = _downsample(r - y, fmt) * (chroma_span / (2 - 2 * kr))
    return y.mul_(span).add_(black), cb.add_(zero), cr.add_(zero)


def _quantise(samples: Tensor, largest: int) -> Tensor:
    """Float samples to integers in 0..largest, halves upwards."""
    rounded = (samples + 0.5).floor_().clamp_(0, largest)
    if largest == 255:
        return rounded.to(torch.uint8)
    return rounded.to(torch.int16 if largest < 1 << 15 else torch.int32)


def _rescale(plane: Tensor, old: Scale, new: Scale, dst: FrameFormat) -> Tensor:
    """Moves samples from one zero and span to another; samples already in place are not touched."""
    if old == new:
        return _quantise(plane, dst.max_value) if plane.is_floating_point() else plane
    scaled = (plane.float() - old[0]).mul_(new[1] / old[1]).add_(new[0])
    return _quantise(scaled, dst.max_value)


def _resample(plane: Tensor, src: FrameFormat, dst: FrameFormat) -> Tensor:
    """Chroma of ``src`` at the chroma size of ``dst``; float32 where it had to be filtered."""
    if (src.subsample_x, src.subsample_y) == (dst.subsample_x, dst.subsample_y):
        return plane
    return _downsample(_upsample(plane.float(), src), dst)


def _upsample(chroma: Tensor, fmt: FrameFormat) -> Tensor:
    """Float chroma at luma size, interpolated linearly from where it is sited."""
    if fmt.subsample_y == 2:
        chroma = _double_rows(chroma)[..., : fmt.height, :]
    if fmt.subsample_x == 2:
        chroma = _double_columns(chroma)[..., : fmt.width]
    return chroma


def _downsample(chroma: Tensor, fmt: FrameFormat) -> Tensor:
    """Float chroma at the format's size: the mean of two down columns, (1, 2, 1) / 4 along rows."""
    if fmt.subsample_y == 2:
        upper, lower = chroma[..., 0::2, :], chroma[..., 1::2, :]
        if chroma.shape[-2] % 2:
            lower = torch.cat((lower, chroma[..., -1:, :]), dim=-2)
        chroma = (upper + lower).mul_(0.5)
    if fmt.subsample_x == 2:
        on, right = chroma[..., 0::2], chroma[..., 1::2]
        if chroma.shape[-1] % 2:
            right = torch.cat((right, chroma[..., -1:]), dim=-1)
        left = torch.cat((chroma[..., :1], right[..., :-1]), dim=-1)
        chroma = (left + right).mul_(0.25).add_(on, alpha=0.5)
    return chroma


def _double_rows(chroma: Tensor) -> Tensor:
    """Twice the rows; each new row lies a quarter of a chroma row from its nearest sample."""
    *head, h, w = chroma.shape
    rows = chroma.new_empty((*head, 2 * h, w))
    upper, lower = chroma[..., :-1, :], chroma[..., 1:, :]
    # Written in place: on a CPU fresh memory costs more than the arithmetic.
    torch.lerp(lower, upper, 0.25, out=rows[..., 2::2, :])
    torch.lerp(upper, lower, 0.25, out=rows[..., 1:-1:2, :])
    rows[..., 0, :], rows[..., -1, :] = chroma[..., 0, :], chroma[..., -1, :]
    return rows


def _double_columns(chroma: Tensor) -> Tensor:
    """Twice the columns; even ones lie on the samples, odd ones half way between two."""
    *head, w = chroma.shape
    columns = chroma.new_empty((*head, 2 * w))
    columns[..., 0::2] = chroma
    torch.lerp(chroma[..., :-1], chroma[..., 1:], 0.5, out=columns[..., 1:-1:2])
    columns[..., -1] = chroma[..., -1]
    return columns
