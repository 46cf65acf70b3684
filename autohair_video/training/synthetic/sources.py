"""Where foregrounds take real colours and outlines from: portraits and labelled street photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.training.backgrounds import Photo, noise, read_rgb
from autohair_video.training.manifest import load_manifest
from autohair_video.training.synthetic import shapes
from autohair_video.training.synthetic.canvas import Floats
from autohair_video.training.teachers import TFLiteTeacher, hair_in_two_looks

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Outlined:
    """A photo (H, W, 3) uint8 RGB with the masks of the person and the hair, (H, W) bool."""

    photo: Photo
    person: Mask
    hair: Mask

    def box(self, top: int, left: int, side: int, size: int) -> Outlined:
        """The square of ``side`` px at (left, top), less what is out of frame, at ``size`` px."""
        cut = (slice(max(top, 0), top + side), slice(max(left, 0), left + side))
        masks = (
            cv2.resize(m[cut].astype(np.uint8) * 255, (size, size), interpolation=cv2.INTER_LINEAR) > 127
            for m in (self.person, self.hair)
        )
        photo = cv2.resize(self.photo[cut], (size, size), interpolation=cv2.INTER_CUBIC)
        return Outlined(np.asarray(photo, np.uint8), *masks)


@dataclass(frozen=True)
class Sources:
    """Portraits with teacher masks, and labelled street photos; a draw is ``size`` px square."""

    portraits: Sequence[Path]
    streets: Sequence[Path]
    teachers: Path | None
    masks: Path
    size: int
    _models: dict[str, TFLiteTeacher] = field(default_factory=dict)

    @classmethod
    def find(
        cls, shared_data: Path, *, teachers: Path | None, masks: Path, size: int, held_out: bool = False
    ) -> Sources:
        """The sources in the training data folder; ``masks`` is where teacher masks are kept.

        Without ``teachers`` street photos, which have labels, stand in for the portraits. Portraits are those
        for training, or with ``held_out`` those that no training sees.

        Raises:
            InputError: the folder holds no people.
        """
        people, sources = shared_data / "people", load_manifest()
        portraits = [
            path
            for source in sources
            if source.is_portrait
            for path in source.files(shared_data)
            if source.is_held_out(path.stem) == held_out
        ]
        streets = [path for source in sources if source.kind == "drawn" for path in source.files(shared_data)]
        if not portraits or not streets:
            raise InputError(f"{people}: no portraits or street photos; check the training data folder")
        return cls(portraits, streets, teachers, masks, size)

    def portrait(self, rng: np.random.Generator) -> Outlined:
        """Head and shoulders, large."""
        if self.teachers is None:
            return self.street_head(rng)
        path = self.portraits[int(rng.integers(len(self.portraits)))]
        photo = read_rgb(path, long_side=1000)
        side = min(photo.shape[:2])
        hair, person = self._taught(path, photo)
        left = (photo.shape[1] - side) // 2
        return Outlined(photo, person | hair, hair).box(0, left, side, self.size)

    def street(self, rng: np.random.Generator) -> Outlined:
        """Some part of a person in the street."""
        whole = self._street(rng)
        side = int(rng.uniform(200, min(whole.photo.shape[:2])))
        ys, xs = np.nonzero(whole.person)
        pick = int(rng.integers(len(ys)))
        return self._about(whole, ys[pick] - side / 2, xs[pick] - side / 2, side)

    def street_head(self, rng: np.random.Generator, *, room: float = 1.0) -> Outlined:
        """Head and shoulders of a person in the street, enlarged, with more about them for more ``room``."""
        whole = self._street(rng)
        while whole.hair.sum() < 900:
            whole = self._street(rng)
        ys, xs = np.nonzero(whole.hair)
        side = int(max(np.ptp(ys), np.ptp(xs)) * rng.uniform(1.8, 3) * room + 20)
        return self._about(whole, ys.mean() - side * 0.4, xs.mean() - side * 0.5, side)

    def texture(self, rng: np.random.Generator) -> Floats:
        """Real or made surface colour, (size, size, 3) in 0..1."""
        draw = rng.random()
        if draw < 0.2:
            a, b = shapes.random_colour(rng), shapes.random_colour(rng)
            mix = noise(rng, self.size, cells=int(rng.choice([2, 4, 16, 90])))
            return np.asarray(a * mix + b * (1 - mix), np.float32)
        pool = self.portraits if draw < 0.5 else self.streets
        photo = read_rgb(pool[int(rng.integers(len(pool)))], long_side=1000)
        side = int(rng.uniform(0.15, 0.7) * min(photo.shape[:2]))
        top = int((photo.shape[0] - side) * rng.uniform(0.2, 0.8))
        left = int((photo.shape[1] - side) * rng.uniform(0.3, 0.7))
        cut = photo[top : top + side, left : left + side]
        grown = cv2.resize(cut, (self.size, self.size), interpolation=cv2.INTER_CUBIC)
        return np.asarray(grown / np.float32(255), np.float32)

    def hair(self, rng: np.random.Generator) -> Floats:
        """A surface of real hair, (size, size, 3) in 0..1, a third of them dyed."""
        drawn = self.portrait(rng)
        top, left, side = _fullest_square(drawn.hair, rng)
        patch = drawn.photo[top : top + side, left : left + side].astype(np.float32) / np.float32(255)
        # Folded out by mirrors, then warped: the grain keeps its scale, no symmetry shows.
        y, x = np.mgrid[: self.size, : self.size].astype(np.float32) * np.float32(rng.uniform(0.4, 1))
        warp = (noise(rng, self.size, cells=3, channels=2) - np.float32(0.5)) * np.float32(2.5 * side)
        surface = cv2.remap(
            patch,
            x + warp[..., 0],
            y + warp[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        if rng.random() < 0.33:
            grey = surface.mean(-1, keepdims=True)
            surface = grey / max(float(grey.mean()), 0.05) * shapes.random_colour(rng) * 0.8
        shade = 0.7 + 0.6 * noise(rng, self.size, cells=4)
        return np.asarray(np.clip(surface * shade, 0, 1), np.float32)

    def _about(self, whole: Outlined, top: float, left: float, side: int) -> Outlined:
        height, width = whole.photo.shape[:2]
        top, left = np.clip(top, 0, max(height - side, 0)), np.clip(left, 0, max(width - side, 0))
        return whole.box(int(top), int(left), side, self.size)

    def _street(self, rng: np.random.Generator) -> Outlined:
        path = self.streets[int(rng.integers(len(self.streets)))]
        label_path = path.parents[1] / "label" / f"{path.stem}.png"
        label = cv2.imread(str(label_path), cv2.IMREAD_GRAYSCALE)
        if label is None:
            raise InputError(f"{label_path}: missing or unreadable; check the training data folder")
        return Outlined(read_rgb(path), label > 0, label == 2)

    def _taught(self, path: Path, photo: Photo) -> tuple[Mask, Mask]:
        # Hair and person as the teachers see them; asked once, then kept as a picture of 512 px.
        kept = self.masks / f"{path.parent.name}_{path.stem}.png"
        if not kept.exists():
            self.masks.mkdir(parents=True, exist_ok=True)
            hair, person = self._teach(photo)
            both = [cv2.resize(p, (512, 512), interpolation=cv2.INTER_AREA) for p in (hair, person)]
            cv2.imwrite(str(kept), (np.dstack([*both, both[0] * 0]) * 255).astype(np.uint8))
        taught = read_rgb(kept)[..., ::-1]
        grown = np.asarray(cv2.resize(taught, photo.shape[1::-1], interpolation=cv2.INTER_CUBIC))
        return grown[..., 0] > 127, grown[..., 1] > 150

    def _teach(self, photo: Photo) -> tuple[Floats, Floats]:
        assert self.teachers is not None
        for name in ("hair_segmentation", "selfie_segmentation"):
            if name not in self._models:
                self._models[name] = TFLiteTeacher(self.teachers / f"{name}.tflite")
        hair = hair_in_two_looks(self._models["hair_segmentation"], photo)
        return hair, self._models["selfie_segmentation"].ask(photo)[..., 0]


def _fullest_square(hair: Mask, rng: np.random.Generator) -> tuple[int, int, int]:
    # Top, left and side of the largest square, of a few sizes, that is (nearly) all hair.
    filled = hair.astype(np.float32)
    best, side = filled, 48
    for wider in (48, 64, 96, 140):
        box = cv2.boxFilter(filled, -1, (wider, wider), borderType=cv2.BORDER_CONSTANT)
        share = np.asarray(box, np.float32)
        if wider == 48 or share.max() > 0.97:
            best, side = share, wider
    y, x = np.unravel_index(np.argmax(best + 0.03 * rng.random(best.shape)), best.shape)
    top, left = (int(np.clip(c - side // 2, 0, n - side)) for c, n in zip((y, x), hair.shape, strict=True))
    return top, left, side
