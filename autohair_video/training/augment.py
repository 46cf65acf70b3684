"""Augmentations of people and scenes for the segmenter's samples.

Pictures are (S, S, 3) float32 RGB in 0..1, alpha and hair (S, S, 1) in 0..1; each function draws from the
generator that it is given, and the same state gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.backgrounds import Photo, backdrop, noise
from autohair_video.training.degrade import degrade
from autohair_video.training.synthetic.canvas import Canvas, motion_kernel
from autohair_video.training.synthetic.shapes import between, blob, paint_fingers, polygon, random_colour

Floats = NDArray[np.float32]

# Alpha of what nothing shines through.
_SOLID = 0.95
# Chances of what a camera may do to a picture.
_SHADOWS, _GREY, _DEFOCUS = 0.15, 0.08, 0.2
# Of clothes: all hues turned, and plain cloth below some height, and of that the white or pale.
_OTHER_HUES, _PLAIN_CLOTH, _PALE_CLOTH = 0.5, 0.7, 0.4
# Of things in a scene: the share in colours of skin, hair and wood; of those with straight sides.
_SKIN_COLOURED, _STRAIGHT_SIDED = 0.3, 0.6


def squeezed_photo(photo: Photo, rng: np.random.Generator, size: int) -> Floats:
    """A photo, and of a long one most, squeezed to a square of ``size`` px, or its mirror image.

    All of its short side is there, and of the long side up to 1.8 times as much.
    """
    height, width = photo.shape[:2]
    side = min(max(height, width), round(min(height, width) * rng.uniform(1, 1.8)))
    top, left = (int(rng.integers(0, max(1, n - side + 1))) for n in (height, width))
    cut = photo[top : top + side, left : left + side][:, :: int(rng.choice((-1, 1)))]
    square = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(square / np.float32(255), np.float32)


def as_photographed(picture: Floats, rng: np.random.Generator) -> Floats:
    """The picture (S, S, 3) under another light, at times grey or blurred, through a camera and codec."""
    picture = np.clip(picture * random_light(rng), 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < _SHADOWS:
        picture = with_shadows(picture, rng)
    if rng.random() < _GREY:
        picture = np.repeat(picture.mean(-1, keepdims=True), 3, -1)
    if rng.random() < _DEFOCUS:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.0)), np.float32)
    return np.clip(degrade(picture.astype(np.float32), rng), 0, 1)


def random_light(rng: np.random.Generator) -> Floats:
    """The gain (3,) of a light of random strength and tint."""
    gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.08, 3))
    return np.asarray(gain, np.float32)


def decontaminated(picture: Floats, alpha: Floats) -> Floats:
    """A person (S, S, 3) without the old scene in mixed pixels: what is solid nearby tells their colours."""
    side = max(3, round(0.03 * len(picture)))
    solid = np.asarray(alpha > _SOLID, np.float32)
    near = cv2.blur(np.dstack([picture * solid, solid]), (side, side))
    held = near[..., 3:]
    inner = near[..., :3] / np.maximum(held, 1e-4)
    return np.asarray(picture + np.minimum(50 * held, 1) * (1 - alpha) * (inner - picture), np.float32)


def with_other_clothes(picture: Floats, rng: np.random.Generator) -> Floats:
    """A person in other colours: all hues turned, or plain cloth below some height, or both.

    The photos hold few people, and hardly any in strong plain colours.
    """
    if rng.random() < _OTHER_HUES:
        hls = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2HLS)
        hls[..., 0] = (hls[..., 0] + rng.uniform(0, 360)) % 360
        hls[..., 2] = np.clip(hls[..., 2] * rng.uniform(0.3, 2), 0, 1)
        picture = np.asarray(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB), np.float32)
    if rng.random() < _PLAIN_CLOTH:
        size = len(picture)
        from_row = rng.uniform(0.2, 0.9) * size
        rows = np.arange(size, dtype=np.float32)[:, None, None]
        share = np.clip((rows - from_row) / max(1.0, 0.01 * size), 0, 1) * rng.uniform(0.6, 1)
        grain = np.clip(picture.mean(-1, keepdims=True) * 2, 0, 1) ** np.float32(rng.uniform(0, 1))
        cloth = _random_cloth(rng) * grain
        picture = picture * (1 - share) + cloth * share
    return picture.astype(np.float32)


def _random_cloth(rng: np.random.Generator) -> Floats:
    """The colour (3,) of plain cloth: four in ten are white, or light and pale."""
    if rng.random() < _PALE_CLOTH:
        colour = rng.uniform(0.7, 1) * (1 - rng.uniform(0, 0.25) * rng.random(3))
    else:
        colour = rng.random(3) ** 1.5
    return np.asarray(colour, np.float32)


def with_shadows(picture: Floats, rng: np.random.Generator) -> Floats:
    """The picture (S, S, 3) with shadows in it, with a soft edge or a sharp one, and at times bluish."""
    places = noise(rng, len(picture), cells=int(rng.integers(1, 5)))
    steep = between(rng, 2, 30)
    share = np.clip(0.5 + steep * (places - rng.uniform(0.3, 0.7)), 0, 1)
    dark = between(rng, 0.2, 0.6) * (1 + rng.uniform(0, 0.25) * np.array([-0.5, 0, 1]))
    return np.asarray(picture * (1 - share * (1 - dark)), np.float32)


def with_clutter(scene: Floats, scenes: Sequence[Photo], rng: np.random.Generator) -> Floats:
    """The scene with a few things in it, some of them in the colours of skin, hair and wood.

    Were there many such, the network would come to doubt hands and bare arms.
    """
    size = len(scene)
    for _ in range(int(rng.integers(1, 6))):
        centre, radius = rng.uniform(0, size, 2), size * between(rng, 0.04, 0.35)
        outline = (
            polygon(rng, centre, radius) if rng.random() < _STRAIGHT_SIDED else blob(rng, centre, radius)
        )
        thing = backdrop(scenes, rng, size)
        if rng.random() < _SKIN_COLOURED:
            grain = 0.5 + thing.mean(-1, keepdims=True)
            thing = np.clip(random_colour(rng, hue=(0.0, 0.14)) * grain, 0, 1)
        share = _filled(outline, size)
        scene = share * thing + (1 - share) * scene
    return np.asarray(scene, np.float32)


def camouflaged(scene: Floats, person: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:
    """The scene, all or parts of it in the colour of some part of the person: black before black, say.

    Only the outline then tells where the person ends.
    """
    ys, xs = np.nonzero(alpha[..., 0] > _SOLID)
    if not len(ys):
        return scene
    pixel, reach = int(rng.integers(len(ys))), max(1, len(scene) // 40)
    part = np.s_[max(0, ys[pixel] - reach) : ys[pixel] + reach, max(0, xs[pixel] - reach) : xs[pixel] + reach]
    tone = np.median(person[part].reshape(-1, 3), axis=0) * np.exp(rng.normal(0, 0.15))
    grain = scene.mean(-1, keepdims=True) / max(1e-3, float(scene.mean()))
    like = np.clip(tone * grain ** np.float32(rng.uniform(0, 0.6)), 0, 1)
    places = noise(rng, len(scene), cells=int(rng.integers(1, 5)))
    share = np.clip(8 * (places - rng.uniform(-0.2, 0.6)), 0, 1) * rng.uniform(0.6, 1)
    return np.asarray(scene + share * (like - scene), np.float32)


def with_gaps(alpha: Floats, rng: np.random.Generator) -> Floats:
    """A person (S, S, 1) with gaps below its head, where the scene is seen through it as past a bent arm.

    The drawn labels and the teachers have filled most of those that the photos show.
    """
    body = np.asarray(alpha[..., 0] > 0.5)
    rows = np.flatnonzero(body.any(axis=1))
    depth = cv2.distanceTransform(body.astype(np.uint8), cv2.DIST_L2, 5)
    reach = float(depth.max())
    if not 6 < reach < 0.3 * len(alpha):  # a close-up shows no gaps
        return alpha
    rim = (depth > 0.12 * reach) & (depth < 0.45 * reach)
    rim[: rows[0] + np.ptp(rows) // 3] = False
    ys, xs = np.nonzero(rim)
    for pixel in rng.integers(len(ys), size=int(rng.integers(1, 4))) if len(ys) else ():
        centre, radius = np.array([xs[pixel], ys[pixel]]), reach * between(rng, 0.07, 0.3)
        outline = polygon(rng, centre, radius) if rng.random() < 0.5 else blob(rng, centre, radius, rough=0.2)
        outline = centre + (outline - centre) * [rng.uniform(0.4, 1), rng.uniform(1, 1.6)]
        alpha = alpha * (1 - _filled(outline, len(alpha)))
    return alpha


def with_hands(
    person: Floats, hair: Floats, alpha: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """A person (S, S, 3) with one or two hands before the torso, and what hair (S, S, 1) they leave.

    Between such fingers the torso shows and no gap; hands in the photos hang beside it more often than not.
    """
    size = len(alpha)
    depth = cv2.distanceTransform(np.asarray(alpha[..., 0] > 0.5, np.uint8), cv2.DIST_L2, 5)
    reach = float(depth.max())
    if reach < 8:
        return person, hair
    side = round(np.clip(reach * rng.uniform(1.2, 3), 24, size))
    ys, xs = np.nonzero(depth > 0.15 * reach)
    for pixel in rng.integers(len(ys), size=int(rng.integers(1, 3))):
        canvas = Canvas(side, side)
        paint_fingers(canvas, side, rng)
        layer = canvas.layer()
        shaded = np.clip(layer.colour * (0.7 + 0.6 * noise(rng, side, cells=2)), 0, 1)
        small = np.dstack([shaded * layer.alpha[..., None], layer.alpha]).astype(np.float32)
        place = np.array([[1, 0, xs[pixel] - side / 2], [0, 1, ys[pixel] - side / 2]])
        hand = cv2.warpAffine(small, place, (size, size)) * (depth > 0)[..., None]
        person = hand[..., :3] + (1 - hand[..., 3:]) * person
        hair = (1 - hand[..., 3:]) * hair
    return person.astype(np.float32), hair.astype(np.float32)


def with_motion_blur(layer: Floats, rng: np.random.Generator) -> Floats:
    """A premultiplied person (S, S, C) of whom parts move while the shutter is open, as no photo shows it."""
    size = len(layer)
    trace = motion_kernel(size * between(rng, 0.02, 0.15), rng.uniform(0, np.pi))
    moving = noise(rng, size, cells=int(rng.integers(1, 5)))
    share = np.clip(8 * (moving - rng.uniform(0.3, 0.6)), 0, 1)
    smeared = layer + share * (cv2.filter2D(layer, -1, trace) - layer)
    return np.asarray(np.clip(smeared, 0, 1), np.float32)


def _filled(outline: NDArray[np.floating], size: int) -> Floats:
    """The inside of an outline (K, 2), with a soft edge: (size, size, 1)."""
    inside = np.zeros((size, size), np.uint8)
    cv2.fillPoly(inside, [np.rint(outline).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(inside, (0, 0), 0.7)[..., None]
    return np.asarray(soft / np.float32(255), np.float32)
