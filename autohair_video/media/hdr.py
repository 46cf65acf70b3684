"""Static HDR metadata: the mastering display (SMPTE ST 2086) and the content's light levels (CTA-861.3)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame

# AVMasteringDisplayMetadata: ten rationals, then two flags.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")


@dataclass(frozen=True)
class HdrMetadata:
    """Mastering display and content light level of a clip.

    ``red``, ``green``, ``blue``, ``white``: CIE 1931 x and y. ``min_luminance``,
    ``max_luminance``, ``content_max``, ``frame_average_max``: cd/m2. Unspecified values are None.
    """

    red: tuple[Fraction, Fraction] | None = None
    green: tuple[Fraction, Fraction] | None = None
    blue: tuple[Fraction, Fraction] | None = None
    white: tuple[Fraction, Fraction] | None = None
    min_luminance: Fraction | None = None
    max_luminance: Fraction | None = None
    content_max: int | None = None
    frame_average_max: int | None = None

    @property
    def has_display(self) -> bool:
        """Whether the mastering display is described completely."""
        return None not in (
            self.red,
            self.green,
            self.blue,
            self.white,
            self.min_luminance,
            self.max_luminance,
        )


def read_hdr_metadata(frame: VideoFrame) -> HdrMetadata | None:
    """The HDR metadata of a decoded frame; None if it has none."""
    values: dict[str, object] = {}
    try:
        found: list[Any] = [*frame.side_data]
    except ValueError:
        # PyAV raises for all side data where one kind is unknown to it.
        return None
    sides = {side.type: bytes(side) for side in found}
    display, level = sides.get(Type.MASTERING_DISPLAY_METADATA), sides.get(Type.CONTENT_LIGHT_LEVEL)
    if display is not None and len(display) >= _MASTERING.size:
        values |= _mastering(display)
    if level is not None and len(level) >= _LIGHT.size:
        values["content_max"], values["frame_average_max"] = _LIGHT.unpack_from(level)
    return HdrMetadata(**values) if values else None  # type: ignore[arg-type]


def encoder_options(codec: str, light: HdrMetadata) -> dict[str, str] | None:
    """The option that makes an encoder write ``light``; None if it cannot.

    >>> encoder_options("libx265", HdrMetadata(content_max=1000, frame_average_max=400))
    {'x265-params': 'max-cll=1000,400'}
    """
    if codec == "libsvtav1":
        display, level, option, unit = "mastering-display", "content-light", "svtav1-params", None
    elif codec == "libx265":
        display, level, option, unit = "master-display", "max-cll", "x265-params", (50_000, 10_000)
    elif codec == "libx264":
        display, level, option, unit = "mastering-display", "cll", "x264-params", (50_000, 10_000)
    else:
        return None
    parts = [f"{display}={_display(light, unit)}"] if light.has_display else []
    if light.content_max is not None:
        parts.append(f"{level}={light.content_max},{light.frame_average_max or 0}")
    return {option: ":".join(parts)} if parts else {}


def _display(light: HdrMetadata, units: tuple[int, int] | None) -> str:
    """``G(x,y)B(x,y)R(x,y)WP(x,y)L(max,min)``; units: steps of a coordinate and of a cd/m2, or decimals."""

    def number(value: Fraction | None, unit: int) -> str:
        if value is None:
            raise ValueError("the mastering display is described incompletely")
        return str(round(value * unit)) if units else f"{float(value):.5f}"

    chroma, luma = units or (1, 1)
    points = {"G": light.green, "B": light.blue, "R": light.red, "WP": light.white}
    text = ""
    for name, point in points.items():
        if point is None:
            raise ValueError("the mastering display is described incompletely")
        text += f"{name}({number(point[0], chroma)},{number(point[1], chroma)})"
    return text + f"L({number(light.max_luminance, luma)},{number(light.min_luminance, luma)})"


def _mastering(data: bytes) -> dict[str, object]:
    *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(data)
    pairs = zip(numbers[0::2], numbers[1::2], strict=True)
    ratios = [Fraction(num, den) if den else Fraction(0) for num, den in pairs]
    points = [(ratios[i], ratios[i + 1]) for i in range(0, 8, 2)]
    values: dict[str, object] = {}
    if has_primaries:
        values |= dict(zip(("red", "green", "blue", "white"), points, strict=True))
    if has_luminance:
        values |= {"min_luminance": ratios[8], "max_luminance": ratios[9]}
    return values
