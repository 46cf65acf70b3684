"""The rows: which container, codec and sample layout each output format is, and what programs take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from autohair_video.errors import OptionError
from autohair_video.media.atomic_output import is_sequence

Role = Literal["composite", "alpha", "matte"]
AlphaKind = Literal["none", "straight", "premultiplied"]
Arrangement = Literal["single", "side-by-side", "stacked"]
Subsampling = tuple[int, int]

C420: Final[Subsampling] = (2, 2)
C422: Final[Subsampling] = (2, 1)
C444: Final[Subsampling] = (1, 1)


@dataclass(frozen=True)
class Preset:
    """One kind of output.

    ``role``: a picture without alpha, a picture with alpha, or alpha itself as gray.
    ``muxers``: file extension -> FFmpeg's name of the container.
    ``subsamplings``: the chroma layouts written, coarsest first; none for RGB and for pure gray.
    ``depths``: bits per sample, in rising order; 32 is floating point.
    ``pixel_formats``: for RGB and gray, depth -> FFmpeg's name of the pixel format.
    ``alpha``: whether colour is written straight or multiplied by alpha; `premultiplied` changes it.
    ``multiplies_light``: what alpha multiplies is light, which is gamma-coded then.
    ``full_range``: the sample range written; None keeps that of the frames.
    ``is_linear``: the samples are proportional to light (floating point only).
    ``arrangement``: whether alpha lies beside or below the colours, as gray, instead of in a plane.
    ``whole_chroma``: the codec refuses sizes that its chroma subsampling does not divide.
    ``least_px``, ``width_step``: the smallest sides, and what the width must be a multiple of.
    ``is_lossless``: alpha comes back sample by sample.
    ``options``: the encoder's. ``muxer_options``: the container's. ``tag``: the codec's name in the
    container, where players insist on one.
    """

    name: str
    role: Role
    muxers: Mapping[str, str]
    codec: str
    subsamplings: tuple[Subsampling, ...] = ()
    depths: tuple[int, ...] = (8,)
    pixel_formats: Mapping[int, str] = field(default_factory=dict)
    alpha: AlphaKind = "none"
    multiplies_light: bool = False
    full_range: bool | None = None
    is_linear: bool = False
    arrangement: Arrangement = "single"
    whole_chroma: bool = False
    least_px: int = 1
    width_step: int = 1
    is_lossless: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    tag: str | None = None

    @property
    def is_gray(self) -> bool:
        """Whether the output has a single plane."""
        return self.role == "matte" and not self.subsamplings

    @property
    def is_rgb(self) -> bool:
        """Whether the output holds R'G'B' samples."""
        return self.role != "matte" and not self.subsamplings

    @property
    def is_numbered(self) -> bool:
        """Whether the output is a sequence of pictures, one file for each frame."""
        return "image2" in self.muxers.values()

    @property
    def default_extension(self) -> str:
        """What a file's name ends in, with the number of each picture of a sequence."""
        extension = next(iter(self.muxers))
        return f".%05d{extension}" if self.is_numbered else extension

    def fits(self, path: str | Path) -> bool:
        """Whether a file of this name can hold the output; a single .png is a still, not a clip."""
        return Path(path).suffix.lower() in self.muxers and (is_sequence(path) or not self.is_numbered)

    def check_path(self, path: str | Path) -> None:
        """Raises OptionError unless a file of this name can hold the output."""
        if not self.fits(path):
            raise OptionError(f"{path}: format {self.name} is written to {accepted_names([self])}")

    @property
    def needs_alpha(self) -> bool:
        """Whether frames are written together with their alpha."""
        return self.role != "composite"


_FILMS: Final = MappingProxyType({".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"})
_H264: Final = {"crf": "18", "preset": "fast"}
# Some editors open only what Apple's own encoder seems to have written.
_PRORES: Final = {"vendor": "apl0"}
_PNG_FORMATS: Final = {8: "rgba", 16: "rgba64be"}
# Animations that play for ever.
_ENDLESS: Final = {"loop": "0"}

_ALPHA_ROWS: Final = (
    Preset(
        name="prores4444",
        role="alpha",
        muxers={".mov": "mov"},
        codec="prores_ks",
        subsamplings=(C444,),
        depths=(10, 12),
        alpha="straight",
        full_range=False,
        is_lossless=True,
        options=_PRORES | {"profile": "4444"},
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
        name="ffv1-alpha",
        role="alpha",
        muxers={".mkv": "matroska"},
        codec="ffv1",
        subsamplings=(C420, C422, C444),
        depths=(8, 10, 12),
        alpha="straight",
        is_lossless=True,
        options={"level": "3", "slicecrc": "1"},
    ),
    Preset(
        name="animation",
        role="alpha",
        muxers={".mov": "mov"},
        codec="qtrle",
        pixel_formats={8: "argb"},
        alpha="straight",
        full_range=True,
        is_lossless=True,
    ),
    Preset(
        name="cineform",
        role="alpha",
        muxers={".mov": "mov"},
        codec="cfhd",
        depths=(12,),
        pixel_formats={12: "gbrap12le"},
        alpha="straight",
        full_range=True,
        least_px=32,
        width_step=16,
        options={"quality": "film3+"},
    ),
    Preset(
        name="utvideo",
        role="alpha",
        # Its home on Windows; frames of a varying rate do not fit in.
        muxers={".avi": "avi"},
        codec="utvideo",
        pixel_formats={8: "gbrap"},
        alpha="straight",
        full_range=True,
        is_lossless=True,
    ),
    Preset(
        name="png",
        role="alpha",
        muxers={".png": "image2"},
        codec="png",
        depths=(8, 16),
        pixel_formats=_PNG_FORMATS,
        alpha="straight",
        full_range=True,
        is_lossless=True,
    ),
    Preset(
        name="png16",
        role="alpha",
        muxers={".png": "image2"},
        codec="png",
        depths=(16,),
        pixel_formats=_PNG_FORMATS,
        alpha="straight",
        full_range=True,
        is_lossless=True,
    ),
    Preset(
        name="tiff",
        role="alpha",
        muxers={".tif": "image2", ".tiff": "image2"},
        codec="tiff",
        depths=(8, 16),
        pixel_formats={8: "rgba", 16: "rgba64le"},
        alpha="straight",
        full_range=True,
        is_lossless=True,
        options={"compression_algo": "deflate"},
    ),
    # OpenEXR's own convention: light, multiplied by alpha.
    Preset(
        name="exr",
        role="alpha",
        muxers={".exr": "image2"},
        codec="exr",
        depths=(32,),
        pixel_formats={32: "gbrapf32le"},
        alpha="premultiplied",
        full_range=True,
        is_linear=True,
        options={"format": "half", "compression": "zip16"},
    ),
    Preset(
        name="exr-float",
        role="alpha",
        muxers={".exr": "image2"},
        codec="exr",
        depths=(32,),
        pixel_formats={32: "gbrapf32le"},
        alpha="premultiplied",
        full_range=True,
        is_linear=True,
        is_lossless=True,
        options={"format": "float", "compression": "zip16"},
    ),
    Preset(
        name="webp",
        role="alpha",
        muxers={".webp": "webp"},
        codec="libwebp_anim",
        pixel_formats={8: "bgra"},
        alpha="straight",
        full_range=True,
        is_lossless=True,
        options={"quality": "80"},
        muxer_options=_ENDLESS,
    ),
    Preset(
        name="apng",
        role="alpha",
        muxers={".apng": "apng"},
        codec="apng",
        depths=(8,),
        pixel_formats=_PNG_FORMATS,
        alpha="straight",
        full_range=True,
        is_lossless=True,
        muxer_options={"plays": "0"},
    ),
    # A pixel of a GIF is there or it is not.
    Preset(
        name="gif",
        role="alpha",
        muxers={".gif": "gif"},
        codec="gif",
        pixel_formats={8: "pal8"},
        alpha="straight",
        full_range=True,
        muxer_options=_ENDLESS,
    ),
    Preset(
        name="side-by-side",
        role="alpha",
        muxers=_FILMS,
        codec="libx264",
        subsamplings=(C420, C422, C444),
        full_range=False,
        arrangement="side-by-side",
        whole_chroma=True,
        options=_H264,
    ),
    Preset(
        name="stacked",
        role="alpha",
        muxers=_FILMS,
        codec="libx264",
        subsamplings=(C420, C422, C444),
        full_range=False,
        arrangement="stacked",
        whole_chroma=True,
        options=_H264,
    ),
)

_COMPOSITE_ROWS: Final = (
    Preset(
        name="h264",
        role="composite",
        muxers=_FILMS,
        codec="libx264",
        subsamplings=(C420, C422, C444),
        depths=(8, 10),
        whole_chroma=True,
        options=_H264,
    ),
    # libx265 lists pixel formats with alpha, and cannot encode them.
    Preset(
        name="h265",
        role="composite",
        muxers=_FILMS,
        codec="libx265",
        subsamplings=(C420, C422, C444),
        depths=(10, 12),
        whole_chroma=True,
        least_px=16,
        options={"crf": "20", "preset": "fast", "x265-params": "log-level=error"},
        # Apple's players do not look for parameter sets in the stream.
        tag="hvc1",
    ),
    Preset(
        name="av1",
        role="composite",
        muxers={".webm": "webm", ".mp4": "mp4", ".mkv": "matroska"},
        codec="libsvtav1",
        subsamplings=(C420,),
        depths=(8, 10),
        least_px=16,
        options={"crf": "28", "preset": "8"},
    ),
    Preset(
        name="png-frames",
        role="composite",
        muxers={".png": "image2"},
        codec="png",
        depths=(8, 16),
        pixel_formats={8: "rgb24", 16: "rgb48be"},
        full_range=True,
        is_lossless=True,
    ),
    Preset(
        name="exr-frames",
        role="composite",
        muxers={".exr": "image2"},
        codec="exr",
        depths=(32,),
        pixel_formats={32: "gbrpf32le"},
        full_range=True,
        is_linear=True,
        options={"format": "half", "compression": "zip16"},
    ),
    Preset(
        name="prores422",
        role="composite",
        muxers={".mov": "mov"},
        codec="prores_ks",
        subsamplings=(C422,),
        depths=(10,),
        full_range=False,
        options=_PRORES | {"profile": "hq"},
    ),
)

_MATTE_ROWS: Final = (
    Preset(
        name="ffv1-matte",
        role="matte",
        muxers={".mkv": "matroska"},
        codec="ffv1",
        depths=(8, 10, 12),
        pixel_formats={8: "gray", 10: "gray10le", 12: "gray12le"},
        full_range=True,
        is_lossless=True,
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
        name="prores422-matte",
        role="matte",
        muxers={".mov": "mov"},
        codec="prores_ks",
        subsamplings=(C422,),
        depths=(10,),
        full_range=False,
        options=_PRORES | {"profile": "hq"},
    ),
    Preset(
        name="png-sequence",
        role="matte",
        muxers={".png": "image2"},
        codec="png",
        depths=(8, 16),
        pixel_formats={8: "gray", 16: "gray16be"},
        full_range=True,
        is_lossless=True,
    ),
)

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {row.name: row for row in _ALPHA_ROWS + _COMPOSITE_ROWS + _MATTE_ROWS}
)

# What a program takes, the best first.
PURPOSES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "premiere": ("prores4444", "cineform", "animation", "utvideo", "png", "prores422", "h264"),
        "resolve": ("prores4444", "cineform", "png", "exr", "tiff", "prores422", "h264"),
        "fcp": ("prores4444", "animation", "png", "prores422", "h264"),
        "after-effects": ("prores4444", "animation", "cineform", "png", "exr", "prores422", "h264"),
        "web": ("vp9-alpha", "webp", "apng", "gif", "stacked", "side-by-side", "h264", "av1"),
        "obs": ("vp9-alpha", "prores4444", "animation", "webp", "gif", "apng", "h264", "av1"),
        "nuke": ("exr", "exr-float", "png16", "tiff", "prores4444", "exr-frames", "png-frames", "prores422"),
        "unscreen": ("vp9-alpha", "prores4444", "gif", "apng", "png", "h264"),
    }
)


def accepted_names(rows: Iterable[Preset]) -> str:
    """The names of files that the rows are written to, for a message."""
    extensions: dict[str, None] = {}
    for preset in rows:
        names = (f"name.%05d{e}" if m == "image2" else e for e, m in preset.muxers.items())
        extensions |= dict.fromkeys(names)
    return ", ".join(extensions)
