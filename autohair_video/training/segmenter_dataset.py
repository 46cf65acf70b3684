"""Training samples for the segmenter: people as photographed, people moved to other places, nobody.

A composite's label is the alpha that it was made with, so it is exact even where the photo's label was
only plausible; that also shows the network the same person before many backgrounds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.training.backgrounds import Photo, backdrop, noise
from autohair_video.training.degrade import degrade
from autohair_video.training.labels import CROWD, Labelled, load
from autohair_video.training.loop import Batch
from autohair_video.training.synthetic.canvas import Canvas, motion_kernel
from autohair_video.training.synthetic.shapes import between, blob, paint_fingers, polygon, random_colour

Floats = NDArray[np.float32]


class PeopleSamples:
    """Endless samples; `batches` yields picture (N, 3, S, S) in -1..1, truth and weight (N, 2, S, S).

    ``truth`` holds person and hair, 0..1; ``weight`` says where each of them is to be trusted. S changes from
    batch to batch, from ``size_px`` to three times that, and N with it, so that all have about as many
    pixels: in use a body fills several hundred pixels, and its middle is far from any edge. Labelled pictures
    stay in memory once they were drawn.

    Raises:
        InputError: there are no labels in ``labels``.
    """

    def __init__(self, labels: Path, scenes: Sequence[Photo], *, size_px: int, seed: int) -> None:
        stems = sorted(path.with_suffix("") for path in labels.glob("*.png"))
        groups = [[s for s in stems if s.name.startswith(p)] for p in _GROUPS]
        sources = zip(groups, _GROUPS.values(), strict=True)
        self._groups = [(group, share) for group, share in sources if group]
        if not self._groups:
            raise InputError(f"{labels}: no labelled people; prepare_labels makes them")
        self._items: dict[Path, Labelled] = {}
        self._scenes, self._size = scenes, size_px
        self._rng = np.random.default_rng(seed)

    def batches(self, count: int) -> Iterator[Batch]:
        """Batches of ``count`` samples of ``size_px``, or of fewer that are larger, without end."""
        while True:
            size = 32 * round(self._size * self._rng.choice(_SCALES) / 32)
            fewer = max(1, round(count * (self._size / size) ** 2))
            rows = [self.sample(size) for _ in range(fewer)]
            picture, truth, weight = (np.stack(column) for column in zip(*rows, strict=True))
            yield {
                "picture": _tensor(picture) * 2 - 1,
                "truth": _tensor(truth),
                "weight": _tensor(weight),
            }

    def sample(self, size: int) -> tuple[Floats, Floats, Floats]:
        """One sample of ``size`` px: picture (S, S, 3), truth (S, S, 2), weight (S, S, 2)."""
        kind = self._rng.random()
        if kind < 0.15:
            picture = self._empty(size)
            truth = np.zeros((size, size, 2), np.float32)
            weight = np.ones_like(truth)
        elif kind < 0.5:
            picture, truth, weight = self._photo(size)
        else:
            picture, truth, weight = self._moved(size)
        return _photographed(picture, self._rng), truth, weight

    def _empty(self, size: int) -> Floats:
        """Nobody: a backdrop, or nearly all of a photo."""
        if self._rng.random() < 0.5:
            return backdrop(self._scenes, self._rng, size)
        return _squeezed(self._scenes[int(self._rng.integers(len(self._scenes)))], self._rng, size)

    def _photo(self, size: int) -> tuple[Floats, Floats, Floats]:
        item, knows_hair = self._pick(whole=True)
        view = self._view(item, size)
        weight = view[..., 5:6] * np.array([1, knows_hair], np.float32)
        # where a label is soft it is only unsure: the exact edges of composites teach how sharp they are
        weight *= np.abs(view[..., 3:4] - 0.5) > _UNSURE
        return view[..., :3], view[..., 3:5], weight

    def _moved(self, size: int) -> tuple[Floats, Floats, Floats]:
        scene = backdrop(self._scenes, self._rng, size)
        if self._rng.random() < 0.2:
            scene = _cluttered(scene, self._scenes, self._rng)
        truth = np.zeros((size, size, 2), np.float32)
        weight = np.ones_like(truth)
        gain = _light(self._rng)
        for number in range(1 + int(self._rng.choice(len(_MORE_PEOPLE), p=_MORE_PEOPLE))):
            item, knows_hair = self._pick(whole=False)
            view = self._view(item, size)
            alpha = np.clip(view[..., 3:4], 0, 1)
            if self._rng.random() < 0.45:
                alpha = _pierced(alpha, self._rng)
            person = _own_colours(view[..., :3], alpha)
            person = _dressed(person, self._rng) if self._rng.random() < 0.45 else person
            hair = np.clip(view[..., 4:5], 0, 1)
            if self._rng.random() < 0.25:
                person, hair = _gesturing(person, hair, alpha, self._rng)
            person = np.clip(person * gain, 0, 1)
            if self._rng.random() < 0.25:
                person = _shaded(person, self._rng)
            if number == 0 and self._rng.random() < 0.3:
                scene = _alike(scene, person, alpha, self._rng)
            layer = np.dstack([alpha * person, alpha, alpha * hair])
            if self._rng.random() < 0.25:
                layer = _waving(layer, self._rng)
            alpha = layer[..., 3:4]
            scene = layer[..., :3] + (1 - alpha) * scene
            truth = layer[..., 3:] + (1 - alpha) * truth
            # the person is where alpha says; only which part is hair can be unknown
            known = np.concatenate([np.ones_like(alpha), view[..., 5:6] * knows_hair], -1)
            weight = np.where(alpha > 0.05, known, weight)
        return scene.astype(np.float32), truth.astype(np.float32), weight.astype(np.float32)

    def _pick(self, *, whole: bool) -> tuple[Labelled, float]:
        """A picture, and 1 if its label knows hair; ``whole``: one in which everybody has a label."""
        groups = [(g, share) for g, share in self._groups if not (whole and g[0].name.startswith(CROWD))]
        shares = np.array([share for _, share in groups])
        group = groups[int(self._rng.choice(len(shares), p=shares / shares.sum()))][0]
        stem = group[int(self._rng.integers(len(group)))]
        if stem not in self._items:
            self._items[stem] = load(stem)
        return self._items[stem], float(stem.name.startswith(_KNOW_HAIR))

    def _view(self, item: Labelled, size: int) -> Floats:
        """A random crop (S, S, 6): RGB, person, hair, and their weight, 0 outside the photo."""
        rng = self._rng
        angle = rng.normal(0, 5)
        side, centre = _random_square(item.label[..., 0] > 127, angle, rng)
        turn = np.array(cv2.getRotationMatrix2D(centre.tolist(), angle, size / side), np.float64)
        turn[:, 2] += size / 2 - centre
        if rng.random() < 0.5:
            turn[0] = [-turn[0, 0], -turn[0, 1], size - turn[0, 2]]
        blur_px = 0.35 * side / size if side > 1.3 * size else 0.0
        picture = cv2.GaussianBlur(item.picture, (0, 0), blur_px) if blur_px else item.picture
        grey = np.median(item.picture[::16, ::16], axis=(0, 1)).tolist()
        near = cv2.warpAffine(picture, turn, (size, size), borderValue=grey)
        label = cv2.warpAffine(item.label, turn, (size, size))
        return np.asarray(np.dstack([near, label]) / np.float32(255), np.float32)


# how often each source is drawn, by the beginning of the label's name
_GROUPS = {
    "interfaces": 0.2,
    "pixabay": 0.13,
    "ccp": 0.26,
    CROWD: 0.19,
    "asl": 0.14,
    "sam2": 0.06,
    "one-by-one": 0.02,
}
# how many times larger than the smallest crop a batch's are
_SCALES = (1.0, 1.25, 1.5, 2.0, 2.5, 3.0)
# a photo's label that is nearer to one half than this does not count
_UNSURE = 0.35
# alpha of what nothing shines through
_SOLID = 0.95
# chances of 0, 1, 2 and 3 more people in a composite
_MORE_PEOPLE = (0.7, 0.17, 0.08, 0.05)
# the hair teacher needs the head large in the picture, which clips do not give it
_KNOW_HAIR = ("interfaces", "pixabay", "ccp", CROWD)


def _squeezed(photo: Photo, rng: np.random.Generator, size: int) -> Floats:
    """A photo, and of a long one most, squeezed to a square of ``size`` px, or its mirror image.

    All of its short side is there, and of the long side up to 1.8 times as much.
    """
    height, width = photo.shape[:2]
    side = min(max(height, width), round(min(height, width) * rng.uniform(1, 1.8)))
    top, left = (int(rng.integers(0, max(1, n - side + 1))) for n in (height, width))
    cut = photo[top : top + side, left : left + side][:, :: int(rng.choice((-1, 1)))]
    square = cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(square / np.float32(255), np.float32)


def _random_square(
    person: NDArray[np.bool_], angle: float, rng: np.random.Generator
) -> tuple[float, NDArray[np.floating]]:
    """Side and centre (x, y) of a square, turned by ``angle`` degrees, on a person or a part of one."""
    rows, columns = (np.flatnonzero(person.any(axis)) for axis in (1, 0))
    if len(rows) == 0:
        rows, columns = (np.arange(length) for length in person.shape)
    centre = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2
    width, height = float(np.ptp(columns)), float(np.ptp(rows))
    extent = max(width, height, 16.0)
    if extent > 1.8 * width and rng.random() < 0.5:
        extent *= rng.uniform(0.25, 0.6)
        centre[1] = rows[0] + extent * 0.45
    side = extent * np.exp(rng.uniform(np.log(0.55), np.log(1.9)))
    centre += rng.uniform(-0.3, 0.3, 2) * max(extent, side)
    return _held_by_borders(person, side, centre, angle) if rng.random() < 0.95 else (side, centre)


def _held_by_borders(
    person: NDArray[np.bool_], side: float, centre: NDArray[np.floating], angle: float
) -> tuple[float, NDArray[np.floating]]:
    # A body that its photo cuts off must be cut off by the crop as well: none floats in mid-air. Even a
    # wedge of scene below the cut would teach that bodies end above the frame's edge.
    reach = 0.5 * (np.cos(np.radians(abs(angle))) + np.sin(np.radians(abs(angle))))
    for axis in (0, 1):
        line = np.asarray(person.any(axis))
        first, last = line[:3].any(), line[-3:].any()
        side = min(side, len(line) / (2 * reach)) if first and last else side
    for axis in (0, 1):
        line = np.asarray(person.any(axis))
        if line[:3].any():
            centre[axis] = max(centre[axis], side * reach)
        if line[-3:].any():
            centre[axis] = min(centre[axis], len(line) - side * reach)
    return side, centre


def _photographed(picture: Floats, rng: np.random.Generator) -> Floats:
    """The picture (S, S, 3) under another light, at times grey or blurred, through a camera and codec."""
    picture = np.clip(picture * _light(rng), 0, 1) ** np.float32(np.exp(rng.normal(0, 0.2)))
    if rng.random() < 0.15:
        picture = _shaded(picture, rng)
    if rng.random() < 0.08:
        picture = np.repeat(picture.mean(-1, keepdims=True), 3, -1)
    if rng.random() < 0.2:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.5, 2.0)), np.float32)
    return np.clip(degrade(picture.astype(np.float32), rng), 0, 1)


def _light(rng: np.random.Generator) -> Floats:
    gain = np.exp(rng.normal(0, 0.25)) * np.exp(rng.normal(0, 0.08, 3))
    return np.asarray(gain, np.float32)


def _own_colours(picture: Floats, alpha: Floats) -> Floats:
    """A person (S, S, 3) without the old scene in mixed pixels: what is solid nearby tells their colours."""
    side = max(3, round(0.03 * len(picture)))
    solid = np.asarray(alpha > _SOLID, np.float32)
    near = cv2.blur(np.dstack([picture * solid, solid]), (side, side))
    held = near[..., 3:]
    inner = near[..., :3] / np.maximum(held, 1e-4)
    return np.asarray(picture + np.minimum(50 * held, 1) * (1 - alpha) * (inner - picture), np.float32)


def _dressed(picture: Floats, rng: np.random.Generator) -> Floats:
    """A person in other colours: all hues turned, or plain cloth below some height, or both.

    The photos hold few people, and hardly any in strong plain colours.
    """
    if rng.random() < 0.5:
        hls = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2HLS)
        hls[..., 0] = (hls[..., 0] + rng.uniform(0, 360)) % 360
        hls[..., 2] = np.clip(hls[..., 2] * rng.uniform(0.3, 2), 0, 1)
        picture = np.asarray(cv2.cvtColor(hls, cv2.COLOR_HLS2RGB), np.float32)
    if rng.random() < 0.7:
        size = len(picture)
        from_row = rng.uniform(0.2, 0.9) * size
        rows = np.arange(size, dtype=np.float32)[:, None, None]
        share = np.clip((rows - from_row) / max(1.0, 0.01 * size), 0, 1) * rng.uniform(0.6, 1)
        grain = np.clip(picture.mean(-1, keepdims=True) * 2, 0, 1) ** np.float32(rng.uniform(0, 1))
        cloth = _cloth(rng) * grain
        picture = picture * (1 - share) + cloth * share
    return picture.astype(np.float32)


def _cloth(rng: np.random.Generator) -> Floats:
    """The colour (3,) of plain cloth: four in ten are white, or light and pale."""
    if rng.random() < 0.4:
        colour = rng.uniform(0.7, 1) * (1 - rng.uniform(0, 0.25) * rng.random(3))
    else:
        colour = rng.random(3) ** 1.5
    return np.asarray(colour, np.float32)


def _shaded(picture: Floats, rng: np.random.Generator) -> Floats:
    """The picture (S, S, 3) with shadows in it, with a soft edge or a sharp one, and at times bluish."""
    places = noise(rng, len(picture), cells=int(rng.integers(1, 5)))
    steep = between(rng, 2, 30)
    share = np.clip(0.5 + steep * (places - rng.uniform(0.3, 0.7)), 0, 1)
    dark = between(rng, 0.2, 0.6) * (1 + rng.uniform(0, 0.25) * np.array([-0.5, 0, 1]))
    return np.asarray(picture * (1 - share * (1 - dark)), np.float32)


def _cluttered(scene: Floats, scenes: Sequence[Photo], rng: np.random.Generator) -> Floats:
    """The scene with a few things in it, some of them in the colours of skin, hair and wood.

    Were there many such, the network would come to doubt hands and bare arms.
    """
    size = len(scene)
    for _ in range(int(rng.integers(1, 6))):
        centre, radius = rng.uniform(0, size, 2), size * between(rng, 0.04, 0.35)
        outline = polygon(rng, centre, radius) if rng.random() < 0.6 else blob(rng, centre, radius)
        thing = backdrop(scenes, rng, size)
        if rng.random() < 0.3:
            grain = 0.5 + thing.mean(-1, keepdims=True)
            thing = np.clip(random_colour(rng, hue=(0.0, 0.14)) * grain, 0, 1)
        share = _drawn(outline, size)
        scene = share * thing + (1 - share) * scene
    return np.asarray(scene, np.float32)


def _alike(scene: Floats, person: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:
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


def _pierced(alpha: Floats, rng: np.random.Generator) -> Floats:
    """A body (S, S, 1) with gaps below its head, where the scene is seen through it as past a bent arm.

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
        alpha = alpha * (1 - _drawn(outline, len(alpha)))
    return alpha


def _gesturing(
    person: Floats, hair: Floats, alpha: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """A person (S, S, 3) with one or two hands before the body, and what hair (S, S, 1) they leave.

    Between such fingers one sees the body and no gap; hands of the photos hang beside it more often than not.
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


def _waving(layer: Floats, rng: np.random.Generator) -> Floats:
    """A premultiplied person (S, S, C) of whom parts move while the shutter is open, as no photo shows it."""
    size = len(layer)
    trace = motion_kernel(size * between(rng, 0.02, 0.15), rng.uniform(0, np.pi))
    moving = noise(rng, size, cells=int(rng.integers(1, 5)))
    share = np.clip(8 * (moving - rng.uniform(0.3, 0.6)), 0, 1)
    smeared = layer + share * (cv2.filter2D(layer, -1, trace) - layer)
    return np.asarray(np.clip(smeared, 0, 1), np.float32)


def _drawn(outline: NDArray[np.floating], size: int) -> Floats:
    """The inside of an outline (K, 2), with a soft edge: (size, size, 1)."""
    inside = np.zeros((size, size), np.uint8)
    cv2.fillPoly(inside, [np.rint(outline).astype(np.int32)], 255)
    soft = cv2.GaussianBlur(inside, (0, 0), 0.7)[..., None]
    return np.asarray(soft / np.float32(255), np.float32)


def _tensor(array: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
