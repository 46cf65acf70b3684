"""What cameras and codecs do to a picture: light, noise, 4:2:0, compression, rescaling.

Pictures are (H, W, 3) float32 RGB in 0..1. Alpha never passes through here.
"""

from __future__ import annotations

import cv2
import numpy as np

from autohair_video.training.codec_roundtrip import through_h264
from autohair_video.training.synthetic.canvas import Floats


def degrade(image: Floats, rng: np.random.Generator, *, clean: float = 0.3) -> Floats:
    """The picture as a random camera and codec hand it on; with chance ``clean`` as it is."""
    if rng.random() < clean:
        return image
    u = rng.random
    if u() < 0.15:
        image = image * np.float32(rng.uniform(0.15, 0.5))  # low light, so that noise weighs more
    if u() < 0.2:
        image = rescale(image, rng.uniform(0.45, 0.9))
    if u() < 0.6:
        image = add_noise(image, rng, level=float(np.exp(rng.uniform(np.log(0.003), np.log(0.05)))))
    if u() < 0.2:
        image = sharpen(image, rng.uniform(0.3, 1.5))
    if u() < 0.5:
        image = average_chroma(image)
    if u() < 0.35:
        image = compress(image, int(rng.integers(30, 96)))
    elif u() < 0.45:
        image = compress_as_video(image, int(rng.integers(12, 38)))
    return np.clip(image, 0, 1).astype(np.float32)


def jitter(colour: Floats, rng: np.random.Generator) -> Floats:
    """Another exposure, white balance, gamma, saturation and contrast; (H, W, 3) straight RGB."""
    gain = rng.lognormal(0, 0.18) * rng.lognormal(0, 0.06, 3)
    gamma, saturation = rng.lognormal(0, 0.18), rng.uniform(0.4, 1.4)
    contrast = rng.uniform(0.75, 1.25)
    mixing = np.full((3, 3), (1 - saturation) / 3) + np.eye(3) * saturation
    shift = np.full((3, 1), 0.5 * (1 - contrast))
    colour = cv2.pow(np.clip(colour * gain.astype(np.float32), 0, 1), gamma)
    return np.clip(cv2.transform(colour, np.hstack([mixing * contrast, shift])), 0, 1)


def add_noise(image: Floats, rng: np.random.Generator, *, level: float) -> Floats:
    """Sensor noise: its variance grows with the light (Foi et al. 2008); coarse at times."""
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.4:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.8) * np.float32(2.2)
    if rng.random() < 0.3:
        grain = np.broadcast_to(grain[..., :1], image.shape)
    spread = np.sqrt(level**2 * (0.3 + np.clip(image, 0, 1)))
    return (image + grain * spread).astype(np.float32)


def average_chroma(image: Floats) -> Floats:
    """Chroma at half size, as in 4:2:0 video."""
    ycc = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2YCrCb)
    half = cv2.resize(ycc[..., 1:], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    ycc[..., 1:] = cv2.resize(half, image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB), np.float32)


def compress(image: Floats, quality: int) -> Floats:
    """Artefacts of a JPEG of this quality (1..100)."""
    bgr = (np.clip(image[..., ::-1], 0, 1) * 255 + 0.5).astype(np.uint8)
    _, packed = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.float32)
    return np.asarray(decoded[..., ::-1] / np.float32(255))


def compress_as_video(image: Floats, crf: int) -> Floats:
    """Artefacts of an H.264 key frame at this rate factor (0..51); sides are even."""
    levels = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    return np.asarray(through_h264(levels, crf=crf) / np.float32(255), np.float32)


def rescale(image: Floats, factor: float) -> Floats:
    """Down by ``factor`` and up again."""
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def sharpen(image: Floats, amount: float) -> Floats:
    """Unsharp masking with its halo."""
    blurred = cv2.GaussianBlur(image, (0, 0), 1.2)
    return np.asarray(image + amount * (image - blurred), np.float32)
