"""Loose hair for heads that have tidy hair: blown, hanging, curly, wet, thin, tied, plaited; fringes, beards.

    find_head -> random_tresses (locks of strands, rooted in the hair that is there) -> draw_tresses
    add_loose_hair does it all for one picture, add_blowing_hair for the frames of a clip

A lock is a curve that leaves the skull outwards and is turned by its weight and by the wind. Strands follow
their lock at a distance that varies along it; fly-aways leave it. All strands are grown at once, and those of
one colour and width are painted by one call, which takes some ten milliseconds for two thousand of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.canvas import Canvas, Floats, disc_kernel, motion_kernel
from autohair_video.training.synthetic.shapes import between

Array = NDArray[np.floating[Any]]
Layers = tuple[Floats, Floats, Floats]
"""Straight RGB (S, S, 3), person alpha and hair alpha (S, S), all in 0..1."""


@dataclass(frozen=True)
class Head:
    """Where a head is, in px: ``centre`` (x, y) of the skull and its ``width_px``.

    ``person``, ``hair`` and ``face`` are (H, W) masks; of several people's hair this head's only.
    """

    centre: Array
    width_px: float
    person: NDArray[np.bool_]
    hair: NDArray[np.bool_]
    face: NDArray[np.bool_]


@dataclass(frozen=True)
class LooseStyle:
    """How locks grow; lengths in head widths, angles in radians, all else relative.

    ``length`` is that of a lock, ``fall`` and ``wind`` how strongly weight and wind turn it, ``both`` whether
    the wind parts the hair, ``lift`` how far hair stands off the skull at its roots (0..1), ``curl`` the
    swing of the curls (over 1 makes loops) with period ``curl_length``, ``frizz`` the scatter of strands,
    ``flyaway`` the share of strands that leave it, ``fullness`` how many there are, ``lock`` the width of a
    lock, ``crowd`` the number of strands in it, ``solid`` the share of it that has no gaps, ``tone`` the
    brightness, ``front`` the share of locks before the person. ``roots`` says where they grow: all over the
    hair, from one place in it (``tail``), above the face (``brow``) or in its lower half (``chin``).
    ``plaited``: all is one plait.
    """

    roots: Literal["hair", "tail", "brow", "chin"] = "hair"

    length: tuple[float, float] = (0.6, 2.0)
    fall: float = 1.0
    wind: float = 0.0
    both: bool = False
    lift: float = 0.5
    curl: float = 0.1
    curl_length: float = 0.5
    frizz: float = 0.5
    flyaway: float = 0.06
    fullness: float = 1.0
    lock: float = 0.08
    crowd: float = 24
    solid: float = 0.5
    tone: float = 1.0
    front: float = 0.4
    plaited: bool = False


STYLES: Final[dict[str, LooseStyle]] = {
    "hanging": LooseStyle(lift=0.25),
    "blown": LooseStyle(fall=0.35, wind=2.0),
    "blown to both sides": LooseStyle(length=(0.8, 2.2), fall=0.35, wind=1.8, both=True),
    "curly": LooseStyle(
        length=(0.5, 1.5), fall=0.6, lift=0.9, curl=1.5, curl_length=0.22, frizz=1.2, lock=0.12
    ),
    "frizzy": LooseStyle(
        length=(0.4, 1.0), fall=0.2, lift=1, curl=0.8, curl_length=0.12, frizz=2.5, solid=0.2
    ),
    "wet": LooseStyle(lift=0.1, frizz=0.15, flyaway=0.02, lock=0.035, solid=0.9, tone=0.6, fullness=0.6),
    "thin": LooseStyle(
        length=(0.3, 0.7), fall=0.3, lift=1, flyaway=0.5, fullness=0.12, lock=0.02, crowd=2, solid=0
    ),
    "fly-aways": LooseStyle(
        length=(0.3, 1.2), fall=0.2, wind=0.5, flyaway=1, fullness=0.2, crowd=3, solid=0, front=0.6
    ),
    "fringe": LooseStyle("brow", length=(0.3, 0.6), fall=2, fullness=0.4, crowd=10, solid=0.2, front=1),
    "ponytail": LooseStyle("tail", length=(0.8, 2.0), fall=0.9, wind=0.4, lift=1, frizz=0.8, front=0.1),
    "plait": LooseStyle("tail", length=(0.8, 1.8), fall=1.5, lift=1, lock=0.1, plaited=True),
    "beard": LooseStyle(
        "chin", length=(0.2, 0.6), fall=2, lift=0.2, curl=0.4, curl_length=0.15, fullness=0.7, front=1
    ),
}
_SHARES: Final = (0.15, 0.17, 0.15, 0.13, 0.08, 0.06, 0.05, 0.08, 0.03, 0.05, 0.03, 0.02)


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


def find_head(person: Floats, hair: Floats) -> Head | None:
    """The head with most hair, or None where no hair of some 30 px is seen.

    The skull's width is the first row's, from the top, that is no wider than twice its depth: a circle's
    middle.

    Args:
        person: (H, W) alpha, hair included.
        hair: (H, W) alpha of the hair.
    """
    own = _largest_piece(hair > 0.5)
    area = int(own.sum())
    if area < 30:
        return None
    # single tufts on the top tell nothing of the skull
    plain = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_OPEN, _disc(0.1 * area**0.5))
    rows, columns = (np.flatnonzero(plain.any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    top, left, broad = int(rows[0]), int(columns[0]), int(np.ptp(columns)) + 1
    chords = (person[top : top + 2 * broad, left : left + broad] > 0.5).sum(axis=1)
    fits = np.flatnonzero(chords <= 2 * np.arange(1, len(chords) + 1))
    row = int(fits[0]) if len(fits) else broad // 2
    width = float(np.clip(chords[min(row, len(chords) - 1)], min(0.6 * area**0.5, broad), broad))
    columns = np.flatnonzero(plain[top : top + row + 1].any(axis=0))
    centre = np.array([columns.mean(), top + width / 2])
    y, x = np.ogrid[: hair.shape[0], : hair.shape[1]]
    near = (x - centre[0]) ** 2 + ((y - centre[1] - 0.15 * width) / 1.25) ** 2 < (0.55 * width) ** 2
    body = np.asarray(person > 0.5)
    return Head(centre, width, body, own, near & body & (hair < 0.5))


def random_style(rng: np.random.Generator, name: str | None = None) -> LooseStyle:
    """One of `STYLES`, or the one that is named, with its measures varied."""
    name = name or str(rng.choice(list(STYLES), p=_SHARES))
    style = STYLES[name]
    return replace(
        style,
        curl=style.curl * rng.uniform(0.5, 1.4),
        curl_length=style.curl_length * rng.uniform(0.7, 1.5),
        wind=style.wind * rng.uniform(0.6, 1.5),
        lift=min(1.0, style.lift * rng.uniform(0.6, 1.6)),
        frizz=style.frizz * rng.uniform(0.6, 1.6),
        lock=style.lock * rng.uniform(0.6, 1.5),
        solid=style.solid * rng.uniform(0.3, 1.2),
        fullness=style.fullness * rng.uniform(0.5, 1.5),
        flyaway=min(1.0, style.flyaway * rng.uniform(0.3, 2.5)),
        tone=style.tone * rng.uniform(0.85, 1.15),
    )


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
    depth = _depth(head.hair | head.face)
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


def add_loose_hair(
    image: Floats,
    person: Floats,
    hair: Floats,
    rng: np.random.Generator,
    *,
    style: LooseStyle | None = None,
    most: int = 2500,
) -> Layers:
    """A person's layer with loose hair grown from the hair that it has; unchanged where it shows no hair.

    Alpha is never less than before, and hair is the strands' own alpha where they are alone. To be called
    before the person is put on a background, on colours that hold nothing of the old one.

    Args:
        image: (H, W, 3) straight RGB in 0..1.
        person: (H, W) alpha in 0..1, hair included.
        hair: (H, W) alpha of the hair in 0..1.
        rng: the same state gives the same hair.
        style: of `random_style`; one at random without it.
        most: number of strands at most; over 2500 they are painted finer too.
    """
    return next(add_blowing_hair(image, person, hair, rng, frames=1, style=style, most=most))


def add_blowing_hair(
    image: Floats,
    person: Floats,
    hair: Floats,
    rng: np.random.Generator,
    *,
    frames: int = 8,
    style: LooseStyle | None = None,
    most: int = 2500,
) -> Iterator[Layers]:
    """`add_loose_hair` for ``frames`` frames, in which wind moves the strands; the person stands still."""
    head = find_head(person, hair)
    style = style or random_style(rng)
    tresses = None if head is None else random_tresses(image, head, style, rng, most=most)
    if head is None or tresses is None:
        yield from [(image, person, hair)] * frames
        return
    height, width = person.shape
    light = _light(height, width, rng)
    kernel = _random_blur(head.width_px, rng)
    amplitude, phase, pace = rng.uniform(0.05, 0.3), rng.uniform(0, 7), rng.uniform(0.15, 0.6)
    samples = 4 if max(height, width) <= 320 or most > 2500 else 3
    for frame in range(frames):
        moved = swayed(tresses, phase=phase + pace * frame, amplitude=amplitude) if frames > 1 else tresses
        behind, front = draw_tresses(moved, height, width, samples=samples)
        for layer in (behind, front):
            layer[..., :3] = np.minimum(layer[..., :3] * light, layer[..., 3:])
        if kernel is not None:
            behind, front = (np.clip(cv2.filter2D(layer, -1, kernel), 0, 1) for layer in (behind, front))
        yield laid(image, person, hair, behind, front)


def laid(image: Floats, person: Floats, hair: Floats, behind: Floats, front: Floats) -> Layers:
    """A person's layer between two premultiplied (H, W, 4) layers of hair (Porter and Duff, 1984, over)."""
    over, own = front[..., 3], person * (1 - front[..., 3])
    rest = (1 - over) * (1 - person)
    alpha = np.maximum(np.minimum(over + own + rest * behind[..., 3], 1), person)
    strands = over + (1 - over) * hair + rest * behind[..., 3]
    colour = front[..., :3] + own[..., None] * image + rest[..., None] * behind[..., :3]
    straight = np.where(alpha[..., None] > 1e-3, colour / np.maximum(alpha, 1e-3)[..., None], image)
    return (
        np.clip(straight, 0, 1).astype(np.float32),
        alpha.astype(np.float32),
        np.minimum(strands, alpha).astype(np.float32),
    )


# numbers of depths in which locks lie, and of runs of even width and colour along a strand
_GROUPS: Final = 12
_ZONES: Final = 5


def _largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _disc(radius_px: float) -> NDArray[np.uint8]:
    side = 2 * round(radius_px) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _depth(mask: NDArray[np.bool_]) -> Floats:
    framed = np.pad(mask, 1, mode="edge").astype(np.uint8)  # the frame cuts, it is no outline
    return np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 3)[1:-1, 1:-1], np.float32)


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
    near = cv2.dilate(head.hair.astype(np.uint8), _disc(0.12 * head.width_px)) > 0
    return _at(np.asarray(near), guides[np.arange(len(guides)), last])


def _at(mask: NDArray[np.bool_], points: Array) -> NDArray[np.bool_]:
    height, width = mask.shape
    x, y = (np.clip(points[..., i].astype(int), 0, n - 1) for i, n in ((0, width), (1, height)))
    return np.asarray(mask[y, x])


def _colours(image: Floats, head: Head, style: LooseStyle, rng: np.random.Generator) -> Array:
    # those of hair well inside its outline, the locks in the back darker
    depth = _depth(head.hair)
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


def _light(height: int, width: int, rng: np.random.Generator) -> Floats:
    grid = rng.uniform(0.75, 1.25, (4, 4, 1)).astype(np.float32)
    smooth = cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[..., None], np.float32)


def _random_blur(head_px: float, rng: np.random.Generator) -> Floats | None:
    draw = rng.random()
    if draw < 0.2:
        return disc_kernel(max(0.6, head_px * between(rng, 0.004, 0.04)))
    if draw < 0.3:
        return motion_kernel(max(2.0, head_px * between(rng, 0.02, 0.15)), rng.uniform(0, np.pi))
    return None
