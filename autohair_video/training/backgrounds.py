"""Backgrounds for training composites: photos, views of panoramas, and pictures made by rule.

Pictures are (H, W, 3) uint8 RGB in memory and (size, size, 3) float32 RGB in 0..1 when drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.training.manifest import Source, load_manifest

Photo = NDArray[Any]  # of uint8; OpenCV's type stubs promise no more than numbers
Floats = NDArray[Any]  # of float32


def read_rgb(path: Path, *, long_side: int | None = None) -> Photo:
    """A picture as (H, W, 3) uint8 RGB, made smaller where its long side is over ``long_side`` px.

    Raises:
        InputError: the file is missing or no picture.
    """
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise InputError(f"{path}: not a readable picture; check the training data folder")
    scale = 1.0 if long_side is None else min(1.0, long_side / max(bgr.shape[:2]))
    if scale < 1:
        bgr = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(bgr[..., ::-1])


def view(panorama: Photo, *, yaw: float, pitch: float, fov: float, size: int) -> Photo:
    """A perspective view (size, size, 3) of an equirectangular panorama; angles in radians."""
    half = np.tan(fov / 2)
    x, y = np.meshgrid(np.linspace(-half, half, size), np.linspace(-half, half, size))
    y, z = y * np.cos(pitch) - np.sin(pitch), np.cos(pitch) + y * np.sin(pitch)
    longitude = np.arctan2(x, z) + yaw
    latitude = np.arctan2(y, np.hypot(x, z))
    height, width = panorama.shape[:2]
    map_x = (longitude / (2 * np.pi) % 1 * width).astype(np.float32)
    map_y = ((latitude / np.pi + 0.5) * height - 0.5).astype(np.float32)
    return np.asarray(
        cv2.remap(panorama, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP), np.uint8
    )


def load_photos(
    shared_data: Path,
    *,
    rng: np.random.Generator,
    people: int = 250,
    sources: Sequence[Source] | None = None,
) -> list[Photo]:
    """Photos, panorama views, person-free sides of drawn photos and ``people`` of these whole.

    About 400 MB of pictures with a long side of at most 1000 px. ``sources`` are a manifest's, of the
    shipped one without them.

    Raises:
        InputError: ``shared_data`` holds no backgrounds.
    """
    photos = [read_rgb(p, long_side=1000) for p in sorted((shared_data / "backgrounds").glob("*.jpg"))]
    if not photos:
        raise InputError(f"{shared_data / 'backgrounds'}: no JPEG photos; check the training data folder")
    photos = photos * 3
    for path in sorted((shared_data / "backgrounds" / "panoramas").glob("*.jpg")):
        panorama = read_rgb(path)
        for _ in range(8):
            yaw, pitch, fov = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.2), rng.uniform(0.9, 1.6)
            photos.append(view(panorama, yaw=yaw, pitch=pitch, fov=fov, size=400))
    for source in load_manifest() if sources is None else sources:
        if source.kind == "drawn":
            photos.extend(_drawn_photos(source, shared_data, people))
    return photos


def _drawn_photos(source: Source, data: Path, people: int) -> list[Photo]:
    """What is beside the drawn person, where nobody else is, and about ``people`` whole photos."""
    photos: list[Photo] = []
    paths, shared = source.files(data), source.stems_with_bystanders(data)
    for i, path in enumerate(paths):
        photo, drawn = read_rgb(path), source.beside(data, source.drawn, path.stem)
        if drawn is not None and path.stem not in shared:
            photos.extend(_person_free(photo, drawn))
        if people and i % max(1, len(paths) // people) == 0:
            photos.append(photo)
    return photos


def _person_free(photo: Photo, drawn: Path) -> list[Photo]:
    label = cv2.imread(str(drawn), cv2.IMREAD_GRAYSCALE)
    if label is None:
        return []
    taken = np.flatnonzero((label > 0).any(0))
    left, right = (taken[0], taken[-1]) if len(taken) else (label.shape[1], 0)
    sides = [photo[:, : max(left - 4, 0)], photo[:, right + 5 :]]
    return [np.ascontiguousarray(side) for side in sides if side.shape[1] >= 130]


def backdrop(photos: Sequence[Photo], rng: np.random.Generator, size: int) -> Floats:
    """A random background (size, size, 3).

    72 % are photos, half of them out of focus; the rest is made by rule.
    """
    if photos and rng.random() < 0.72:
        picture = _crop(photos[int(rng.integers(len(photos)))], rng, size)
        if rng.random() < 0.5:
            sigma = float(np.exp(rng.uniform(np.log(0.6), np.log(size / 16))))
            picture = cv2.GaussianBlur(picture, (0, 0), sigma)
    else:
        made = _MADE[int(rng.choice(len(_MADE), p=_SHARES))]
        picture = made(rng, size)
    gain = rng.lognormal(0, 0.2) * rng.lognormal(0, 0.06, 3)
    return np.asarray(np.clip(picture * gain, 0, 1), np.float32)


def _crop(photo: Photo, rng: np.random.Generator, size: int) -> Floats:
    short = min(photo.shape[:2])
    side = int(rng.uniform(min(0.5 * size, short), min(3 * size, short)))
    top, left = (int(rng.integers(0, full - side + 1)) for full in photo.shape[:2])
    crop = photo[top : top + side, left : left + side]
    way = cv2.INTER_AREA if side > size else cv2.INTER_CUBIC
    scaled = np.asarray(cv2.resize(crop, (size, size), interpolation=way))
    mirrored = scaled[:, ::-1] if rng.random() < 0.5 else scaled
    return np.asarray(mirrored / np.float32(255), np.float32)


def noise(rng: np.random.Generator, size: int, *, cells: int, channels: int = 1) -> Floats:
    """Smooth noise (size, size, channels) in 0..1 with about ``cells`` bumps along a side."""
    grid = rng.random((cells + 1, cells + 1, channels)).astype(np.float32)
    smooth = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(smooth, 0, 1)).reshape(size, size, channels)


def _colours(rng: np.random.Generator, n: int) -> NDArray[np.floating[Any]]:
    base = rng.random(3) * rng.uniform(0.3, 1)
    return np.clip(base + rng.normal(0, rng.uniform(0.05, 0.4), (n, 3)), 0, 1)


def _plain(rng: np.random.Generator, size: int) -> Floats:
    colour = _colours(rng, 1)[0]
    if rng.random() < 0.4:
        colour = np.clip(_STUDIO[int(rng.integers(len(_STUDIO)))] + rng.normal(0, 0.04, 3), 0, 1)
    light = 1 - rng.uniform(0, 0.2) * noise(rng, size, cells=2)
    return np.asarray(colour * light, np.float32)


def _gradient(rng: np.random.Generator, size: int) -> Floats:
    angle, (a, b) = rng.uniform(0, 2 * np.pi), _colours(rng, 2)
    t = np.linspace(-0.7, 0.7, size)
    ramp = np.clip(0.5 + np.cos(angle) * t[None] + np.sin(angle) * t[:, None], 0, 1)[..., None]
    return np.asarray(a * ramp + b * (1 - ramp), np.float32)


def _clouds(rng: np.random.Generator, size: int) -> Floats:
    total = np.zeros((size, size, 3), np.float32)
    a, b = _colours(rng, 2)
    for octave in range(int(rng.integers(1, 7))):
        total += noise(rng, size, cells=2 ** (octave + 1), channels=3) / np.float32(1.6**octave)
    low, high = total.min(), total.max()
    total = (total - low) / max(high - low, 1e-6)
    return np.asarray(a * total + b * (1 - total), np.float32)


def _stripes(rng: np.random.Generator, size: int) -> Floats:
    angle, period = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(3), np.log(60))))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    wave = np.sin(
        (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period + noise(rng, size, cells=3)[..., 0] * 6
    )
    if rng.random() < 0.5:
        wave = wave * np.sin((y * np.cos(angle) - x * np.sin(angle)) * 2 * np.pi / period)
    a, b = _colours(rng, 2)
    mix = np.clip(wave * rng.uniform(0.5, 8) + 0.5, 0, 1)[..., None]
    return np.asarray(a * mix + b * (1 - mix), np.float32)


def _room(rng: np.random.Generator, size: int) -> Floats:
    picture = np.ascontiguousarray(_gradient(rng, size))
    for colour in _colours(rng, int(rng.integers(2, 14))):
        (x, y), (w, h) = rng.integers(-20, size, 2), rng.integers(4, size, 2)
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), colour.tolist(), -1)
    picture *= np.float32(0.6) + np.float32(0.6) * noise(rng, size, cells=2)
    return picture


def _interior(rng: np.random.Generator, size: int) -> Floats:
    """A wall with things on it over a floor of boards or tiles in perspective, most of them wooden."""
    wall = _room(rng, size) if rng.random() < 0.6 else _plain(rng, size)
    y, x = np.mgrid[:size, :size].astype(np.float32) / np.float32(size)
    horizon = rng.uniform(0.1, 0.7)
    depth = 1 / np.maximum(y - horizon + rng.uniform(0.02, 0.3), 0.02)
    across, along = (x - rng.uniform(0, 1)) * depth, depth * rng.uniform(0.5, 3)
    turn, width = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(0.05), np.log(0.6))))
    u, v = ((a * np.cos(turn) + b * np.sin(turn)) / width for a, b in ((across, along), (along, -across)))
    row = np.floor(u).astype(int)
    board = np.floor(v / rng.uniform(1, 12) + 0.37 * row).astype(int)
    light = rng.uniform(0.75, 1.05, 251)[(7 * row + 31 * board) % 251] * (1 - 0.3 * (u - row < 0.05))
    light *= 1 + 0.06 * np.sin(40 * u + 5 * noise(rng, size, cells=12)[..., 0])
    tone = rng.uniform(0.35, 0.95) * np.array([1, rng.uniform(0.5, 0.8), rng.uniform(0.2, 0.55)])
    if rng.random() < 0.35:
        tone = _colours(rng, 1)[0]
    floor = tone * light[..., None] * (0.7 + 0.6 * noise(rng, size, cells=2))
    return np.asarray(np.where((y > horizon)[..., None], floor, wall), np.float32)


def _screen(rng: np.random.Generator, size: int) -> Floats:
    page = np.zeros((size, size), np.uint8)
    pitch = int(rng.integers(6, 24))
    for y in range(pitch, size, pitch):
        text = "".join(chr(c) for c in rng.integers(48, 122, 50))
        start = (int(rng.integers(0, 30)), y)
        cv2.putText(page, text, start, cv2.FONT_HERSHEY_SIMPLEX, pitch / 34, 255, 1, cv2.LINE_AA)
    ink = page[..., None].astype(np.float32) / np.float32(255)
    return np.asarray(_plain(rng, size) * (1 - ink) + _colours(rng, 1) * ink, np.float32)


def _foliage(rng: np.random.Generator, size: int) -> Floats:
    picture = np.ascontiguousarray(_clouds(rng, size) * np.float32(0.5))
    tone, axis = rng.random(3) * [0.7, 1, 0.5], float(rng.uniform(4, 30))
    for x, y, turn, light in rng.uniform(0, 1, (250, 4)):
        at, axes = (int(x * size), int(y * size)), (int(axis), max(1, int(axis * 0.35)))
        colour = np.clip(tone * (0.3 + light), 0, 1).tolist()
        cv2.ellipse(picture, at, axes, turn * 360, 0, 360, colour, -1, cv2.LINE_8)
    return picture


# Green, blue, white, black, grey.
_STUDIO = ((0.1, 0.75, 0.2), (0.1, 0.25, 0.8), (0.97,) * 3, (0.02,) * 3, (0.5,) * 3)
_MADE = (_plain, _gradient, _clouds, _stripes, _room, _interior, _screen, _foliage)
_SHARES = (0.22, 0.12, 0.14, 0.10, 0.08, 0.18, 0.05, 0.11)
