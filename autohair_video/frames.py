"""Value types that pass between stages: tensors together with their timestamps and colour format.

No stage receives a bare tensor. A `FrameBatch` holds the three sample planes as decoded (Y, Cb, Cr, or
R, G, B), their pts in an integer time base, and the `FrameFormat` that defines the samples' meaning. A
`Matte` holds alpha for the same frames and times.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

import torch
from torch import Tensor

# AVColorSpace, AVColorRange, AVColorPrimaries and AVColorTransferCharacteristic share this code.
UNSPECIFIED: Final = 2
MATRIX_RGB: Final = 0
MATRIX_BT709: Final = 1
MATRIX_BT470BG: Final = 5
MATRIX_SMPTE170M: Final = 6
MATRIX_SMPTE240M: Final = 7
MATRIX_BT2020_NCL: Final = 9
MATRIX_BT2020_CL: Final = 10


@dataclass(frozen=True)
class FrameFormat:
    """Sample layout and colour space of a frame.

    Sizes are in pixels. ``matrix``, ``primaries`` and ``transfer`` are the code points of ITU-T H.273
    (the numbers FFmpeg uses); 2 means unspecified. ``subsample_x`` and ``subsample_y`` are 1 or 2: 4:2:0
    is (2, 2), 4:2:2 is (2, 1), 4:4:4 and RGB are (1, 1). ``bit_depth`` is 8 to 12.

    Raises:
        ValueError: the size, bit depth or subsampling is out of range.

    >>> FrameFormat(width=17, height=33).chroma_size
    (17, 9)
    """

    width: int
    height: int
    bit_depth: int = 8
    subsample_x: int = 2
    subsample_y: int = 2
    matrix: int = UNSPECIFIED
    full_range: bool = False
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    sample_aspect_ratio: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"a frame of {self.width}x{self.height} px has no pixels")
        if not 8 <= self.bit_depth <= 12:
            raise ValueError(f"bit depth {self.bit_depth} is not 8 to 12")
        if {self.subsample_x, self.subsample_y} - {1, 2}:
            raise ValueError(f"chroma subsampling {self.subsample_x}x{self.subsample_y} is not 1 or 2")
        if self.is_rgb and (self.subsample_x, self.subsample_y) != (1, 1):
            raise ValueError("RGB planes are never subsampled")

    @property
    def is_rgb(self) -> bool:
        """Whether the planes are R, G, B instead of Y, Cb, Cr."""
        return self.matrix == MATRIX_RGB

    @property
    def chroma_size(self) -> tuple[int, int]:
        """Height and width of the second and third plane, rounded up as FFmpeg does."""
        return -(-self.height // self.subsample_y), -(-self.width // self.subsample_x)

    @property
    def max_value(self) -> int:
        """The largest sample value."""
        return (1 << self.bit_depth) - 1

    @property
    def sample_dtype(self) -> torch.dtype:
        """The tensor type of the planes: uint8, or int16 above 8 bit."""
        return torch.uint8 if self.bit_depth == 8 else torch.int16


@dataclass(frozen=True)
class FrameBatch:
    """N consecutive frames as planes.

    ``planes``: (N, 1, H, W) luma (or R) and two (N, 1, h, w) chroma planes (or G, B), of the format's
    ``sample_dtype``, all on one device. ``pts`` and ``durations`` count in ``time_base`` seconds; a
    duration of 0 means unknown. ``alpha``: the clip's own alpha channel, (N, 1, H, W) float32 in 0..1.

    Raises:
        ValueError: a shape, dtype or length does not match the format and the number of pts.
    """

    planes: tuple[Tensor, Tensor, Tensor]
    format: FrameFormat
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    time_base: Fraction
    alpha: Tensor | None = None

    def __post_init__(self) -> None:
        n = len(self.pts)
        luma = (n, 1, self.format.height, self.format.width)
        chroma = (n, 1, *self.format.chroma_size)
        for plane, shape in zip(self.planes, (luma, chroma, chroma), strict=True):
            if tuple(plane.shape) != shape:
                raise ValueError(f"a plane of shape {tuple(plane.shape)} where {shape} is due")
            if plane.dtype != self.format.sample_dtype:
                raise ValueError(f"a plane of {plane.dtype} where {self.format.sample_dtype} is due")
        if len(self.durations) != n:
            raise ValueError(f"{len(self.durations)} durations for {n} frames")
        if self.alpha is not None and tuple(self.alpha.shape) != luma:
            raise ValueError(f"alpha of shape {tuple(self.alpha.shape)} where {luma} is due")

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def device(self) -> torch.device:
        """The device of the planes."""
        return self.planes[0].device

    def to(self, device: torch.device | str) -> FrameBatch:
        """The same frames on ``device``.

        Asynchronous only from pinned memory to CUDA, where stream order makes it safe. All other copies
        finish before this returns: a non-blocking copy to MPS reads memory that may be freed by then, and
        one to the CPU returns before the values have arrived.
        """
        device = torch.device(device)
        y, u, v = (_copy(plane, device) for plane in self.planes)
        alpha = None if self.alpha is None else _copy(self.alpha, device)
        return replace(self, planes=(y, u, v), alpha=alpha)

    def pinned(self) -> FrameBatch:
        """The same frames in page-locked memory, from which `to` copies to CUDA asynchronously."""
        y, u, v = (plane.pin_memory() for plane in self.planes)
        alpha = None if self.alpha is None else self.alpha.pin_memory()
        return replace(self, planes=(y, u, v), alpha=alpha)

    def with_planes(self, planes: tuple[Tensor, Tensor, Tensor], fmt: FrameFormat) -> FrameBatch:
        """Other samples at the same times."""
        return replace(self, planes=planes, format=fmt)

    def halves(self) -> tuple[FrameBatch, FrameBatch]:
        """The first and the second half of two or more frames."""
        middle = len(self) // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def frame(self, index: int) -> FrameBatch:
        """One frame, as a batch of 1."""
        return self._part(slice(index, index + 1))

    def _part(self, rows: slice) -> FrameBatch:
        y, u, v = (plane[rows] for plane in self.planes)
        alpha = None if self.alpha is None else self.alpha[rows]
        return replace(
            self, planes=(y, u, v), pts=self.pts[rows], durations=self.durations[rows], alpha=alpha
        )

    def __repr__(self) -> str:
        f = self.format
        return (
            f"FrameBatch({len(self)} x {f.width}x{f.height}, {f.bit_depth} bit, "
            f"pts {self.pts[:1]}..{self.pts[-1:]} in {self.time_base}, {self.device})"
        )


def _copy(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.to(device, non_blocking=device.type == "cuda" and tensor.is_pinned())


def join_frames(batches: Sequence[FrameBatch]) -> FrameBatch:
    """Consecutive batches of one format and time base, concatenated."""
    if len(batches) == 1:
        return batches[0]
    y, u, v = (torch.cat(planes) for planes in zip(*(batch.planes for batch in batches), strict=True))
    brought = [batch.alpha for batch in batches if batch.alpha is not None]
    return replace(
        batches[0],
        planes=(y, u, v),
        pts=tuple(pts for batch in batches for pts in batch.pts),
        durations=tuple(duration for batch in batches for duration in batch.durations),
        alpha=torch.cat(brought) if brought else None,
    )


@dataclass(frozen=True)
class Matte:
    """Alpha of N consecutive frames: (N, 1, H, W) float32 in 0..1, with the times of those frames.

    ``trimap``: the trimap that alpha was inferred from, (N, 1, H, W) uint8 of 0, 128 and 255, if any.
    ``raw_alpha``: alpha before choke, feather and levels, where these changed it.
    ``notices``: one line for each warning about these frames.

    Raises:
        ValueError: a shape, dtype or length does not match the number of pts.
    """

    alpha: Tensor
    pts: tuple[int, ...]
    durations: tuple[int, ...]
    time_base: Fraction
    trimap: Tensor | None = None
    raw_alpha: Tensor | None = None
    notices: tuple[str, ...] = ()

    @classmethod
    def of_still(
        cls,
        alpha: Tensor,
        *,
        trimap: Tensor | None = None,
        raw_alpha: Tensor | None = None,
        notices: tuple[str, ...] = (),
    ) -> Matte:
        """The matte of one image: a single frame at time 0, of unknown duration."""
        return cls(alpha, (0,), (0,), Fraction(1), trimap, raw_alpha, notices)

    def __post_init__(self) -> None:
        if self.alpha.ndim != 4 or self.alpha.shape[:2] != (len(self.pts), 1):
            raise ValueError(f"alpha of shape {tuple(self.alpha.shape)} for {len(self.pts)} frames")
        if self.alpha.dtype != torch.float32:
            raise ValueError(f"alpha of {self.alpha.dtype} where torch.float32 is due")
        if len(self.durations) != len(self.pts):
            raise ValueError(f"{len(self.durations)} durations for {len(self.pts)} frames")
        for name, plane in (("trimap", self.trimap), ("raw_alpha", self.raw_alpha)):
            if plane is not None and plane.shape != self.alpha.shape:
                shapes = tuple(plane.shape), tuple(self.alpha.shape)
                raise ValueError(f"a {name} of shape {shapes[0]} for alpha of {shapes[1]}")

    def __len__(self) -> int:
        return len(self.pts)

    def halves(self) -> tuple[Matte, Matte]:
        """The first and the second half of two or more frames."""
        middle = len(self) // 2
        return self._part(slice(None, middle)), self._part(slice(middle, None))

    def _part(self, rows: slice) -> Matte:
        trimap, raw_alpha = (None if x is None else x[rows] for x in (self.trimap, self.raw_alpha))
        return replace(
            self,
            alpha=self.alpha[rows],
            pts=self.pts[rows],
            durations=self.durations[rows],
            trimap=trimap,
            raw_alpha=raw_alpha,
        )
