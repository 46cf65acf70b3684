"""Painted foregrounds with exact alpha: layers of straight colour, and the canvas that makes them.

A `Canvas` holds several opaque samples per pixel. Whatever is painted later hides what was painted
before, sample by sample, so alpha (the painted share of a pixel) and colour (the mean over the
painted samples only) are exact up to the number of samples, also where many strands cross.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]  # of float32; OpenCV's type stubs promise no more than numbers
Points = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

_SHIFT: Final = 4  # fractional bits of OpenCV's drawing coordinates
_OPAQUE: Final = 255


@dataclass(frozen=True)
class Layer:
    """A foreground: ``colour`` (H, W, 3) straight RGB and ``alpha`` (H, W), float32 in 0..1.

    Colour is defined everywhere: where alpha is 0 it continues that of the nearest painted pixels.
    """

    colour: Floats
    alpha: Floats

    @classmethod
    def from_premultiplied(cls, rgba: Floats) -> Layer:
        """The layer of a premultiplied (H, W, 4) picture, its colour continued where alpha is 0."""
        return cls(_extend_colour(rgba), np.clip(rgba[..., 3], 0, 1))

    def premultiplied(self) -> Floats:
        """(H, W, 4): colour times alpha, and alpha."""
        return np.dstack([self.colour * self.alpha[..., None], self.alpha])

    def over(self, below: Layer) -> Layer:
        """Both layers as one, this one in front (Porter and Duff 1984, operator over)."""
        front = self.premultiplied()
        return Layer.from_premultiplied(front + below.premultiplied() * (1 - front[..., 3:]))


class Canvas:
    """A transparent surface of ``height`` x ``width`` pixels with ``samples`` x ``samples`` each.

    Coordinates are (x, y) in pixels with (0, 0) at the top left corner of the first pixel; colours
    are RGB in 0..1.
    """

    def __init__(self, height: int, width: int, *, samples: int = 4) -> None:
        self.samples = samples
        self._rgba = np.zeros((height * samples, width * samples, 4), np.uint8)

    def stroke(self, points: Points, width_px: float, colour: Points) -> None:
        """Paint a line along ``points`` (K, 2), at least one sample wide, exact to about one sample."""
        self.strokes(np.asarray(points)[None], width_px, colour)

    def strokes(self, lines: Points, width_px: float, colour: Points) -> None:
        """Paint lines of one width and colour along ``lines`` (N, K, 2), as `stroke` does."""
        wanted = width_px * self.samples
        # OpenCV draws one sample for a thickness of 1, and t + 1 samples for an even t.
        thickness = 1 if wanted < 2 else max(2, 2 * round((wanted - 1) / 2))
        fixed = list(self._fixed(lines))
        cv2.polylines(self._rgba, fixed, False, _scalar(colour), thickness, cv2.LINE_8, _SHIFT)

    def fill(self, outline: Points, colour: Points) -> None:
        """Paint the inside of the closed polygon ``outline`` (K, 2)."""
        cv2.fillPoly(self._rgba, [self._fixed(outline)], _scalar(colour), cv2.LINE_8, _SHIFT)

    def erase(self, outline: Points) -> None:
        """Cut a hole of the shape of ``outline`` (K, 2)."""
        cv2.fillPoly(self._rgba, [self._fixed(outline)], (0, 0, 0, 0), cv2.LINE_8, _SHIFT)

    def layer(self) -> Layer:
        """What was painted so far, averaged over the samples of each pixel."""
        height, width = (side // self.samples for side in self._rgba.shape[:2])
        rgba = self._rgba.astype(np.float32) / np.float32(255)
        mean = cv2.resize(rgba, (width, height), interpolation=cv2.INTER_AREA)
        return Layer.from_premultiplied(mean)

    def premultiplied(self) -> Floats:
        """What was painted so far, premultiplied (H, W, 4), to 8 bits: several times faster than `layer`."""
        height, width = (side // self.samples for side in self._rgba.shape[:2])
        mean = cv2.resize(self._rgba, (width, height), interpolation=cv2.INTER_AREA)
        return np.asarray(mean * np.float32(1 / 255), np.float32)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        scaled = (np.asarray(points, np.float64) * self.samples - 0.5) * (1 << _SHIFT)
        return np.round(np.clip(scaled, -(2**26), 2**26)).astype(np.int32)


def soft_mask(mask: NDArray[np.bool_], *, smooth_px: float = 0.0, edge_px: float = 1.0) -> Floats:
    """Coverage (H, W) in 0..1 of a hard mask whose edge is smoothed and ramps over ``edge_px``.

    The ramp runs along the signed distance to the edge, so that a wide ramp does not round corners
    off more than ``smooth_px`` does.
    """
    inside = mask.astype(np.uint8)
    from_edge = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    distance = np.asarray(from_edge - cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5))
    if smooth_px > 0:
        distance = np.asarray(cv2.GaussianBlur(distance, (0, 0), smooth_px))
    return np.asarray(np.clip(distance / max(edge_px, 1e-3) + 0.5, 0, 1), np.float32)


def erode(mask: Mask, reach: int) -> Mask:
    """The mask less all that is within ``reach`` px of its outside, by a square."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.erode(mask.astype(np.uint8), square) > 0)


def dilate(mask: Mask, reach: int) -> Mask:
    """The mask and all that is within ``reach`` px of it, by a square."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), square) > 0)


def cut_out(photo: Floats, mask: Mask, *, edge_px: float, smooth_px: float) -> Layer:
    """What ``mask`` (H, W) shows of a photo (H, W, 3), uint8.

    Colour near the edge comes from well inside, where no background shines through.
    """
    sure = erode(mask, 2).astype(np.float32)[..., None]
    inner = np.dstack([photo.astype(np.float32) / np.float32(255) * sure, sure])
    alpha = soft_mask(mask, smooth_px=smooth_px, edge_px=edge_px)
    return Layer(Layer.from_premultiplied(inner).colour, alpha)


def filtered(layer: Layer, kernel: Floats) -> Layer:
    """The layer seen through a blur: colour and alpha spread together, as light does."""
    return Layer.from_premultiplied(
        cv2.filter2D(layer.premultiplied(), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    )


def disc_kernel(radius_px: float) -> Floats:
    """The even disc of a lens out of focus, sum 1."""
    reach = int(np.ceil(radius_px)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.clip(radius_px - np.hypot(x, y) + 0.5, 0, 1).astype(np.float32)
    return np.asarray(disc / disc.sum(), np.float32)


def motion_kernel(length_px: float, angle: float) -> Floats:
    """The trace of a point that moves ``length_px`` along ``angle`` (radians), sum 1."""
    reach = int(np.ceil(length_px / 2)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = np.abs(x * np.cos(angle) + y * np.sin(angle))
    across = np.abs(y * np.cos(angle) - x * np.sin(angle))
    trace = np.clip(length_px / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return np.asarray(trace / trace.sum(), np.float32)


def _extend_colour(rgba: Floats) -> Floats:
    # Push-pull (Gortler et al. 1996): coarser means fill what the finer ones leave empty.
    if min(rgba.shape[:2]) <= 2:
        mean = rgba.reshape(-1, 4).mean(0)
        flat = np.full((*rgba.shape[:2], 3), mean[:3] / max(float(mean[3]), 1e-6))
        return flat.astype(np.float32)
    alpha = rgba[..., 3:]
    size = (-(-rgba.shape[1] // 2), -(-rgba.shape[0] // 2))
    coarse = _extend_colour(cv2.resize(rgba, size, interpolation=cv2.INTER_AREA))
    behind = cv2.resize(coarse, rgba.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    straight = rgba[..., :3] / np.maximum(alpha, 1e-6)
    # One 8-bit step of alpha carries no colour worth keeping.
    known = np.clip(alpha * 128, 0, 1)
    return np.asarray(np.clip(straight * known + behind * (1 - known), 0, 1), np.float32)


def _scalar(colour: Points) -> tuple[float, float, float, float]:
    red, green, blue = (float(c) * 255 for c in np.clip(colour, 0, 1))
    return red, green, blue, _OPAQUE
