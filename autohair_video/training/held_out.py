"""Rendered evaluation sets whose heads, seeds and views no training has seen, with exact alpha.

    loose_hair/   held-out portraits (`Source.held_out_every`) with new hair: blown, curly, wet, tied
    bodies/       rendered people, alone and several in one picture
    hands/        the same where they show hands, close enough to see fingers

Every still is NAME.png with NAME_alpha.png and NAME_region.png (hair, people, hands), which is what
`autohair-video evaluate FOLDER` reads. Number and seed decide what is in it: an interrupted run resumes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.training.backgrounds import Photo, read_rgb, view
from autohair_video.training.synthetic.canvas import Floats
from autohair_video.training.synthetic.loose_head import loose_head
from autohair_video.training.synthetic.shapes import between
from autohair_video.training.synthetic.sources import Sources

Size = tuple[int, int]

# side of a portrait before it is shrunk into the picture
_PORTRAIT_PX: Final = 1000
_LONG_SIDES_PX: Final = (640, 960)
_ASPECTS: Final = (4 / 3, 16 / 9, 1.0, 3 / 4, 3 / 2)
_GREY: Final = 3  # levels between the colours of a pixel, in the mean: less is a picture in grey
_REACH: Final = 0.01  # of the long side, by which a region goes beyond what it is about


@dataclass(frozen=True)
class Still:
    """A picture (H, W, 3), its alpha (H, W), and of what special interest is, (H, W): all in 0..1."""

    picture: Floats
    alpha: Floats
    region: Floats


def render_held_out(
    out: Path, shared: Path, *, count: int = 40, seed: int = 0, people: Path | None = None
) -> dict[str, int]:
    """Make the sets that are not in ``out`` yet; returns the number of stills in each.

    Args:
        out: folder of the sets, made where missing.
        shared: folder with ``data/`` (people, backgrounds) and ``init/teachers``.
        count: stills in each set.
        seed: other seeds give other stills.
        people: rendered people, ``person_NAME.webp`` (straight RGBA) beside ``person_NAME_labels.png`` (alpha
            of person, hair and hands as RGB); without it there are no bodies and hands.

    Raises:
        InputError: the data or the people are missing or incomplete.
    """
    scenes = _Scenes.find(shared / "data")
    teachers, masks = shared / "init" / "teachers", out / "masks"
    sources = Sources.find(shared / "data", teachers=teachers, masks=masks, size=_PORTRAIT_PX, held_out=True)
    sources = replace(sources, portraits=[path for path in sources.portraits if _is_coloured(path)])
    made = {
        "loose_hair": _render(out / "loose_hair", count, seed, lambda rng: _hair_still(sources, scenes, rng))
    }
    if people is not None:
        found = _People.find(people)
        made["bodies"] = _render(
            out / "bodies", count, seed + 1, lambda rng: _people_still(found, scenes, rng, hands=False)
        )
        made["hands"] = _render(
            out / "hands", count, seed + 2, lambda rng: _people_still(found, scenes, rng, hands=True)
        )
    return made


def _render(folder: Path, count: int, seed: int, make: Callable[[np.random.Generator], Still]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        stem = folder / f"{folder.name}_{index:03d}"
        if not Path(f"{stem}_alpha.png").exists():
            _save(stem, make(np.random.default_rng([_SALT, seed, index])))
    return count


# no training draws from this stream
_SALT: Final = 0x4E1D


def _save(stem: Path, still: Still) -> None:
    # alpha last and renamed when whole: it marks the still as done
    cv2.imwrite(f"{stem}.png", _bytes(still.picture)[..., ::-1])
    reach = 2 * round(_REACH * max(still.alpha.shape)) + 1
    near = cv2.dilate((still.region > 0.02).astype(np.uint8) * 255, np.ones((reach, reach), np.uint8))
    cv2.imwrite(f"{stem}_region.png", near)
    part = Path(f"{stem}.part.png")
    cv2.imwrite(str(part), _bytes(still.alpha))
    part.rename(f"{stem}_alpha.png")


def _hair_still(sources: Sources, scenes: _Scenes, rng: np.random.Generator) -> Still:
    size = _random_size(rng)
    head = loose_head(sources, rng, size, portraits=1.0)
    own = head.colour[head.hair > 0.9]
    tone = np.median(own, axis=0) if len(own) else np.full(3, 0.3)
    scene = scenes.draw(rng, size, tone=tone)
    return _composite(head.colour, head.alpha, head.hair, scene, rng)


def _people_still(people: _People, scenes: _Scenes, rng: np.random.Generator, *, hands: bool) -> Still:
    size = _random_size(rng)
    wanted = 1 if hands or rng.random() < 0.6 else int(rng.integers(2, 4))
    colour = np.zeros((*size, 3), np.float32)
    alpha, region = np.zeros(size, np.float32), np.zeros(size, np.float32)
    for _ in range(_TRIES):
        near = _placed(*people.draw(rng, hands=hands), size, rng, hands=hands)
        if near is None or (near[..., 4] > 0.5).mean() < _LEAST_SEEN:
            continue
        over = near[..., 3]
        colour = near[..., :3] + colour * (1 - over[..., None])
        region = near[..., 4] + region * (1 - over)
        alpha = over + alpha * (1 - over)
        wanted -= 1
        if not wanted:
            break
    straight = colour / np.maximum(alpha, 1e-4)[..., None]
    tone = np.median(straight[alpha > 0.9], axis=0) if (alpha > 0.9).any() else np.full(3, 0.3)
    return _composite(np.clip(straight, 0, 1), alpha, region, scenes.draw(rng, size, tone=tone), rng)


# draws until a person, or a hand, is seen over this share of the picture
_TRIES: Final = 40
_LEAST_SEEN: Final = 0.002
# a rendered person is enlarged no further: more would be soft
_LARGEST_SCALE: Final = 2.6


def _composite(
    colour: Floats, alpha: Floats, region: Floats, scene: Floats, rng: np.random.Generator
) -> Still:
    # with the noise of a camera, and no more: alpha stays exact
    alpha = np.clip(alpha, 0, 1)
    lit = np.clip(colour * np.exp(rng.normal(0, 0.1)), 0, 1)
    picture = alpha[..., None] * lit + (1 - alpha[..., None]) * scene
    noisy = picture + rng.normal(0, rng.uniform(0.002, 0.012), picture.shape)
    return Still(np.clip(noisy, 0, 1).astype(np.float32), alpha.astype(np.float32), region)


def _placed(
    rgba: Photo, labels: Photo, size: Size, rng: np.random.Generator, *, hands: bool
) -> Floats | None:
    # (H, W, 5): premultiplied RGBA and region of a person, scaled and shifted, for hands close to them; None
    # where the person, cut off by the frame they were rendered in, would have to be enlarged too much.
    height, width = size
    part = labels[..., 2] if hands else rgba[..., 3]
    (ys, xs), rows = np.nonzero(part > 127), np.flatnonzero((rgba[..., 3] > 127).any(axis=1))
    if not len(xs):
        return None
    wanted = rng.uniform(1.1, 2.2) if hands else between(rng, 0.35, 1.5)
    cut = _cut_sides(rgba[..., 3])
    scale = max(min(wanted * height / (np.ptp(rows) + 1), _LARGEST_SCALE), _least_scale(rgba, cut, size))
    if scale > _LARGEST_SCALE:
        return None
    goal = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    left, top = goal - scale * np.array([np.median(xs), np.median(ys)])
    # what its own frame cuts off must be cut off by this one: nobody ends in mid-air
    left = max(left, width - scale * rgba.shape[1]) if cut[3] else left
    top = max(top, height - scale * rgba.shape[0]) if cut[1] else top
    left, top = min(left, 0) if cut[2] else left, min(top, 0) if cut[0] else top
    full = np.dstack([rgba, part]).astype(np.float32) / np.float32(255)
    full[..., :3] *= full[..., 3:4]
    if scale < 1:
        small = (max(1, round(rgba.shape[1] * scale)), max(1, round(rgba.shape[0] * scale)))
        parts = [cv2.resize(p, small, interpolation=cv2.INTER_AREA) for p in (full[..., :4], full[..., 4])]
        full, scale = np.dstack(parts), 1.0
    shift = 0.5 * (scale - 1)  # centres of pixels, as they are resized
    matrix = np.array([[scale, 0, left + shift], [0, scale, top + shift]])
    near = cv2.warpAffine(full, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(
        np.ones(full.shape[:2], np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST
    )
    return np.asarray(np.clip(near * (inside > 0)[..., None], 0, 1), np.float32)


def _cut_sides(alpha: Photo) -> tuple[bool, bool, bool, bool]:
    # whether the frame cuts the person off at its top, bottom, left and right
    lines = alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]
    top, bottom, left, right = (bool((line > 25).any()) for line in lines)
    return top, bottom, left, right


def _least_scale(rgba: Photo, cut: tuple[bool, bool, bool, bool], size: Size) -> float:
    # where both of two opposite sides are cut, the person fills the frame from side to side
    top, bottom, left, right = cut
    tall = (size[0] + 1) / rgba.shape[0] if top and bottom else 0.0
    broad = (size[1] + 1) / rgba.shape[1] if left and right else 0.0
    return max(tall, broad)


@dataclass(frozen=True)
class _People:
    """Rendered people on disk."""

    paths: tuple[Path, ...]
    with_hands: tuple[Path, ...]

    @classmethod
    def find(cls, folder: Path) -> _People:
        paths = tuple(sorted(p for p in folder.glob("person_*.webp") if _label_path(p).is_file()))
        if not paths:
            raise InputError(
                f"{folder}: no person_*.webp beside person_*_labels.png; render people into it first"
            )
        shown = tuple(p for p in paths if (read_rgb(_label_path(p))[..., 2] > 127).sum() > 200)
        if not shown:
            raise InputError(f"{folder}: nobody there shows a hand; render more people into it")
        return cls(paths, shown)

    def draw(self, rng: np.random.Generator, *, hands: bool) -> tuple[Photo, Photo]:
        """A person (H, W, 4), uint8 straight RGBA, and the label (H, W, 3) of person, hair and hands."""
        paths = self.with_hands if hands else self.paths
        path = paths[int(rng.integers(len(paths)))]
        bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if bgra is None or bgra.shape[-1] != 4:
            raise InputError(f"{path}: not a picture with alpha; delete it and render people again")
        return cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), read_rgb(_label_path(path))


def _label_path(path: Path) -> Path:
    return path.with_name(f"{path.stem}_labels.png")


@dataclass(frozen=True)
class _Scenes:
    """Photos and panoramas as backgrounds."""

    photos: tuple[Path, ...]
    panoramas: tuple[Path, ...]

    @classmethod
    def find(cls, data: Path) -> _Scenes:
        folder = data / "backgrounds"
        photos, panoramas = (tuple(sorted(p.glob("*.jpg"))) for p in (folder, folder / "panoramas"))
        if not photos or not panoramas:
            raise InputError(f"{folder}: no photos or panoramas; check the training data folder")
        return cls(photos, panoramas)

    def draw(self, rng: np.random.Generator, size: Size, *, tone: NDArray[np.floating]) -> Floats:
        """A background (H, W, 3); two in five have the colour ``tone`` (3,): a brown room, say."""
        long_side = max(size)
        if rng.random() < 0.4:
            picture = self._photo(rng, size)
        else:
            panorama = read_rgb(self.panoramas[int(rng.integers(len(self.panoramas)))])
            yaw, pitch, fov = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15), rng.uniform(0.9, 1.5)
            picture = view(panorama, yaw=yaw, pitch=pitch, fov=fov, size=long_side)[: size[0], : size[1]]
        scene = picture.astype(np.float32) / np.float32(255)
        if rng.random() < 0.5:
            sigma = long_side * np.exp(rng.uniform(np.log(0.002), np.log(0.03)))
            scene = np.asarray(cv2.GaussianBlur(scene, (0, 0), sigma))
        if rng.random() < 0.4:
            grain = scene.mean(-1, keepdims=True) / max(1e-3, float(scene.mean()))
            like = tone * np.exp(rng.normal(0, 0.15)) * grain ** rng.uniform(0.3, 1)
            scene = scene + rng.uniform(0.6, 0.95) * (like - scene)
        return np.asarray(np.clip(scene, 0, 1), np.float32)

    def _photo(self, rng: np.random.Generator, size: Size) -> Photo:
        photo = read_rgb(self.photos[int(rng.integers(len(self.photos)))])
        scale = max(n / m for n, m in zip(size, photo.shape[:2], strict=True)) * rng.uniform(1, 1.6)
        grown = cv2.resize(
            photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        grown = grown[:, :: int(rng.choice((-1, 1)))]
        top, left = (
            int(rng.integers(0, max(1, m - n + 1))) for n, m in zip(size, grown.shape[:2], strict=True)
        )
        cut = np.ascontiguousarray(grown[top : top + size[0], left : left + size[1]])
        return cut if cut.shape[:2] == size else cv2.resize(cut, size[::-1])


def _is_coloured(path: Path) -> bool:
    return float(np.ptp(read_rgb(path, long_side=100).astype(int), axis=-1).mean()) > _GREY


def _random_size(rng: np.random.Generator) -> Size:
    long_side, aspect = int(rng.integers(*_LONG_SIDES_PX, endpoint=True)), float(rng.choice(_ASPECTS))
    short = round(long_side / max(aspect, 1 / aspect))
    return (short, long_side) if aspect >= 1 else (long_side, short)


def _bytes(values: Floats) -> NDArray[np.uint8]:
    return np.round(np.clip(values, 0, 1) * 255).astype(np.uint8)
