"""The table of output formats, and the formats that programs read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from autohair_video.media.preset_spec import C420, C422, C444, Preset

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
        min_side_px=32,
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
        divides_chroma=True,
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
        divides_chroma=True,
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
        divides_chroma=True,
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
        divides_chroma=True,
        min_side_px=16,
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
        min_side_px=16,
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
        divides_chroma=True,
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
