"""How far alpha is from the truth: the measures of image and video matting, as pure functions.

Alpha and truth are (H, W) arrays in 0..1; sequences are (T, H, W). ``region`` is an (H, W) boolean array
of the pixels that count (as a rule, where the trimap is unknown), or None for the whole frame. Each
measure comes in the unit in which papers print it, so that 0 is perfect and numbers can be compared.

Rhemann et al.: "A Perceptually Motivated Online Benchmark for Image Matting", CVPR 2009.
Erofeev et al.: "Perceptually Motivated Benchmark for Video Matting", BMVC 2015.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Alpha = NDArray[np.float32]
Region = NDArray[np.bool_] | None

BAND_PX: Final = 10
_MIXED: Final = (0.05, 0.95)
_GRAD_SIGMA: Final = 1.4
_CONN_STEPS: Final = 10
_CONN_TOLERANCE: Final = 0.15


def sad(alpha: Alpha, truth: Alpha, region: Region = None) -> float:
    """Sum of absolute differences, in thousands of pixels (Rhemann et al., section 3).

    >>> round(sad(np.full((20, 50), 0.25, np.float32), np.zeros((20, 50), np.float32)), 6)
    0.25
    """
    return float(_inside(np.abs(alpha - truth), region).sum(dtype=np.float64)) / 1e3


def mad(alpha: Alpha, truth: Alpha, region: Region = None) -> float:
    """Mean absolute difference, times 1000; nan if ``region`` is empty."""
    return _mean(_inside(np.abs(alpha - truth), region)) * 1e3


def mse(alpha: Alpha, truth: Alpha, region: Region = None) -> float:
    """Mean squared difference, times 1000 (Rhemann et al., section 3); nan if ``region`` is empty."""
    return _mean(_inside(np.square(alpha - truth), region)) * 1e3


def grad(alpha: Alpha, truth: Alpha, region: Region = None) -> float:
    """Gradient error (Rhemann et al., section 4): sum of (|grad alpha| - |grad truth|)^2, over 1000.

    Gradients are first-order Gaussian derivatives with sigma 1.4; both filters have unit energy, and
    the picture's border is replicated.
    """
    difference = np.square(_gradient(alpha) - _gradient(truth))
    return float(_inside(difference, region).sum(dtype=np.float64)) / 1e3


def conn(alpha: Alpha, truth: Alpha, region: Region = None) -> float:
    """Connectivity error (Rhemann et al., section 4): sum of |phi(alpha) - phi(truth)|, over 1000.

    phi = 1 - d where d = alpha - l is at least 0.15, else 1; l is the highest of the levels 0, 0.1 ... 1
    up to which a pixel stays in the largest 4-connected piece of where alpha and truth both reach it.
    """
    level = _connected_level(alpha, truth)
    difference = np.abs(_connectedness(alpha, level) - _connectedness(truth, level))
    return float(_inside(difference, region).sum(dtype=np.float64)) / 1e3


def transition_band(truth: Alpha) -> NDArray[np.bool_]:
    """(H, W): the pixels within 10 px of a true transition.

    A transition is a pixel with 0.01 < alpha < 0.99, or one whose 3x3 neighbourhood crosses 0.5. "Within" is
    OpenCV's elliptic element of 21x21 px.
    """
    solid = (truth > 0.5).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    crossing = cv2.dilate(solid, square) != cv2.erode(solid, square)
    transition = crossing | ((truth > 0.01) & (truth < 0.99))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND_PX + 1, 2 * BAND_PX + 1))
    return cv2.dilate(transition.astype(np.uint8), disc) > 0


def band_mad(alpha: Alpha, truth: Alpha) -> float:
    """Mean absolute difference in the `transition_band`, times 1000; nan if there is no transition."""
    return mad(alpha, truth, transition_band(truth))


def iou(alpha: Alpha, truth: Alpha) -> float:
    """Intersection over union of the masks alpha > 0.5, in 0..1; 1 if both are empty."""
    ours, theirs = alpha > 0.5, truth > 0.5
    union = np.count_nonzero(ours | theirs)
    return np.count_nonzero(ours & theirs) / union if union else 1.0


def false_translucency(alpha: Alpha, truth: Alpha, *, margin: float = 0.03) -> float:
    """Percentage of all pixels whose alpha is undecided far from the true edge.

    Undecided is 0.05 < alpha < 0.95; the true edge is where the truth lies within these bounds or crosses
    0.5; far is more than ``margin`` of the subject's height, that of truth > 0.5. Where the truth is empty
    or has no edge, every undecided pixel counts. Fractional alpha is right at edges, in hair, blur and
    glass, and there only: translucent people in the fore- and background are what this figure shows.

    >>> truth = np.zeros((100, 100), np.float32)
    >>> truth[:, 50:] = 1
    >>> edge, ghost = truth.copy(), truth.copy()
    >>> edge[:, 48:52], ghost[:, :10] = 0.5, 0.5
    >>> false_translucency(edge, truth), false_translucency(ghost, truth)
    (0.0, 10.0)
    """
    low, high = _MIXED
    solid = (truth > 0.5).astype(np.uint8)
    square = np.ones((3, 3), np.uint8)
    edge = (cv2.dilate(solid, square) != cv2.erode(solid, square)) | ((truth > low) & (truth < high))
    undecided = (alpha > low) & (alpha < high)
    if edge.any():
        height = np.ptp(np.flatnonzero(solid.any(axis=1))) + 1 if solid.any() else 0
        undecided &= cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5) > margin * height
    return _mean(undecided.astype(np.float32)) * 1e2


def dtssd(alphas: Alpha, truths: Alpha, region: Region = None) -> float:
    """Flicker (Erofeev et al., section 4): root mean square of the error's change, times 100.

    The root is taken for each pair of neighbouring frames and the pairs are averaged, as video matting
    papers do since RobustVideoMatting. nan for fewer than two frames.

    >>> still, flash = np.zeros((3, 4, 4), np.float32), np.zeros((3, 4, 4), np.float32)
    >>> flash[1] = 0.5
    >>> dtssd(still, still), dtssd(flash, still)
    (0.0, 50.0)
    """
    change = np.square(np.diff(alphas - truths, axis=0))
    return _mean([np.sqrt(_mean(_inside(step, region))) for step in change]) * 1e2


def messd_dt(alphas: Alpha, truths: Alpha, flows: NDArray[np.float32], region: Region = None) -> float:
    """Flicker along the motion (MESSDdt, Erofeev et al., section 4), as mean per pixel, times 1000.

    Mean of |e(p, t)^2 - e(p + v, t + 1)^2| over pixels and pairs of frames; e is alpha - truth.

    Args:
        alphas: (T, H, W).
        truths: (T, H, W).
        flows: (T - 1, H, W, 2), the motion v in pixels (x, y) from each frame to the next. Pixels that leave
            the frame do not count.
        region: (H, W) or None.
    """
    errors = np.square(alphas - truths)
    pairs = zip(errors, errors[1:], flows, strict=False)
    return _mean([_moved_change(now, later, flow, region) for now, later, flow in pairs]) * 1e3


def _moved_change(now: Alpha, later: Alpha, flow: NDArray[np.float32], region: Region) -> float:
    height, width = now.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = x + flow[..., 0], y + flow[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    moved = cv2.remap(later, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return _mean(np.abs(now - moved)[inside if region is None else inside & region])


def _inside(values: Alpha, region: Region) -> Alpha:
    return values if region is None else values[region]


def _mean(values: Alpha | list[float]) -> float:
    return float(np.mean(values, dtype=np.float64)) if len(values) else float("nan")


def _gradient(alpha: Alpha) -> Alpha:
    # The benchmark cuts the Gaussian where it falls under 0.01; sigma 1.4 gives 9 taps.
    taps = np.arange(-4, 5, dtype=np.float64)
    smooth = np.exp(-np.square(taps / _GRAD_SIGMA) / 2)
    slope = -taps * smooth
    smooth, slope = smooth / np.linalg.norm(smooth), slope / np.linalg.norm(slope)
    alpha = np.asarray(alpha, np.float64)
    across = cv2.sepFilter2D(alpha, -1, slope, smooth, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(alpha, -1, smooth, slope, borderType=cv2.BORDER_REPLICATE)
    return np.hypot(across, down).astype(np.float32)


def _connected_level(alpha: Alpha, truth: Alpha) -> Alpha:
    """For each pixel the highest level up to which it never left the largest connected piece."""
    common = np.minimum(alpha, truth)
    level = np.zeros(alpha.shape, np.float32)
    connected = np.ones(alpha.shape, bool)
    for step in range(1, _CONN_STEPS + 1):
        connected &= _largest_piece(common >= np.float32(step / _CONN_STEPS))
        level[connected] = step / _CONN_STEPS
    return level


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    if count < 2:
        return np.zeros(mask.shape, bool)
    return np.asarray(labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _connectedness(alpha: Alpha, level: Alpha) -> Alpha:
    distance = alpha - level
    return np.where(distance >= _CONN_TOLERANCE, 1 - distance, 1).astype(np.float32)
