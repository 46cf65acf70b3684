"""Human-readable description of a clip, for ``autohair-video probe``."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from typing import Any, Final

from autohair_video.frames import UNSPECIFIED, FrameFormat
from autohair_video.media.colour import effective_matrix
from autohair_video.media.decode import open_clip
from autohair_video.media.inputs import Source, SourceLike
from autohair_video.media.orientation import Orientation
from autohair_video.media.probe import ClipInfo, probe

_MOST_PACKETS: Final = 3000
_NAMES: Final = {
    "matrix": {0: "RGB", 1: "BT.709", 5: "BT.601", 6: "BT.601", 9: "BT.2020", 10: "BT.2020 CL"},
    "primaries": {1: "BT.709", 5: "BT.601 (625)", 6: "BT.601 (525)", 9: "BT.2020", 12: "P3-D65"},
    "transfer": {1: "BT.709", 6: "BT.601", 13: "sRGB", 14: "BT.2020", 15: "BT.2020", 16: "PQ", 18: "HLG"},
}
_HDR_TRANSFERS: Final = (16, 18)


@dataclass(frozen=True)
class Overview:
    """Property -> value, in reading order, and one line for each warning."""

    properties: dict[str, Any]
    tracks: tuple[dict[str, Any], ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """What ``--json`` prints."""
        return {**self.properties, "tracks": list(self.tracks), "warnings": list(self.warnings)}


def overview(path: SourceLike) -> Overview:
    """Look at a clip: its first frame is decoded, and the times of its first 3000 are read.

    Raises:
        InputError: as `probe`.
    """
    info = probe(path)
    steps = _steps(path)
    rate = info.rate if steps else None  # the demuxer invents one for a still
    fmt = info.format
    properties: dict[str, Any] = {
        "file": str(path),
        "container": info.container,
        "codec": info.codec,
        "pixel_format": info.pixel_format,
        "size": f"{fmt.width}x{fmt.height}",
        "pixel_shape": str(fmt.sample_aspect_ratio),
        "rotation": info.rotation,
        "mirrored": info.orientation.is_mirrored,
        "bit_depth": fmt.bit_depth,
        "rate": None if rate is None else str(rate),
        "variable_rate": _varies(steps),
        "frames": info.expected_frames,
        "duration_s": info.duration_s if steps else None,
        "interlaced": info.is_interlaced,
        "alpha": info.has_alpha,
        "matrix": colour_name("matrix", fmt.matrix),
        "primaries": colour_name("primaries", fmt.primaries),
        "transfer": colour_name("transfer", fmt.transfer),
        "range": range_name(fmt),
        "hdr": fmt.transfer in _HDR_TRANSFERS,
        "content_light": None if info.hdr is None else info.hdr.content_max,
    }
    tracks = tuple(
        {
            "index": track.index,
            "kind": track.kind,
            "codec": track.codec,
            "language": track.language,
            "channels": track.channels or None,
            "sample_rate": track.sample_rate or None,
        }
        for track in (*info.audio, *info.subtitles)
    )
    return Overview(properties, tracks, tuple(_warnings(info, fmt, steps)))


def _steps(path: SourceLike) -> list[Fraction]:
    """How long the frames last, in seconds, in their order on the screen."""
    container, stream = open_clip(Source.of(path))
    with container:
        pts = (packet.pts for packet in container.demux(stream) if packet.size)
        ticks = sorted(time for time in islice(pts, _MOST_PACKETS) if time is not None)
        base = stream.time_base or Fraction(1)
    # B-frames of the last group may lie beyond the cut.
    whole = ticks if len(ticks) < _MOST_PACKETS else ticks[:-16]
    return [(after - before) * base for before, after in pairwise(whole)]


def _varies(steps: list[Fraction]) -> bool:
    """Whether frames differ by more than the rounding of a clock of milliseconds."""
    return bool(steps) and max(steps) - min(steps) > Fraction(1, 500)


def colour_name(kind: str, code: int) -> str:
    """The common name of the ``code`` (ITU-T H.273) of a ``matrix``, ``primaries`` or ``transfer``.

    >>> colour_name("transfer", 16), colour_name("primaries", 22)
    ('PQ', 'code 22')
    """
    return "unspecified" if code == UNSPECIFIED else _NAMES[kind].get(code, f"code {code}")


def range_name(fmt: FrameFormat) -> str:
    """``full`` or ``limited``."""
    return "full" if fmt.full_range else "limited"


def _warnings(info: ClipInfo, fmt: FrameFormat, steps: list[Fraction]) -> list[str]:
    lines = []
    if _varies(steps):
        shortest, longest = (1000 * float(step) for step in (min(steps), max(steps)))
        lines.append(f"variable rate: frames last {shortest:.1f} to {longest:.1f} ms; all times are kept")
    if info.orientation != Orientation():
        ways = ["mirrored"] * info.orientation.is_mirrored
        ways += [f"rotated by {info.rotation} degrees"] * bool(info.rotation)
        lines.append(f"stored {' and '.join(ways)}: outputs are upright")
    if info.is_interlaced:
        lines.append("interlaced: frames are deinterlaced (--no-deinterlace keeps them)")
    if fmt.matrix == UNSPECIFIED and not fmt.is_rgb:
        guess = colour_name("matrix", effective_matrix(fmt))
        lines.append(f"no colour matrix specified: read as {guess}, by its size, as players do")
    if fmt.transfer in _HDR_TRANSFERS:
        lines.append("HDR: h264, h265, av1, prores4444, ffv1-alpha and exr keep it; 8-bit formats do not")
    if info.has_alpha:
        lines.append("has alpha of its own: output alpha never exceeds it (--input-alpha replace)")
    if fmt.width % 2 or fmt.height % 2:
        lines.append("odd size: H.264 and H.265 become 4:4:4, which some players do not show")
    if steps and not info.audio:
        lines.append("no sound")
    return lines
