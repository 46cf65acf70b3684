"""Locks of strands, grown from the hair of a head and painted with exact alpha.

A lock is a curve that leaves the skull outwards and is turned by its weight and by the wind. Strands follow
their lock at a distance that varies along it; fly-aways leave it. All strands are grown at once, and those of
one colour and width are painted by one call, which takes some ten milliseconds for two thousand of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.canvas import Canvas, Floats
from autohair_video.training.synthetic.head import Head, disc, inside_px
from autohair_video.training.synthetic.loose_styles import LooseStyle

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Tresses:
    """N strands of K points each, to be painted in the order of their ``group``.

    ``points`` (N, K, 2) are (x, y) in px from root to tip, ``widths`` (N,) px at the root, ``group`` (N,)
    numbers of the rows of ``colours`` (G, 3), RGB in 0..1; ``front`` (N,): before the person, not behind.
    """

    points: Array
    widths: Array
    group: NDArray[np.intp]
    colours: Array
    front: NDArray[np.bool_]


def random_tresses(
    image: Floats, head: Head, style: LooseStyle, rng: np.random.Generator, *, most: int = 2500
) -> Tresses | None:
    """Locks of the head's own hair colour, rooted in its hair; None where there is no place for roots.

    Args:
        image: (H, W, 3) straight RGB in 0..1, of which the hair's colours are taken.
        head: from `find_head`.
        style: how the locks grow.
        rng: decides the rest.
        most: number of strands at most.
    """
    ys, xs = np.nonzero(_root_area(head, style, rng))
    if len(ys) < 8:
        return None
    depth = inside_px(head.hair | head.face)
    strands = int(np.clip(16 * style.fullness * head.width_px, 40, most))
    locks = max(6, round(strands / (style.crowd * rng.uniform(0.6, 1.6))))
    weight = np.exp(-depth[ys, xs] / (0.08 * head.width_px)) + 0.1
    pick = rng.choice(len(ys), locks, p=weight / weight.sum())
    roots = np.stack([xs[pick], ys[pick]], 1) + rng.uniform(0, 1, (locks, 2))
    if style.plaited:
        return _plait(roots, image, head, style, rng)
    guides = _guides(roots, head, style, rng)
    front = _in_front(guides, head, style, rng)
    room = np.minimum(1, depth[ys[pick], xs[pick]] / (style.lock * head.width_px))
    seen = front | _leave_from_hair(guides, head)
    if not seen.any():
        return None
    guides, front, room = guides[seen], front[seen], room[seen]
    strands, locks = max(1, round(strands * float(seen.mean()))), len(guides)
    lock = np.sort(rng.integers(0, locks, strands))
    points = _strands(guides, room, lock, head, style, rng)
    cores = _resampled(guides, rng.uniform(0.02, 0.1, locks), rng.uniform(0.5, 0.8, locks))
    thin = head.width_px / rng.uniform(250, 600) * rng.lognormal(0, 0.3, strands)
    thick = style.solid * style.lock * head.width_px * rng.uniform(0.3, 1, locks)
    group = rng.permutation(np.arange(locks) * _GROUPS // locks)
    return Tresses(
        np.concatenate([cores, points]),
        np.concatenate([thick * (style.solid > 0), thin]),
        np.concatenate([group, group[lock]]),
        _colours(image, head, style, rng),
        np.concatenate([front, front[lock]]),
    )


def swayed(tresses: Tresses, *, phase: float, amplitude: float = 0.15) -> Tresses:
    """The same strands in a gust that runs across the picture: turned about their roots, the tips the most.

    Roots stay where they are and strands keep their lengths. A gust repeats after 2 pi of ``phase``.
    """
    steps = np.diff(tresses.points, axis=1)
    s = np.linspace(0, 1, tresses.points.shape[1])[1:]
    lag = tresses.points[:, :1, 0] / (np.ptp(tresses.points[..., 0]) + 1) * np.pi
    turn = amplitude * s[None] * (np.sin(phase - lag) + 0.4 * np.sin(2.3 * phase - 3 * lag))
    cos, sin = np.cos(turn), np.sin(turn)
    moved = np.stack(
        [cos * steps[..., 0] - sin * steps[..., 1], sin * steps[..., 0] + cos * steps[..., 1]], -1
    )
    root = tresses.points[:, :1]
    return replace(tresses, points=np.concatenate([root, root + np.cumsum(moved, 1)], 1))


def draw_tresses(tresses: Tresses, height: int, width: int, *, samples: int = 4) -> tuple[Floats, Floats]:
    """The strands behind the person and those before: premultiplied (H, W, 4) each, alpha exact to 1/255.

    A strand is painted at least one sample wide, and thinner towards its tip.
    """
    drawn = []
    for front in (False, True):
        canvas = Canvas(height, width, samples=samples)
        _paint(canvas, tresses, tresses.front == front)
        drawn.append(canvas.premultiplied())
    return drawn[0], drawn[1]


# numbers of depths in which locks lie, and of runs of even width and colour along a strand
_GROUPS: Final = 12
_ZONES: Final = 5


def _root_area(head: Head, style: LooseStyle, rng: np.random.Generator) -> NDArray[np.bool_]:
    rows = np.arange(head.hair.shape[0])[:, None]
    if style.roots == "chin":
        chin = head.face & (rows > head.centre[1] + 0.4 * head.width_px)
        return np.asarray(chin & (head.face.sum() > 0.25 * head.width_px**2))
    if style.roots == "hair" or not head.face.any():
        return head.hair
    from_face = np.asarray(cv2.distanceTransform((~head.face).astype(np.uint8), cv2.DIST_L2, 3))
    if style.roots == "brow":
        return np.asarray(head.hair & (from_face < 0.15 * head.width_px) & (rows < head.centre[1]))
    ys, xs = np.nonzero(
        head.hair & (from_face > 0.15 * head.width_px) & (rows < head.centre[1] + 0.4 * head.width_px)
    )
    if not len(ys):
        return np.zeros_like(head.hair)
    tied = int(rng.integers(len(ys)))
    columns = np.arange(head.hair.shape[1])
    near = np.hypot(rows - ys[tied], columns - xs[tied]) < max(2.0, 0.08 * head.width_px)
    return np.asarray(head.hair & near)


def _guides(roots: Array, head: Head, style: LooseStyle, rng: np.random.Generator) -> Array:
    # (N, K, 2): a lock leaves the skull between outwards and downwards, then yields to weight and wind
    n = len(roots)
    length = rng.uniform(*style.length) * rng.uniform(0.6, 1.1, n)
    k = int(np.clip(10 + 8 * style.curl * length.max() / style.curl_length, 12, 40))
    s = np.linspace(0, 1, k)[None]
    out = (roots.mean(0) if style.roots == "tail" else roots) - head.centre
    out = np.broadcast_to(out, roots.shape)
    out = out / (np.hypot(*out.T)[:, None] + 1e-6)
    side = np.where(out[:, 0] + rng.normal(0, 0.15, n) < 0, -1, 1)
    along = np.stack([-out[:, 1] * side, out[:, 0] * side], 1)
    start = style.lift * out + (1 - style.lift) * along + rng.normal(0, 0.15, (n, 2))
    blows = side if style.both else np.full(n, rng.choice([-1, 1]))
    slant = rng.normal(-0.2, 0.35) + rng.normal(0, 0.25, n)
    wind = style.wind * np.stack([blows * np.cos(slant), np.sin(slant)], 1) * rng.uniform(0.6, 1.2, (n, 1))
    force = wind + np.array([0, style.fall])
    pull = np.hypot(*force.T)[:, None] + 1e-6
    yields = (1 - np.exp(-1.6 * pull * length[:, None] * s))[..., None]
    start = start + 0.4 * style.wind * force / pull
    heading = (1 - yields) * start[:, None] + yields * (force / pull)[:, None]
    angle = np.arctan2(heading[..., 1], heading[..., 0]) + rng.normal(0, 0.35, (n, 1)) * s
    turns = 2 * np.pi * length[:, None] * s / (style.curl_length * rng.lognormal(0, 0.2, (n, 1)))
    swing = style.curl * rng.uniform(0.5, 1.2, (n, 1)) * np.minimum(1, 4 * s)
    angle = angle + swing * np.sin(turns + rng.uniform(0, 7, (n, 1)))
    step = (length * head.width_px / (k - 1))[:, None, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    return np.asarray(roots[:, None] + np.cumsum(step, 1) - step[:, :1], np.float32)


def _strands(
    guides: Array,
    room: Array,
    lock: NDArray[np.intp],
    head: Head,
    style: LooseStyle,
    rng: np.random.Generator,
) -> Array:
    # (N, K, 2): along the lock's curve, at a distance that narrows and opens again, each of its own length
    n, k = len(lock), guides.shape[1]
    s = np.linspace(0, 1, k, dtype=np.float32)[None]
    leaves = rng.random(n) < style.flyaway
    reach = np.where(leaves, rng.uniform(0.4, 1, n), rng.uniform(0.6, 1, n) ** 0.5)
    points = _resampled(guides[lock], rng.uniform(0, 0.1, n) * (room[lock] == 1), reach)
    # as seen from the root, so that the strands of a curl turn together
    ahead = np.concatenate([points[:, 1:2], points[:, 1:]], 1) - points[:, :1]
    across = np.stack([-ahead[..., 1], ahead[..., 0]], -1)
    across = across / (np.hypot(across[..., 0], across[..., 1])[..., None] + 1e-6)
    apart = rng.normal(0, 0.5, (n, 1)) * (np.minimum(room[lock, None], 1 - 0.6 * s) + style.frizz * s**2)
    waver = 0.25 * style.frizz * np.sin(rng.uniform(3, 14, (n, 1)) * s + rng.uniform(0, 7, (n, 1))) * s
    strays = np.where(leaves, rng.normal(0, 0.22, n), rng.normal(0, 0.012, n))[:, None] * s**1.5
    offset = head.width_px * (style.lock * (apart + waver) + strays)
    return np.asarray(points + offset[..., None] * across, np.float32)


def _plait(roots: Array, image: Floats, head: Head, style: LooseStyle, rng: np.random.Generator) -> Tresses:
    # Lobes that cross from side to side down the plait, each painted over the one before, and a loose end
    guide = _guides(roots.mean(0, keepdims=True), head, style, rng)
    half_px = style.lock * head.width_px * rng.uniform(0.7, 1.2)
    length_px = float(np.hypot(*np.diff(guide[0], axis=0).T).sum())
    lobes, each = int(np.clip(length_px / (0.75 * half_px), 4, 70)), int(np.clip(head.width_px / 4, 8, 50))
    u = np.linspace(0, 1, 10)[None, None]
    lobe, strand = np.arange(lobes)[:, None, None], rng.uniform(-1, 1, (lobes, each, 1))
    s = np.minimum((lobe + 0.7 * strand + 2.2 * u) / lobes, 0.97 + 0.03 * u).clip(0, 1) * 0.9
    s = np.where(lobe == lobes - 1, 0.9 + 0.1 * u, s)
    side = np.where(lobe % 2, 1, -1) * (1 - 0.15 * np.abs(strand)) * (1 - 0.5 * s)
    across_px = half_px * np.where(lobe == lobes - 1, 0.7 * strand * u, side * np.cos(np.pi * u))
    ahead = np.gradient(guide[0], axis=0)
    ahead = ahead / (np.hypot(*ahead.T)[:, None] + 1e-6)
    at = s.reshape(-1) * (guide.shape[1] - 1)
    x, y, dx, dy = (
        np.interp(at, np.arange(guide.shape[1]), line).reshape(s.shape) for line in (*guide[0].T, *ahead.T)
    )
    points = np.stack([x - dy * across_px, y + dx * across_px], -1).reshape(-1, u.size, 2)
    widths = np.tile(np.r_[0.7 * half_px, np.full(each - 1, head.width_px / 350)], lobes)
    tones = _colours(image, head, style, rng)
    # in each lobe the strands are lighter than what is seen between them
    picks = np.stack([rng.integers(0, 2, lobes), rng.integers(_GROUPS - 3, _GROUPS, lobes)], 1).ravel()
    group = 2 * np.repeat(np.arange(lobes), each) + np.tile(np.arange(each) > 0, lobes)
    front = np.full(len(points), bool(_in_front(guide, head, style, rng)[0]))
    return Tresses(points.astype(np.float32), widths, group, tones[picks], front)


def _resampled(curves: Array, first: Array, last: Array) -> Array:
    # (N, K, 2): of each curve the part between two places, 0 at its root and 1 at its tip
    k = curves.shape[1]
    s = np.linspace(0, 1, k, dtype=np.float32)[None]
    at = (k - 1) * (first[:, None] * (1 - s) + last[:, None] * s)
    low = np.minimum(at.astype(int), curves.shape[1] - 2)
    part = (at - low)[..., None]
    row = np.arange(len(curves))[:, None]
    return np.asarray(curves[row, low] * (1 - part) + curves[row, low + 1] * part, np.float32)


def _in_front(guides: Array, head: Head, style: LooseStyle, rng: np.random.Generator) -> NDArray[np.bool_]:
    if style.front == 1:
        return np.ones(len(guides), bool)
    crosses = _at(head.face, guides).mean(1) > 0.04
    stray = rng.random(len(guides)) < 0.03
    return np.asarray((rng.random(len(guides)) < style.front) & (~crosses | stray))


def _leave_from_hair(guides: Array, head: Head) -> NDArray[np.bool_]:
    # whether a lock behind the person comes into view beside hair, and not from behind a hat or an arm
    hidden = _at(head.person, guides)
    last = np.where(hidden.all(1), 0, np.maximum(0, np.argmin(hidden, 1) - 1))
    near = cv2.dilate(head.hair.astype(np.uint8), disc(0.12 * head.width_px)) > 0
    return _at(np.asarray(near), guides[np.arange(len(guides)), last])


def _at(mask: NDArray[np.bool_], points: Array) -> NDArray[np.bool_]:
    height, width = mask.shape
    x, y = (np.clip(points[..., i].astype(int), 0, n - 1) for i, n in ((0, width), (1, height)))
    return np.asarray(mask[y, x])


def _colours(image: Floats, head: Head, style: LooseStyle, rng: np.random.Generator) -> Array:
    # those of hair well inside its outline, the locks in the back darker
    depth = inside_px(head.hair)
    inner = image[depth > min(3.0, 0.5 * float(depth.max()))]
    picks = inner[rng.integers(len(inner), size=_GROUPS)]
    own = 0.7 * picks + 0.3 * np.median(inner[:: max(1, len(inner) // 500)], axis=0)
    depths = np.linspace(rng.uniform(0.5, 0.9), rng.uniform(1, 1.2), _GROUPS)[:, None]
    return np.asarray(np.clip(own * depths * style.tone, 0, 1), np.float32)


def _paint(canvas: Canvas, tresses: Tresses, chosen: NDArray[np.bool_]) -> None:
    k = tresses.points.shape[1]
    cuts = np.linspace(0, k - 1, _ZONES + 1).round().astype(int)
    for group, colour in enumerate(tresses.colours):
        own = chosen & (tresses.group == group) & (tresses.widths > 0)
        points, widths = tresses.points[own], tresses.widths[own]
        for zone in range(_ZONES):
            s = (zone + 0.5) / _ZONES
            lines = points[:, cuts[zone] : cuts[zone + 1] + 1]
            wanted = np.maximum(
                1, (widths * (0.5 if zone == 0 else 1 - 0.8 * s**1.5) * canvas.samples).round()
            )
            for samples in np.unique(wanted):
                canvas.strokes(lines[wanted == samples], samples / canvas.samples, colour * (0.85 + 0.3 * s))
