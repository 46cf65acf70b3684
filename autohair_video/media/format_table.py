"""The table of output formats as it is shown to people."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from autohair_video.frames import FrameFormat
from autohair_video.media.presets import PRESETS, Preset, codec_pixel_format, purposes_of

_SAMPLE_PX = 64


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
        return "is the picture"
    parts: list[str] = [preset.alpha]
    if preset.codec == "gif":
        parts.append("on or off")
    if preset.is_linear:
        parts.append("linear")
    return ", ".join(parts)
