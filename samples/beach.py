"""A beach late in the day, rendered from formulas: sky, clouds, sun, sea, foam, sand, palm."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

WIDTH, HEIGHT = 1920, 1080
HORIZON = 0.45
SUN = (0.76, 0.33)
# Metres: the camera stands this high over the sea, and a pixel is 1 / FOCAL of its distance.
CAMERA_M, FOCAL = 1.7, 1500.0


def render_beach() -> NDArray[np.uint8]:
    """(1080, 1920, 3) uint8 RGB; rendered at twice the size, so that edges are smooth."""
    rng = np.random.default_rng(7)
    height, width = 2 * HEIGHT, 2 * WIDTH
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) + 0.5
    x, y = x / width, y / height
    picture = _sky(x, y, rng)
    ground_rows = int(np.ceil(HORIZON * height)) + 1
    picture[ground_rows:] = _ground(x[ground_rows:], y[ground_rows:], rng)
    _soften_horizon(picture, ground_rows)
    picture = _palm(picture, rng)
    picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    picture += rng.normal(0, 0.006, picture.shape).astype(np.float32)
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)


def _rgb(*value: float) -> Image:
    return np.array(value, np.float32)


def _step(x: Any, low: float, high: float) -> Any:
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _mix(a: Image, b: Image, share: Image) -> Image:
    return a + (b - a) * share[..., None]


def _noise(u: Image, v: Image, rng: np.random.Generator, octaves: int = 5) -> Image:
    """Value noise of several octaves at (u, v), mean about 0.5, feature size about 1."""
    total = np.zeros_like(u)
    for octave in range(octaves):
        lattice = rng.random((256, 256), dtype=np.float32)
        scale = 2.0**octave
        wrapped = [np.mod(axis * scale, 255).astype(np.float32) for axis in (u, v)]
        sample = cv2.remap(lattice, *wrapped, cv2.INTER_CUBIC, borderMode=cv2.BORDER_WRAP)
        total += sample * 0.5 ** (octave + 1)
    return total / (1 - 0.5**octaves)


def _sky_colour(elevation: Image) -> Image:
    """Clear sky by height over the horizon (0) up to the top of the picture (1)."""
    stops = np.array([0, 0.12, 0.4, 1], np.float32)
    colours = np.array([[0.98, 0.86, 0.73], [0.88, 0.87, 0.84], [0.60, 0.75, 0.86], [0.29, 0.50, 0.72]])
    channels = [np.interp(elevation, stops, colours[:, c]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _sky(x: Image, y: Image, rng: np.random.Generator) -> Image:
    sky = _sky_colour((HORIZON - y) / HORIZON)
    away = np.hypot((x - SUN[0]) * WIDTH / HEIGHT, y - SUN[1])
    sky += _rgb(1.0, 0.75, 0.45) * (0.45 * np.exp(-away / 0.12))[..., None]
    # Clouds lie on a flat layer, so they crowd together towards the horizon.
    depth = 1 / np.maximum(HORIZON - y + 0.06, 0.02)
    u, v = (x - 0.5) * depth * 2.4 + 11, depth * 1.5
    cloud = _noise(u, v, rng, 6)
    towards_sun = _noise(u + 0.25, v + 0.12, np.random.default_rng(3), 2)
    cover = _step(cloud, 0.52, 0.74) * _step(HORIZON - y, 0.0, 0.1)
    lit = 0.86 + 0.22 * towards_sun - 0.28 * _step(cloud, 0.6, 0.95)
    tint = _rgb(1.0, 0.96, 0.91) + _rgb(0.08, 0.0, -0.1) * np.exp(-away / 0.35)[..., None]
    sky = _mix(sky, lit[..., None] * tint, 0.85 * cover)
    return sky + _rgb(1.0, 0.93, 0.78) * (1.3 * np.exp(-((away / 0.028) ** 2)))[..., None]


def _ground(x: Image, y: Image, rng: np.random.Generator) -> Image:
    """Sea and sand, seen in perspective."""
    distance = CAMERA_M * FOCAL / ((y - HORIZON) * HEIGHT + 0.4)
    across = (x - 0.5) * WIDTH * distance / FOCAL
    shore = 7.2 + 0.9 * np.sin(across * 0.28 + 0.8) + 0.35 * np.sin(across * 0.83 + 2)
    shore += 0.7 * (_noise(across * 0.6 + 40, distance * 0.15 + 3, rng, 3) - 0.5)
    offshore = distance - shore
    sea = _sea(across, distance, offshore, rng)
    sand = _sand(across, distance, offshore, rng)
    foam = _foam(across, distance, offshore, rng)
    ground = _mix(sand, sea, _step(offshore, -0.06, 0.16))
    return _mix(ground, np.broadcast_to(_rgb(0.97, 0.96, 0.94), ground.shape), foam)


def _sea(across: Image, distance: Image, offshore: Image, rng: np.random.Generator) -> Image:
    """Water with the sky mirrored in it by Fresnel's law (Schlick's form) and the sun's glitter."""
    slope_x, slope_z = np.zeros_like(across), np.zeros_like(across)
    footprint = distance * distance / (CAMERA_M * FOCAL)
    for length in np.geomspace(0.18, 14, 44):
        heading = rng.normal(0, 0.45 if length > 2 else 0.8)
        k = 2 * np.pi / length
        phase = k * (across * np.sin(heading) + distance * np.cos(heading)) + rng.uniform(0, 6.28)
        # Waves shorter than a pixel's footprint average out.
        steepness = 0.055 * np.exp(-((footprint / length) ** 2)) * np.cos(phase)
        slope_x += np.sin(heading) * steepness
        slope_z += np.cos(heading) * steepness
    calm = _step(offshore, 0, 4) * 0.8 + 0.2
    slope_x, slope_z = slope_x * calm, slope_z * calm
    grazing = CAMERA_M / distance
    facing = 0.16 + np.logaddexp(0, (grazing + 0.8 * slope_z - 0.16) * 25) / 25
    mirror = 0.02 + 0.98 * (1 - np.clip(facing, 0, 1)) ** 5
    reflected = _sky_colour(np.clip(0.42 + 1.6 * (grazing * 0.5 + slope_z), 0.36, 0.9))
    shallow, deep = _rgb(0.42, 0.68, 0.64), _rgb(0.06, 0.29, 0.42)
    depth = _step(offshore, 0.0, 26.0)
    body = _mix(np.broadcast_to(shallow, (*depth.shape, 3)), deep, depth)
    body = body * (0.86 + 1.8 * np.clip(slope_z, -0.12, 0.2))[..., None]
    sea = _mix(body, reflected, np.clip(mirror, 0, 0.85))
    sun_across = (SUN[0] - 0.5) * WIDTH / FOCAL
    off_axis = across / distance - sun_across + 1.2 * slope_x
    glint = np.exp(-((off_axis / 0.07) ** 2)) * _step(slope_z, 0.02, 0.16)
    glint += 0.22 * np.exp(-((off_axis / 0.13) ** 2)) * _step(distance, 20, 200)
    sea = sea + _rgb(1.0, 0.86, 0.62) * (0.75 * glint)[..., None]
    mist = _step(distance, 120, 1800) * 0.55
    return _mix(sea, np.broadcast_to(_rgb(0.90, 0.86, 0.80), sea.shape), mist)


def _sand(across: Image, distance: Image, offshore: Image, rng: np.random.Generator) -> Image:
    broad = _noise(across * 0.7 + 90, distance * 0.7 + 90, rng, 4)
    bumps = _noise(across * 5 + 60, distance * 3.2 + 60, rng, 4)
    relief = 7 * np.gradient(cv2.GaussianBlur(bumps, (0, 0), 2), axis=1)
    grain = rng.normal(0, 1, across.shape).astype(np.float32)
    grain = cv2.GaussianBlur(grain, (0, 0), 1.0) * 1.9
    light = 0.76 + 0.26 * broad + 0.55 * relief + 0.034 * grain + _trodden(across, distance)
    dry = _rgb(0.93, 0.80, 0.62) * light[..., None]
    wetness = _step(offshore + 0.5 * (broad - 0.5), -1.5, -0.7)
    wet = _rgb(0.60, 0.50, 0.39) * (0.95 + 0.10 * relief + 0.012 * grain)[..., None]
    shine = _sky_colour(np.clip(0.35 + 0 * distance, 0, 1))
    wet = _mix(wet, shine, 0.30 + 0.20 * _step(offshore, -0.9, 0.0))
    return _mix(dry, wet, wetness)


def _trodden(across: Image, distance: Image) -> Image:
    """Shading of dry sand that people walked over: hollows with one lit and one shaded side."""
    rng = np.random.default_rng(11)
    shade = np.zeros_like(across)
    for _ in range(420):
        x, z = rng.uniform(-4, 4), rng.uniform(2.2, 6.4)
        size, turn = rng.uniform(0.05, 0.12), rng.normal(0, 0.5)
        near = (np.abs(distance[:, 0] - z) < 4 * size).nonzero()[0]
        if not near.size:
            continue
        rows = slice(near[0], near[-1] + 1)
        columns = np.abs(across[near[len(near) // 2]] - x) < 4 * size
        u = (across[rows][:, columns] - x) / size
        v = (distance[rows][:, columns] - z) / (1.5 * size)
        u, v = u * np.cos(turn) + v * np.sin(turn), v * np.cos(turn) - u * np.sin(turn)
        hollow = np.exp(-(u * u + v * v) * 1.3)
        shade[rows, columns] += rng.uniform(0.05, 0.16) * (-0.9 * u + 0.5 * v - 0.15) * hollow
    return shade


def _foam(across: Image, distance: Image, offshore: Image, rng: np.random.Generator) -> Image:
    """The wash's lacy edge and two lines of small breakers behind it."""
    lace = _noise(across * 3 + 30, distance * 3 + 30, rng, 5)
    edge = _step(offshore, -0.10, 0.0) * _step(-offshore, -0.9, -0.05)
    foam = edge * _step(lace, 0.62 - 0.28 * edge.max(initial=0), 0.62)
    foam = np.maximum(foam, np.exp(-((offshore / 0.07) ** 2)) * 0.95)
    for where, height_m in ((2.6, 0.22), (6.5, 0.34), (14.0, 0.5)):
        wander = 1.6 * (_noise(across * 0.12 + where, across * 0 + 5, rng, 3) - 0.5) * where**0.5
        ridge = np.exp(-(((offshore - where - wander) / height_m) ** 2))
        breaking = _step(_noise(across * 0.25 + 70 + where, across * 0 + 9, rng, 3), 0.42, 0.60)
        foam = np.maximum(foam, ridge * breaking * _step(lace, 0.30, 0.58))
    return np.clip(foam, 0, 1)


def _soften_horizon(picture: Image, row: int) -> None:
    band = picture[row - 6 : row + 6]
    band[:] = 0.35 * band + 0.65 * cv2.GaussianBlur(band, (0, 0), 2.5)


def _palm(picture: Image, rng: np.random.Generator) -> Image:
    """A leaning palm at the left edge; the crown hangs into the picture."""
    height, width = picture.shape[:2]
    layer, cover = np.zeros_like(picture), np.zeros((height, width), np.float32)
    root, crown = (-0.05 * width, 0.86 * height), (0.125 * width, 0.20 * height)
    _trunk(layer, cover, root, crown)
    headings = np.linspace(-170, 25, 13)
    for heading in rng.permutation(headings):
        _frond(layer, cover, crown, np.deg2rad(heading + rng.normal(0, 5)), rng)
    return _mix(picture, layer, cover)


def _trunk(layer: Image, cover: Image, root: tuple[float, float], crown: tuple[float, float]) -> None:
    height = layer.shape[0]
    for t in np.linspace(0, 1, 420):
        x = root[0] + (crown[0] - root[0]) * t**1.35
        y = root[1] + (crown[1] - root[1]) * t
        radius = (0.021 - 0.008 * t) * height * (1 + 0.04 * (t * 30 % 1))
        for side in np.linspace(-1, 1, 15):
            tone = (0.48 + 0.24 * side) * (0.86 + 0.14 * (t * 30 % 1))
            colour = _rgb(0.98, 0.78, 0.58) * tone
            centre = (round(x + side * radius), round(y))
            cv2.circle(layer, centre, round(0.0035 * height) + 1, colour.tolist(), -1)
            cv2.circle(cover, centre, round(0.0035 * height) + 1, 1.0, -1)


def _frond(
    layer: Image,
    cover: Image,
    crown: tuple[float, float],
    heading: float,
    rng: np.random.Generator,
) -> None:
    """A rib that bends under gravity, with leaflets on both sides that hang from it."""
    height = layer.shape[0]
    length = height * rng.uniform(0.27, 0.36)
    at, direction = np.array(crown), heading
    steps = 60
    for i in range(steps):
        t = i / steps
        ahead = np.array([np.cos(direction), np.sin(direction)])
        droop = np.cos(direction) * 0.034 * (0.35 + t)
        direction += droop
        tip = at + ahead * length / steps
        _line(layer, cover, at, tip, _rgb(0.30, 0.34, 0.12), 0.0045 * (1 - 0.7 * t) * height)
        reach = length * 0.30 * np.sin(np.pi * (0.12 + 0.86 * t)) * rng.uniform(0.85, 1.1)
        for side in (-1, 1):
            lean = direction + side * (1.05 - 0.45 * t) + rng.normal(0, 0.05)
            leaf = np.array([np.cos(lean), np.sin(lean) + 0.55])
            tone = rng.uniform(0.75, 1.1) * (1.0 if side < 0 else 0.72)
            colour = (_rgb(0.17, 0.28, 0.12) + _rgb(0.26, 0.20, 0.06) * t) * tone
            _leaflet(layer, cover, at, at + leaf * reach, colour, 0.0042 * height)
        at = tip


def _line(layer: Image, cover: Image, a: Image, b: Image, colour: Image, thickness: float) -> None:
    ends = [tuple(np.rint(p).astype(int).tolist()) for p in (a, b)]
    cv2.line(layer, *ends, colour.tolist(), max(1, round(thickness)))
    cv2.line(cover, *ends, 1.0, max(1, round(thickness)))


def _leaflet(layer: Image, cover: Image, root: Image, tip: Image, colour: Image, wide: float) -> None:
    along = tip - root
    across = np.array([-along[1], along[0]]) / (np.hypot(*along) + 1e-6) * wide
    outline = np.array([root, root + 0.35 * along + across, tip, root + 0.35 * along - across])
    points = np.rint(outline * 8).astype(np.int32)
    cv2.fillPoly(layer, [points], colour.tolist(), shift=3)
    cv2.fillPoly(cover, [points], 1.0, shift=3)
