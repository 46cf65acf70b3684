"""Foregrounds of every kind that matting meets: what is drawn, from what, with which chances.

A recipe takes the sources and a generator and gives one `Layer` of ``sources.size`` px.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.backgrounds import noise
from autohair_video.training.synthetic import plants, shapes
from autohair_video.training.synthetic.canvas import (
    Canvas,
    Floats,
    Layer,
    cut_out,
    dilate,
    disc_kernel,
    erode,
    filtered,
    motion_kernel,
)
from autohair_video.training.synthetic.loose_head import loose_head
from autohair_video.training.synthetic.shapes import between
from autohair_video.training.synthetic.sources import Mask, Outlined, Sources
from autohair_video.training.synthetic.strands import STYLES, StrandStyle, grow, paint, random_style

Recipe = Callable[[Sources, np.random.Generator], Layer]
Painter = Callable[[Canvas, int, np.random.Generator], None]
Array = NDArray[np.floating[Any]]


def random_foreground(sources: Sources, rng: np.random.Generator) -> Layer:
    """A layer by one of the `RECIPES`, now and then out of focus or blurred by motion."""
    shares = [share for _, share in RECIPES]
    recipe, _ = RECIPES[int(rng.choice(len(RECIPES), p=shares))]
    return _taken(recipe(sources, rng), rng)


def loose_hair(sources: Sources, rng: np.random.Generator) -> Layer:
    """A portrait or street head with loose hair, now and then out of focus or blurred by motion.

    The hair reaches up to two head widths beyond the skull, in strands of a pixel and less.
    """
    made = loose_head(sources, rng, (sources.size, sources.size))
    return _taken(Layer(made.colour, made.alpha), rng)


def _taken(layer: Layer, rng: np.random.Generator) -> Layer:
    draw = rng.random()
    if draw < 0.06:
        return filtered(layer, disc_kernel(between(rng, 0.8, 10)))
    if draw < 0.12:
        return filtered(layer, motion_kernel(rng.uniform(3, 35), rng.uniform(0, np.pi)))
    return layer


def portrait(sources: Sources, rng: np.random.Generator) -> Layer:
    """A portrait with new hair."""
    return _new_hair(sources.portrait(rng), rng)


def street_head(sources: Sources, rng: np.random.Generator) -> Layer:
    """The head of a street photo with new hair."""
    return _new_hair(sources.street_head(rng), rng)


def street_person(sources: Sources, rng: np.random.Generator) -> Layer:
    """A person with a sharp outline: the label's, smoothed, is as good as any plausible one."""
    drawn = sources.street(rng)
    edge_px, smooth_px = between(rng, 0.8, 4), rng.uniform(1.5, 5)
    return cut_out(drawn.photo, erode(drawn.person, 2), edge_px=edge_px, smooth_px=smooth_px)


def made_head(sources: Sources, rng: np.random.Generator) -> Layer:
    """A blob with hair all over it, or a bundle of hair with nothing behind."""
    size, hair = sources.size, sources.hair(rng)
    centre, radius = rng.uniform(0.35, 0.65, 2) * size, rng.uniform(0.1, 0.3) * size
    solid = _filled(size, shapes.blob(rng, centre, radius))
    surface = hair * rng.uniform(0.5, 1) if rng.random() < 0.6 else sources.texture(rng)
    canvas = Canvas(size, size)
    for _ in range(int(rng.integers(1, 4))):
        style = random_style(rng, str(rng.choice(list(STYLES))), scale=rng.uniform(0.6, 1.6))
        count, deep_px = int(between(rng, 100, 5000)), rng.uniform(3, 120)
        lift = rng.uniform(0, 1)
        _coat(canvas, solid > 0.5, hair, style, rng, count=count, deep_px=deep_px, lift=lift)
    behind = solid if rng.random() < 0.75 else np.zeros_like(solid)
    return canvas.layer().over(Layer(surface.astype(np.float32), behind))


def fur(sources: Sources, rng: np.random.Generator) -> Layer:
    """Fur, plush or cloth with fuzz: short hair on an outline and on what it encloses."""
    outlines = [shapes.outline(rng, sources.size) for _ in range(int(rng.integers(1, 4)))]
    solid = _filled(sources.size, *outlines)
    surface = sources.hair(rng) if rng.random() < 0.4 else sources.texture(rng)
    kind, deep_px = ("fuzz", 2.0) if rng.random() < 0.35 else ("fur", rng.uniform(3, 100))
    style = random_style(rng, kind, scale=rng.uniform(0.6, 2))
    canvas, count, lift = Canvas(*solid.shape), int(between(rng, 800, 14000)), rng.uniform(0.3, 1)
    _coat(canvas, solid > 0.5, surface, style, rng, count=count, deep_px=deep_px, lift=lift)
    return canvas.layer().over(Layer(surface, solid))


def solids(sources: Sources, rng: np.random.Generator) -> Layer:
    """Shapes with holes, hands, letters; their edges razor-sharp or out of focus."""
    painters = (shapes.paint_solids, shapes.paint_fingers, shapes.paint_letters)
    layer = _painted(_pick(rng, painters, (0.6, 0.25, 0.15)), sources, rng, own=0.3)
    return layer if rng.random() < 0.5 else filtered(layer, disc_kernel(between(rng, 0.6, 8)))


def wires(sources: Sources, rng: np.random.Generator) -> Layer:
    """Meshes, nets, bars and lace, some with a solid behind."""
    painters = (shapes.paint_mesh, shapes.paint_bars, shapes.paint_lace)
    layer = _painted(_pick(rng, painters, (0.55, 0.2, 0.25)), sources, rng, own=0.7)
    return layer.over(solids(sources, rng)) if rng.random() < 0.3 else layer


def growth(sources: Sources, rng: np.random.Generator) -> Layer:
    """Branches, leaves, flowers, grass, thistles; and feathers."""
    painters = (plants.paint_plant, plants.paint_grass, plants.paint_feather, plants.paint_spikes)
    return _painted(_pick(rng, painters, (0.58, 0.12, 0.12, 0.18)), sources, rng, own=0.9)


def veil(sources: Sources, rng: np.random.Generator) -> Layer:
    """Glass, veil or smoke: alpha even or smoothly changing, now and then in front of a person."""
    layer = _painted(shapes.paint_solids, sources, rng, own=0.3)
    field = noise(rng, sources.size, cells=int(rng.choice([1, 2, 4, 12])))[..., 0]
    low, high = np.sort(rng.uniform(0.1, 0.95, 2))
    sheer = Layer(layer.colour, (layer.alpha * (low + (high - low) * field)).astype(np.float32))
    return sheer.over(portrait(sources, rng)) if rng.random() < 0.4 else sheer


RECIPES: Final[tuple[tuple[Recipe, float], ...]] = (
    (portrait, 0.24),
    (street_head, 0.06),
    (street_person, 0.10),
    (made_head, 0.12),
    (fur, 0.12),
    (solids, 0.10),
    (wires, 0.09),
    (growth, 0.13),
    (veil, 0.04),
)


_HAIR_KINDS: Final = ("straight", "wavy", "curly", "frizzy", "afro", "short", "wisps")
_HAIR_SHARES: Final = (0.24, 0.22, 0.16, 0.12, 0.06, 0.08, 0.12)


def _new_hair(drawn: Outlined, rng: np.random.Generator) -> Layer:
    # What lies safely inside the real outline stays; rendered strands grow over its rim.
    inset = int(rng.integers(4, 12))
    mask = np.where(dilate(drawn.hair, 7), erode(drawn.person, inset), erode(drawn.person, 2))
    mask = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, np.ones((7, 7), np.uint8)) > 0
    edge_px, smooth_px = float(rng.choice([1, 1.5, 2, 3, 6])), rng.uniform(1, 4)
    core = cut_out(drawn.photo, mask, edge_px=edge_px, smooth_px=smooth_px)
    own = drawn.photo.astype(np.float32) / np.float32(255)
    pixels = own[drawn.hair & mask]
    if rng.random() < 0.5 and len(pixels) > 100:
        own = 0.5 * own + 0.5 * np.median(pixels, 0)
    canvas, hair = Canvas(*mask.shape), dilate(drawn.hair, 2) & (core.alpha > 0.6)
    for _ in range(int(rng.integers(1, 4))):
        kind = str(rng.choice(_HAIR_KINDS, p=_HAIR_SHARES))
        style = random_style(rng, kind, scale=rng.uniform(0.6, 1.5))
        count, deep_px = int(between(rng, 80, 4000)), rng.uniform(3, 20)
        solid, lift = core.alpha > 0.5, rng.uniform(0.1, 1)
        _coat(canvas, solid, own, style, rng, count=count, deep_px=deep_px, lift=lift, rooted=hair)
    return canvas.layer().over(core)


def _coat(
    canvas: Canvas,
    solid: Mask,
    own: Floats,
    style: StrandStyle,
    rng: np.random.Generator,
    *,
    count: int,
    deep_px: float,
    lift: float,
    rooted: Mask | None = None,
) -> None:
    # ``count`` strands of the colour ``own`` (H, W, 3) at their roots, which lie inside ``solid``
    # (and ``rooted``), most of them less than ``deep_px`` from its outline.
    outside = cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, 5)
    framed = np.pad(solid, 1, mode="edge").astype(np.uint8)  # the frame cuts, it is no outline
    depth = cv2.distanceTransform(framed, cv2.DIST_L2, 5)[1:-1, 1:-1]
    ys, xs = np.nonzero((depth > 1) & (solid if rooted is None else rooted))
    if len(ys) < 30:
        return
    weight = np.exp(-depth[ys, xs] / deep_px) + 1e-9
    pick = rng.choice(len(ys), count, p=weight / weight.sum())
    pick = pick[_clumped(ys[pick] - ys.mean(), xs[pick] - xs.mean(), rng)]
    y, x = ys[pick], xs[pick]
    roots = np.stack([x, y], 1) + rng.uniform(0, 1, (count, 2))
    headings = _headings(depth - outside, lift, rng)[y, x]
    paint(canvas, grow(roots, headings, own[y, x], style, rng))


def _headings(distance: Floats, lift: float, rng: np.random.Generator) -> Array:
    # Near the outline: between outward (lift 1) and downward along it (lift 0). Far inside, where
    # the outline's normal means nothing, hair lies one way.
    smooth = cv2.GaussianBlur(distance, (0, 0), 6)
    out_x, out_y = (-cv2.Sobel(smooth, cv2.CV_32F, *d, ksize=5) for d in ((1, 0), (0, 1)))
    length = np.hypot(out_x, out_y) + 1e-6
    out_x, out_y = out_x / length, out_y / length
    side = np.where(out_x < 0, -1, 1)
    lie, near = rng.uniform(0, 2 * np.pi), np.exp(-np.maximum(distance, 0) / 25)
    across = near * (lift * out_x - (1 - lift) * side * out_y) + (1 - near) * np.cos(lie)
    down = near * (lift * out_y + (1 - lift) * side * out_x) + (1 - near) * np.sin(lie)
    return np.asarray(np.arctan2(down, across))


def _clumped(y: Array, x: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    # Sorted round the head, so that neighbours share a clump; then the clumps in any order.
    order = np.argsort(np.arctan2(y, x) + rng.normal(0, 0.02, len(y)))
    blocks = np.array_split(order, max(1, len(y) // 60))
    return np.concatenate([blocks[i] for i in rng.permutation(len(blocks))])


def _painted(painter: Painter, sources: Sources, rng: np.random.Generator, *, own: float) -> Layer:
    # ``own`` is the chance that the painted colours stay and are only shaded by a texture.
    canvas = Canvas(sources.size, sources.size)
    painter(canvas, sources.size, rng)
    layer, surface = canvas.layer(), sources.texture(rng)
    if rng.random() < own:
        grain = surface.mean(-1, keepdims=True)
        surface = np.clip(layer.colour * (0.7 + 0.6 * grain), 0, 1).astype(np.float32)
    return Layer(surface, layer.alpha)


def _filled(size: int, *outlines: Array) -> Floats:
    canvas = Canvas(size, size)
    for outline in outlines:
        canvas.fill(outline, np.ones(3))
    return canvas.layer().alpha


def _pick(rng: np.random.Generator, painters: tuple[Painter, ...], shares: tuple[float, ...]) -> Painter:
    return painters[int(rng.choice(len(painters), p=shares))]
