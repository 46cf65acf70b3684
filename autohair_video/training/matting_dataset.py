"""Training crops for the matter: rendered layers over backdrops, degraded, with a trimap.

render_layers -> MatteSource.load -> sample (pure in its generator) -> MatteCrops (endless batches)
                 MatteSource.pack, for a machine that is reached by copy -> MatteSource.unpack there
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from autohair_video.errors import InputError
from autohair_video.training.backgrounds import Photo, backdrop, load_photos, read_rgb
from autohair_video.training.degrade import degrade, jitter
from autohair_video.training.synthetic.canvas import Floats, disc_kernel, motion_kernel
from autohair_video.training.synthetic.render_cache import PATTERN, read_layer
from autohair_video.training.synthetic.shapes import between
from autohair_video.training.trimaps import loose_trimap, random_trimap, with_guess

_PACKED_PHOTO_PX = 480
# what the names of layers with loose hair begin with in a packed set
_LOOSE = "loose_"


@dataclass(frozen=True)
class MatteSample:
    """One crop, or with a leading batch dimension several; all float32.

    ``image`` (3, S, S) is the degraded composite in 0..1, ``trimap`` (1, S, S) holds 0, 1, and between
    0.25 and 0.75 what is unknown (see `trimaps.with_guess`),
    ``alpha`` (1, S, S) is exact. ``foreground`` and ``background`` (3, S, S) are undegraded:
    alpha * foreground + (1 - alpha) * background is the composite before its degradation.
    """

    image: Tensor
    trimap: Tensor
    alpha: Tensor
    foreground: Tensor
    background: Tensor


@dataclass(frozen=True)
class MatteSource:
    """Rendered layers on disk and photos in memory.

    Of the crops ``loose_share`` show one of the ``loose`` layers, heads with loose hair, where there are any.
    """

    layers: Sequence[Path]
    photos: Sequence[Photo]
    loose: Sequence[Path] = ()
    loose_share: float = 0.4

    @classmethod
    def load(
        cls,
        cache_dir: Path,
        *,
        shared_data: Path,
        loose: Path | None = None,
        loose_share: float = 0.4,
        seed: int = 0,
        people: int = 250,
    ) -> MatteSource:
        """The layers rendered into ``cache_dir`` (and ``loose``) so far, and the photos of ``shared_data``.

        Raises:
            InputError: there is no layer, or no photo.
        """
        found = []
        for folder in (cache_dir, loose):
            found.append([] if folder is None else sorted(folder.glob(PATTERN)))
            if folder is not None and not found[-1]:
                raise InputError(f"{folder}: no rendered layers; run render_layers into it first")
        photos = load_photos(shared_data, rng=np.random.default_rng(seed), people=people)
        return cls(found[0], photos, found[1], loose_share)

    def pack(self, folder: Path, *, layers: int, photos: int, seed: int = 0) -> int:
        """Copy some layers and photos, these made smaller, into ``folder``; returns the bytes written.

        Of the layers ``loose_share`` have loose hair, or as many as there are.
        """
        rng = np.random.default_rng(seed)
        folder.mkdir(parents=True, exist_ok=True)
        loose = self.loose[: round(layers * self.loose_share)]
        for path in self.layers[: layers - len(loose)]:
            shutil.copy(path, folder)
        for path in loose:
            shutil.copy(path, folder / f"{_LOOSE}{path.name}")
        for i in rng.permutation(len(self.photos))[:photos]:
            _save_photo(folder / f"photo_{i:05d}.jpg", self.photos[i])
        return sum(path.stat().st_size for path in folder.iterdir())

    @classmethod
    def unpack(cls, folder: Path, *, loose_share: float = 0.4) -> MatteSource:
        """What `pack` wrote.

        Raises:
            InputError: there is no layer.
        """
        layers = sorted(folder.glob(PATTERN))
        if not layers:
            raise InputError(f"{folder}: no packed training set; make one by `train pack`")
        photos = [read_rgb(path) for path in sorted(folder.glob("photo_?????.jpg"))]
        return cls(layers, photos, sorted(folder.glob(f"{_LOOSE}{PATTERN}")), loose_share)


def sample(source: MatteSource, rng: np.random.Generator, *, size: int = 256) -> MatteSample:
    """Draw one crop of ``size`` px, an even number; the same state of ``rng`` gives the same crop."""
    loose = bool(source.loose) and rng.random() < source.loose_share
    rgba = _foreground(source.loose if loose else source.layers, source.layers, rng, size)
    alpha = rgba[..., 3:]
    foreground = jitter(_straight(rgba), rng)
    background = backdrop(source.photos, rng, size)
    edge = np.clip(4 * alpha * (1 - alpha), 0, 1)
    if rng.random() < 0.13:
        background = _towards(background, foreground, edge)
    if rng.random() < 0.15:
        foreground = _spill(foreground, background, alpha, rng)
    image = degrade(alpha * foreground + (1 - alpha) * background, rng)
    drawn = (loose_trimap if loose else random_trimap)(alpha[..., 0], rng)
    trimap = with_guess(drawn, alpha[..., 0], rng)
    return MatteSample(
        _planes(image),
        _planes(trimap[..., None]),
        _planes(alpha),
        _planes(foreground),
        _planes(background),
    )


def _save_photo(path: Path, photo: Photo) -> None:
    scale = min(1.0, _PACKED_PHOTO_PX / max(photo.shape[:2]))
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(path), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])


def collate(samples: Sequence[MatteSample]) -> MatteSample:
    """Stack samples along a new first dimension."""
    return MatteSample(*(torch.stack([getattr(s, f.name) for s in samples]) for f in fields(MatteSample)))


class MatteCrops(IterableDataset[MatteSample]):
    """An endless, seeded stream of crops; each worker of a DataLoader draws a stream of its own."""

    def __init__(self, source: MatteSource, *, seed: int, size: int = 256) -> None:
        self.source, self.seed, self.size = source, seed, size

    def __iter__(self) -> Iterator[MatteSample]:
        worker = get_worker_info()
        rng = np.random.default_rng([self.seed, 0 if worker is None else worker.id])
        while True:
            yield sample(self.source, rng, size=self.size)


def _foreground(
    layers: Sequence[Path], others: Sequence[Path], rng: np.random.Generator, size: int
) -> Floats:
    # A premultiplied crop (size, size, 4) of a layer, or of one over another (Tang et al. 2019).
    rgba = _cut(_read(layers, rng), rng, size)
    if rng.random() < 0.12:
        below = _cut(_read(others, rng), rng, size)
        rgba = rgba + below * (1 - rgba[..., 3:])
    draw = rng.random()
    if draw < 0.4:  # not every lens is perfectly sharp; small video is
        rgba = cv2.GaussianBlur(rgba, (0, 0), float(rng.uniform(0.3, 0.8)))
    elif draw < 0.48:
        rgba = cv2.filter2D(rgba, -1, disc_kernel(between(rng, 1, 7)))
    elif draw < 0.54:
        rgba = cv2.filter2D(rgba, -1, motion_kernel(rng.uniform(3, 25), rng.uniform(0, np.pi)))
    return np.clip(rgba, 0, 1)


def _read(layers: Sequence[Path], rng: np.random.Generator) -> NDArray[np.uint8]:
    return read_layer(layers[int(rng.integers(len(layers)))])


def _cut(layer: NDArray[np.uint8], rng: np.random.Generator, size: int) -> Floats:
    # A part of the layer at the output's size, turned and mirrored; premultiplied.
    side, centre = _about_mixed(layer[..., 3], rng, size)
    turn = np.degrees(rng.normal(0, 0.25)) if rng.random() < 0.5 else 0.0
    turn += 90.0 * int(rng.integers(4)) if rng.random() < 0.15 else 0.0
    # Only the part that the turned crop can reach is worth converting.
    reach = side / 2 * (1.42 if turn else 1.0) + 4
    left, top = np.maximum(0, centre - reach).astype(int)
    right, bottom = np.ceil(centre + reach).astype(int)
    rgba = layer[top:bottom, left:right].astype(np.float32) * np.float32(1 / 255)
    centre = centre - (left, top)
    rgba[..., :3] *= rgba[..., 3:]
    zoom = size / side
    if zoom < 0.85:  # first an area mean, so that thin strands keep their share of a pixel
        width, height = (max(1, round(n * zoom)) for n in rgba.shape[1::-1])
        centre = centre * (width / rgba.shape[1], height / rgba.shape[0])
        rgba, zoom = cv2.resize(rgba, (width, height), interpolation=cv2.INTER_AREA), 1.0
    matrix = cv2.getRotationMatrix2D((centre[0] - 0.5, centre[1] - 0.5), turn, zoom)
    matrix = matrix + np.concatenate([np.zeros((2, 2)), size / 2 - centre[:, None]], 1)
    crop = cv2.warpAffine(rgba, matrix, (size, size), borderMode=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(crop[:, ::-1]) if rng.random() < 0.5 else crop


def _about_mixed(
    alpha: NDArray[np.uint8], rng: np.random.Generator, size: int
) -> tuple[float, NDArray[np.floating[Any]]]:
    # Side and centre (x, y), in the layer's pixels, of a crop about a mixed pixel.
    # small video shows large things: there edges are sharp, and a strand is thinner than a pixel
    near, far = (1.6, 2.5) if rng.random() < 0.35 else (0.75, 2.0)
    side = min(between(rng, near * size, far * size), *alpha.shape)
    mixed = np.flatnonzero((alpha > 5) & (alpha < 250))
    pixel = mixed[rng.integers(len(mixed))] if len(mixed) else rng.integers(alpha.size)
    y, x = np.unravel_index(pixel, alpha.shape)
    wanted = np.array([x, y]) + rng.uniform(-0.3, 0.3, 2) * side
    return side, np.clip(wanted, side / 2, np.array(alpha.shape[::-1]) - side / 2)


def _straight(rgba: Floats) -> Floats:
    # Straight colour; where there is next to no alpha, that of the pixels about it.
    alpha = rgba[..., 3:]
    small = cv2.resize(rgba, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    near = (
        cv2.blur(small, (5, 5))
        + cv2.blur(small, (17, 17)) * np.float32(0.01)
        + small.mean((0, 1)) * np.float32(1e-4)
    )
    behind = near[..., :3] / np.maximum(near[..., 3:], 1e-6)
    behind = cv2.resize(behind, rgba.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    known = np.clip(alpha * 64, 0, 1)
    straight = rgba[..., :3] / np.maximum(alpha, 1e-6) * known + behind * (1 - known)
    return np.asarray(np.clip(straight, 0, 1), np.float32)


def _towards(background: Floats, foreground: Floats, edge: Floats) -> Floats:
    # Foreground and background of like colour: the hardest case for every matting method.
    goal = (foreground * edge).sum((0, 1)) / max(float(edge.sum()), 1e-6)
    like = goal + 0.4 * (background - background.mean((0, 1)))
    return np.asarray(np.clip(like, 0, 1), np.float32)


def _spill(foreground: Floats, background: Floats, alpha: Floats, rng: np.random.Generator) -> Floats:
    # Light from the background on the rim of the foreground.
    light = cv2.GaussianBlur(background, (0, 0), 12)
    inner = cv2.GaussianBlur(alpha[..., 0], (0, 0), float(rng.uniform(2, 8)))[..., None]
    share = np.clip((1 - inner) * rng.uniform(0.1, 0.5), 0, 1)
    return np.asarray(np.clip(foreground * (1 - share) + light * share, 0, 1), np.float32)


def _planes(picture: Floats) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1), np.float32))
