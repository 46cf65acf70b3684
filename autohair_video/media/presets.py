"""Looks up output presets, and the frame format that each of them encodes.

A new kind of output is a new row in `preset_table`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

import av

from autohair_video.errors import OptionError
from autohair_video.frames import MATRIX_BT709, MATRIX_RGB, FrameFormat
from autohair_video.media.pixel_formats import pixel_format
from autohair_video.media.preset_spec import C420, C444, Preset, Role, Subsampling, accepted_names
from autohair_video.media.preset_table import PRESETS, PURPOSES

__all__ = [
    "PRESETS",
    "PURPOSES",
    "FormatRow",
    "Preset",
    "Role",
    "codec_depth",
    "codec_format",
    "codec_pixel_format",
    "format_rows",
    "premultiplied",
    "preset_for",
    "preset_for_purpose",
    "preset_named",
    "purposes_of",
]

_BT709: Final = 1
_DEEPEST: Final = 12
# Any frame size that all codecs take, for the table of formats.
_SAMPLE_PX: Final = 64

# By the specifications of PNG (12.3), WebP and GIF, the tag that FFmpeg gives to TIFF, and how every
# browser reads VP9.
_ALWAYS_STRAIGHT: Final = ("png", "apng", "libwebp_anim", "gif", "tiff", "libvpx-vp9")


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in PRESETS:
        raise OptionError(f"unknown format {name!r}: use {', '.join(PRESETS)}")
    return PRESETS[name]


def preset_for(path: str | Path, *, role: Role, purpose: str | None = None) -> Preset:
    """The first preset of a role, or of those that suit a purpose, with the extension of ``path``.

    >>> preset_for("cut.webm", role="alpha").name, preset_for("matte.%05d.png", role="matte").name
    ('vp9-alpha', 'png-sequence')
    >>> preset_for("cut.mov", role="composite", purpose="resolve").name
    'prores422'

    Raises:
        OptionError: no preset does, or there is no such purpose.
    """
    # Alpha beside the colours is written only on request.
    rows = [row for row in _rows(role, purpose) if purpose or row.arrangement == "single"]
    for preset in rows:
        if preset.fits(path):
            return preset
    whom = f" for {purpose}" if purpose else ""
    raise OptionError(f"{path}: a clip's {role}{whom} is written to {accepted_names(rows)}")


def preset_for_purpose(purpose: str, *, role: Role) -> Preset:
    """What suits a purpose best.

    >>> preset_for_purpose("nuke", role="alpha").name
    'exr'

    Raises:
        OptionError: there is no such purpose.
    """
    return _rows(role, purpose)[0]


def premultiplied(preset: Preset, *, in_light: bool = False) -> Preset:
    """The same output with colours multiplied by alpha: as they are coded, or ``in_light``.

    Raises:
        OptionError: the format has no alpha, or is defined to be straight.
    """
    if preset.alpha == "none":
        raise OptionError(f"format {preset.name} has no alpha plane to multiply its colours by")
    if preset.codec in _ALWAYS_STRAIGHT:
        raise OptionError(f"format {preset.name} is straight by definition: it cannot be premultiplied")
    return replace(preset, alpha="premultiplied", multiplies_light=in_light)


def purposes_of(preset: Preset) -> tuple[str, ...]:
    """The programs that a preset suits."""
    return tuple(name for name, rows in PURPOSES.items() if preset.name in rows)


def codec_format(preset: Preset, fmt: FrameFormat) -> FrameFormat:
    """The nearest format to ``fmt`` that the encoder of ``preset`` takes.

    Frames that already are in this format reach the encoder sample by sample. RGB becomes BT.709
    where Y'CbCr is written. For a matte only the size and the depth of ``fmt`` count, and gray is
    described as its luma. What holds more than 12 bit is fed from 12.

    Raises:
        OptionError: the codec does not take frames of this size.
    """
    _check_size(preset, fmt)
    depth = min(codec_depth(preset, fmt), _DEEPEST)
    if preset.is_rgb:
        return replace(fmt, bit_depth=depth, subsample_x=1, subsample_y=1, matrix=MATRIX_RGB, full_range=True)
    if preset.role == "matte":
        size = FrameFormat(fmt.width, fmt.height, sample_aspect_ratio=fmt.sample_aspect_ratio)
        fmt = replace(size, matrix=MATRIX_BT709, primaries=_BT709, transfer=_BT709)
    across, down = _subsampling(preset, fmt)
    full_range = fmt.full_range and not fmt.is_rgb
    return replace(
        fmt,
        bit_depth=depth,
        subsample_x=across,
        subsample_y=down,
        matrix=MATRIX_BT709 if fmt.is_rgb else fmt.matrix,
        full_range=full_range if preset.full_range is None else preset.full_range,
    )


def codec_depth(preset: Preset, fmt: FrameFormat) -> int:
    """Bits per sample that are written for frames of ``fmt``; 32 is floating point."""
    layout = _subsampling(preset, fmt)
    depths = [d for d in preset.depths if d in preset.pixel_formats or _takes_depth(preset, d, layout)]
    return next((d for d in depths if d >= fmt.bit_depth), depths[-1])


def codec_pixel_format(preset: Preset, fmt: FrameFormat) -> str:
    """FFmpeg's name of the pixel format that holds ``codec_format(preset, fmt)``."""
    if preset.pixel_formats:
        return preset.pixel_formats[codec_depth(preset, fmt)]
    return pixel_format(codec_format(preset, fmt), alpha=preset.alpha != "none")


def _takes_depth(preset: Preset, depth: int, layout: Subsampling) -> bool:
    """Whether this build's encoder has the depth: that of ProRes gains 12 bit by version."""
    sample = FrameFormat(16, 16, depth, *layout)
    return pixel_format(sample, alpha=preset.alpha != "none") in _encoder_formats(preset.codec)


@cache
def _encoder_formats(codec: str) -> frozenset[str]:
    return frozenset(taken.name for taken in av.codec.Codec(codec, "w").video_formats or ())


def _check_size(preset: Preset, fmt: FrameFormat) -> None:
    size = f"{fmt.width}x{fmt.height} px"
    if min(fmt.width, fmt.height) < preset.min_side_px:
        raise OptionError(f"format {preset.name} takes sides from {preset.min_side_px} px, not {size}")
    if fmt.width % preset.width_step:
        raise OptionError(
            f"format {preset.name} takes widths that are multiples of {preset.width_step}, not {size}: "
            "choose another format"
        )


def _subsampling(preset: Preset, fmt: FrameFormat) -> Subsampling:
    """The coarsest layout that loses no chroma of ``fmt`` and that the codec takes at its size."""
    if not preset.subsamplings:
        return C420
    usable = [
        (x, y)
        for x, y in preset.subsamplings
        if not (preset.divides_chroma and (fmt.width % x or fmt.height % y))
    ]
    if not usable:
        return C444
    # Players expect 4:2:0 for what was RGB; other layouts are chosen by preset.
    wanted = C420 if fmt.is_rgb else (fmt.subsample_x, fmt.subsample_y)
    return next((s for s in usable if s[0] <= wanted[0] and s[1] <= wanted[1]), usable[-1])


def _rows(role: Role, purpose: str | None) -> list[Preset]:
    if purpose is None:
        return [row for row in PRESETS.values() if row.role == role]
    if purpose not in PURPOSES:
        raise OptionError(f"unknown purpose {purpose!r}: use {', '.join(PURPOSES)}")
    return [PRESETS[name] for name in PURPOSES[purpose] if PRESETS[name].role == role]


@dataclass(frozen=True)
class FormatRow:
    """One output format in words; ``purposes`` are the values of ``--for`` that it suits."""

    name: str
    content: str
    files: str
    codec: str
    pixel_formats: str
    alpha: str
    sample_range: str
    purposes: str

    def as_dict(self) -> dict[str, str]:
        """Column -> text."""
        return asdict(self)


def format_rows() -> list[FormatRow]:
    """All formats, those with alpha first, then composites, then mattes.

    >>> next(row.alpha for row in format_rows() if row.name == "exr")
    'premultiplied, linear'
    """
    return [_row(preset) for preset in PRESETS.values()]


def _row(preset: Preset) -> FormatRow:
    names = (f"name.%05d{e}" if preset.is_numbered else e for e in preset.muxers)
    return FormatRow(
        name=preset.name,
        content={"alpha": "cut-out", "composite": "composite", "matte": "matte"}[preset.role],
        files=" ".join(names),
        codec=preset.codec,
        pixel_formats=" ".join(_pixel_formats(preset)),
        alpha=_alpha(preset),
        sample_range={True: "full", False: "limited", None: "as the input"}[preset.full_range],
        purposes=" ".join(purposes_of(preset)) or "-",
    )


def _pixel_formats(preset: Preset) -> list[str]:
    """What frames of the usual layouts become, each once."""
    formats: dict[str, None] = {}
    for across, down in ((2, 2), (2, 1), (1, 1)):
        for depth in (8, 10, 12):
            fmt = FrameFormat(_SAMPLE_PX, _SAMPLE_PX, depth, across, down)
            formats[codec_pixel_format(preset, fmt)] = None
    return list(formats)


def _alpha(preset: Preset) -> str:
    if preset.arrangement != "single":
        return f"straight, {'beside' if preset.arrangement == 'side-by-side' else 'below'} the colours"
    if preset.role == "matte":
        return "grayscale alpha"
    parts: list[str] = [preset.alpha]
    if preset.codec == "gif":
        parts.append("on or off")
    if preset.is_linear:
        parts.append("linear")
    return ", ".join(parts)
