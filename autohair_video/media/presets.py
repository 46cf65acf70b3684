"""The table of outputs: each row says which container, codec and sample layout a preset writes.

A new kind of output is a new row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from autohair_video.errors import OptionError
from autohair_video.frames import MATRIX_BT709, FrameFormat
from autohair_video.media.planes import pixel_format
from autohair_video.media.staging import is_sequence

Role = Literal["composite", "alpha", "matte"]
Subsampling = tuple[int, int]

C420: Final[Subsampling] = (2, 2)
C422: Final[Subsampling] = (2, 1)
C444: Final[Subsampling] = (1, 1)

_BT709: Final = 1


@dataclass(frozen=True)
class Preset:
    """One kind of output.

    ``role``: a picture without alpha, a picture with alpha, or alpha itself as gray.
    ``muxers``: file extension -> FFmpeg's name of the container.
    ``subsamplings``: the chroma layouts written, coarsest first; none for pure gray.
    ``depths``: bits per sample, in rising order.
    ``alpha``: whether colour is written straight (not multiplied by alpha).
    ``full_range``: the sample range written; None keeps that of the frames.
    ``whole_chroma``: the codec refuses sizes that its chroma subsampling does not divide.
    ``options``: the encoder's.
    """

    name: str
    role: Role
    muxers: Mapping[str, str]
    codec: str
    subsamplings: tuple[Subsampling, ...]
    depths: tuple[int, ...] = (8,)
    alpha: Literal["none", "straight"] = "none"
    full_range: bool | None = None
    whole_chroma: bool = False
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_gray(self) -> bool:
        """Whether the output has a single plane."""
        return not self.subsamplings


_H264: Final = {"crf": "18", "preset": "fast"}

_ROWS: Final = (
    Preset(
        name="h264",
        role="composite",
        muxers={".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"},
        codec="libx264",
        subsamplings=(C420, C422, C444),
        depths=(8, 10),
        whole_chroma=True,
        options=_H264,
    ),
    Preset(
        name="prores4444",
        role="alpha",
        muxers={".mov": "mov"},
        codec="prores_ks",
        subsamplings=(C444,),
        depths=(10,),
        alpha="straight",
        full_range=False,
        # Some editors open only what Apple's own encoder seems to have written.
        options={"profile": "4444", "vendor": "apl0"},
    ),
    Preset(
        name="vp9-alpha",
        role="alpha",
        muxers={".webm": "webm"},
        codec="libvpx-vp9",
        subsamplings=(C420,),
        alpha="straight",
        # Alternate reference frames and an alpha plane exclude each other in libvpx. At one quality
        # (45.6 dB luma, 67 dB alpha at 720p) "realtime" takes a quarter of the time of "good" and 13 %
        # more bits.
        options={
            "crf": "20",
            "b": "0",
            "auto-alt-ref": "0",
            "deadline": "realtime",
            "cpu-used": "6",
            "row-mt": "1",
        },
    ),
    Preset(
        name="ffv1-matte",
        role="matte",
        muxers={".mkv": "matroska"},
        codec="ffv1",
        subsamplings=(),
        full_range=True,
        options={"level": "3", "slicecrc": "1"},
    ),
    # Editors read untagged or full-range H.264 as limited all too often, so luma keeps to 16..235
    # and is tagged so: a player or editor shows 0..255.
    Preset(
        name="h264-matte",
        role="matte",
        muxers={".mp4": "mp4", ".mov": "mov"},
        codec="libx264",
        subsamplings=(C420, C422, C444),
        full_range=False,
        whole_chroma=True,
        options={"crf": "12", "preset": "fast"},
    ),
    Preset(
        name="png-sequence",
        role="matte",
        muxers={".png": "image2"},
        codec="png",
        subsamplings=(),
        full_range=True,
    ),
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({row.name: row for row in _ROWS})


def preset_named(name: str) -> Preset:
    """The preset of that name.

    Raises:
        OptionError: there is none.
    """
    if name not in PRESETS:
        raise OptionError(f"unknown format {name!r}: use {', '.join(PRESETS)}")
    return PRESETS[name]


def preset_for(path: str | Path, *, role: Role) -> Preset:
    """The first preset of a role that goes with the extension of ``path``.

    >>> preset_for("cut.webm", role="alpha").name, preset_for("matte.%05d.png", role="matte").name
    ('vp9-alpha', 'png-sequence')

    Raises:
        OptionError: no preset does.
    """
    extension = Path(path).suffix.lower()
    for preset in PRESETS.values():
        # A single .png is a still, not a clip.
        numbered = preset.muxers.get(extension) != "image2" or is_sequence(path)
        if preset.role == role and extension in preset.muxers and numbered:
            return preset
    raise OptionError(f"{path}: a clip's {role} is written to {_accepted(role)}")


def codec_format(preset: Preset, fmt: FrameFormat) -> FrameFormat:
    """The nearest format to ``fmt`` that the encoder of ``preset`` takes.

    Frames that already are in this format reach the encoder sample by sample. RGB becomes BT.709.
    For a matte only the size of ``fmt`` counts, and gray is described as its luma.
    """
    if preset.role == "matte":
        fmt = FrameFormat(fmt.width, fmt.height, sample_aspect_ratio=fmt.sample_aspect_ratio)
        fmt = replace(fmt, matrix=MATRIX_BT709, primaries=_BT709, transfer=_BT709)
    across, down = _subsampling(preset, fmt)
    full_range = fmt.full_range and not fmt.is_rgb
    return replace(
        fmt,
        bit_depth=next((d for d in preset.depths if d >= fmt.bit_depth), preset.depths[-1]),
        subsample_x=across,
        subsample_y=down,
        matrix=MATRIX_BT709 if fmt.is_rgb else fmt.matrix,
        full_range=full_range if preset.full_range is None else preset.full_range,
    )


def codec_pixel_format(preset: Preset, fmt: FrameFormat) -> str:
    """FFmpeg's name of the pixel format that holds ``codec_format(preset, fmt)``."""
    if preset.is_gray:
        return "gray"
    return pixel_format(codec_format(preset, fmt), alpha=preset.alpha != "none")


def _subsampling(preset: Preset, fmt: FrameFormat) -> Subsampling:
    """The coarsest layout that loses no chroma of ``fmt`` and that the codec takes at its size."""
    usable = [
        (x, y)
        for x, y in preset.subsamplings
        if not (preset.whole_chroma and (fmt.width % x or fmt.height % y))
    ]
    if not usable:
        return C444
    # Players want 4:2:0 of what was RGB; who needs more chooses a format for it.
    wanted = C420 if fmt.is_rgb else (fmt.subsample_x, fmt.subsample_y)
    return next((s for s in usable if s[0] <= wanted[0] and s[1] <= wanted[1]), usable[-1])


def _accepted(role: Role) -> str:
    extensions: dict[str, None] = {}
    for preset in PRESETS.values():
        if preset.role == role:
            names = (f"name.%05d{e}" if m == "image2" else e for e, m in preset.muxers.items())
            extensions |= dict.fromkeys(names)
    return ", ".join(extensions)
