"""What defines an output format: container, codec, sample layout."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
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

    ``role``: frames without alpha, frames with alpha, or alpha itself as gray.
    ``muxers``: file extension -> FFmpeg's name of the container.
    ``subsamplings``: the chroma layouts written, coarsest first; none for RGB and for pure gray.
    ``depths``: bits per sample, in rising order; 32 is floating point.
    ``pixel_formats``: for RGB and gray, depth -> FFmpeg's name of the pixel format.
    ``alpha``: whether colour is written straight or multiplied by alpha; `premultiplied` changes it.
    ``multiplies_light``: what alpha multiplies is light, which is gamma-coded then.
    ``full_range``: the sample range written; None keeps that of the frames.
    ``is_linear``: the samples are proportional to light (floating point only).
    ``arrangement``: whether alpha lies beside or below the colours, as gray, instead of in a plane.
    ``divides_chroma``: the codec refuses sizes that its chroma subsampling does not divide.
    ``min_side_px``, ``width_step``: the smallest sides, and what the width must be a multiple of.
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
    divides_chroma: bool = False
    min_side_px: int = 1
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
        """Whether the output is a sequence of images, one file for each frame."""
        return "image2" in self.muxers.values()

    @property
    def default_extension(self) -> str:
        """What a file's name ends in, with the number of each image of a sequence."""
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


def accepted_names(rows: Iterable[Preset]) -> str:
    """The names of files that the rows are written to, for a message."""
    extensions: dict[str, None] = {}
    for preset in rows:
        names = (f"name.%05d{e}" if m == "image2" else e for e, m in preset.muxers.items())
        extensions |= dict.fromkeys(names)
    return ", ".join(extensions)
