"""The portrait clip: a public-domain portrait, cut out and moved in front of a rendered room."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import skimage.data
from numpy.typing import NDArray
from pymatting import estimate_alpha_cf, estimate_foreground_ml

Image = NDArray[np.float32]

WIDTH, HEIGHT, RATE, SECONDS = 1280, 720, 25, 6
# The helmet on the sitter's knee begins here: the clip ends above it.
PORTRAIT_ROWS = 352

# The sitter's outline in the portrait's pixels, drawn by hand: left side up, hair, right side down.
LEFT = [
    (24, 360), (25, 352), (25, 345), (26, 339), (30, 333), (31, 328), (33, 318), (36, 310),
    (39, 304), (39, 297), (42, 288), (46, 279), (51, 269), (55, 261), (60, 252), (64, 247),
    (70, 241), (76, 236), (85, 231), (92, 226), (98, 221), (100, 217), (105, 213), (110, 206),
    (113, 206), (113, 203), (113, 195), (114, 190), (113, 187), (121, 186), (123, 183), (126, 177),
    (130, 171), (135, 164), (143, 157), (150, 153), (155, 152), (165, 149), (175, 148), (184, 149),
    (183, 140), (182, 131), (180, 131), (175, 128), (171, 121),
]  # fmt: skip
HAIR = [
    (171, 121), (169, 116), (162, 110), (157, 103), (154, 93), (153, 85), (153, 70), (156, 60),
    (162, 52), (170, 45), (180, 39), (189, 35), (193, 29), (200, 24), (208, 20), (220, 17),
    (230, 15), (240, 16), (250, 18), (260, 23), (272, 29), (282, 37), (288, 44), (294, 55),
    (298, 68), (301, 80), (301, 90), (298, 103), (294, 112), (287, 121), (280, 128),
]  # fmt: skip
RIGHT = [
    (280, 128), (279, 131), (275, 135), (270, 137), (267, 135), (266, 142), (262, 152), (257, 162),
    (255, 172), (265, 180), (275, 187), (285, 198), (293, 210), (299, 221), (303, 232), (305, 235),
    (312, 239), (320, 244), (327, 251), (336, 257), (343, 265), (346, 273), (348, 282), (349, 285),
    (352, 286), (353, 292), (355, 300), (356, 306), (357, 315), (358, 322), (360, 328), (362, 332),
    (361, 334), (361, 342), (365, 348), (366, 360),
]  # fmt: skip
# Shiny metal and a yellow tab that a matting method takes for background.
SURELY_SITTER = [
    [(116, 189), (117, 196), (117, 203)],
    [(124, 190), (129, 178), (133, 172), (138, 165), (146, 158), (156, 154)],
    [(350, 288), (353, 303), (356, 318), (359, 330)],
]
HAIR_BAND_PX, CLOTH_BAND_PX = 19, 7


def cut_out_portrait() -> tuple[Image, Image]:
    """Foreground colours (H, W, 3) and alpha (H, W), both 0..1, of the portrait at its own size."""
    picture = skimage.data.astronaut()[:PORTRAIT_ROWS].astype(np.float64) / 255
    alpha = estimate_alpha_cf(picture, _trimap(picture.shape[:2]))
    # Film grain leaves residual alpha around the hair and specks in it.
    alpha = np.clip((alpha - 0.06) / 0.88, 0, 1)
    foreground = estimate_foreground_ml(picture, alpha)
    return foreground.astype(np.float32), alpha.astype(np.float32)


def _trimap(size: tuple[int, ...]) -> NDArray[np.float64]:
    inside, unknown = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    cv2.fillPoly(inside, [np.array(LEFT + HAIR + RIGHT, np.int32)], 1)
    for line, width in ((LEFT, CLOTH_BAND_PX), (RIGHT, CLOTH_BAND_PX), (HAIR, HAIR_BAND_PX)):
        cv2.polylines(unknown, [np.array(line, np.int32)], False, 1, width)
    for line in SURELY_SITTER:
        cv2.polylines(unknown, [np.array(line, np.int32)], False, 0, 3)
    return np.where(unknown == 1, 0.5, inside.astype(np.float64))


def portrait_frames() -> Iterator[NDArray[np.uint8]]:
    """The clip's frames, (720, 1280, 3) uint8 RGB each."""
    rng = np.random.default_rng(1995)
    foreground, alpha = cut_out_portrait()
    sitter = np.dstack([_graded(foreground) * alpha[..., None], alpha])
    room = render_room(rng)
    for index in range(RATE * SECONDS):
        frame = _compose(sitter, room, index / RATE)
        yield _through_sensor(frame, rng)


def _graded(colour: Image) -> Image:
    """The studio's hard contrast, softened to the light of a room."""
    return np.clip(0.03 + 0.90 * colour * np.array([0.985, 0.97, 0.96], np.float32), 0, 1)


def _sway(time_s: float, *terms: tuple[float, float, float]) -> float:
    """A sum of sines: amplitude, frequency in Hz, phase."""
    return sum(a * float(np.sin(2 * np.pi * f * time_s + p)) for a, f, p in terms)


def _compose(sitter: Image, room: Image, t: float) -> Image:
    """Sitter over room, both through one hand-held camera that closes in slowly."""
    zoom = 1 + 0.035 * t / SECONDS
    pan = _sway(t, (7, 0.11, 0.3), (1.6, 0.7, 1.0), (0.7, 2.3, 2.0))
    tilt = _sway(t, (3, 0.13, 1.9), (1.3, 0.8, 0.2), (0.6, 2.9, 0.9))
    roll = _sway(t, (0.25, 0.17, 0.5), (0.06, 1.3, 1.1))
    behind = _similarity(room.shape, zoom, roll, (0.45 * pan, 0.45 * tilt))
    lean = _sway(t, (9, 0.19, 0.0), (3, 0.43, 1.3))
    bob = _sway(t, (1.5, 0.27, 0.4))
    in_front = _similarity(
        (PORTRAIT_ROWS, 410), 1.96 * zoom, roll + 0.06 * lean, (pan + lean - 8, tilt + bob + 40)
    )
    size = (WIDTH, HEIGHT)
    background = cv2.warpAffine(room, behind, size, flags=cv2.INTER_LINEAR)
    nodding = _turn_head(sitter, _sway(t, (0.028, 0.23, 0.8), (0.009, 0.61, 0.0)))
    layer = cv2.warpAffine(nodding, in_front, size, flags=cv2.INTER_LANCZOS4)
    layer = np.clip(layer + 0.55 * (layer - cv2.GaussianBlur(layer, (0, 0), 1.6)), 0, 1)
    return layer[..., :3] + (1 - layer[..., 3:]) * background


def _similarity(
    size: tuple[int, ...], scale: float, angle_deg: float, shift: tuple[float, float]
) -> NDArray[np.float64]:
    """Scale and turn about the centre, which lands on the frame's centre plus ``shift``."""
    height, width = size[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, scale)
    matrix[:, 2] += ((WIDTH - width) / 2 + shift[0], (HEIGHT - height) / 2 + shift[1])
    return matrix


def _turn_head(sitter: Image, angle_rad: float) -> Image:
    """The head turned about the neck; the turn fades out between chin and collar."""
    height, width = sitter.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    share = np.clip((178 - y) / 46, 0, 1)
    turn = angle_rad * share * share * (3 - 2 * share)
    dx, dy = x - 222, y - 185
    map_x = 222 + dx * np.cos(turn) - dy * np.sin(turn)
    map_y = 185 + dx * np.sin(turn) + dy * np.cos(turn)
    return cv2.remap(sitter, map_x, map_y, cv2.INTER_LANCZOS4)


def _through_sensor(frame: Image, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise as of a camera: fine in brightness, coarse and weaker in colour."""
    luma = rng.normal(0, 0.008, (HEIGHT, WIDTH, 1))
    chroma = rng.normal(0, 0.006, (HEIGHT // 4, WIDTH // 4, 3)).astype(np.float32)
    noisy = frame + luma + cv2.resize(chroma, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return (np.clip(noisy, 0, 1) * 255 + 0.5).astype(np.uint8)


def render_room(rng: np.random.Generator) -> Image:
    """An office wall with a window, a shelf and a plant, out of focus; larger than the frame."""
    height, width = 800, 1400
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    daylight = np.exp(-np.hypot((x - 250) / 900, (y - 300) / 700))
    room = np.full((height, width, 3), (0.64, 0.63, 0.58), np.float32)
    _shelf(room, rng)
    _plant(room, rng)
    room *= (0.52 + 0.62 * daylight)[..., None]
    _window(room)
    return _defocus(room, 17)


def _box(room: Image, corners: tuple[int, int, int, int], colour: tuple[float, ...]) -> None:
    left, top, right, bottom = corners
    cv2.rectangle(room, (left, top), (right, bottom), colour, -1)


def _window(room: Image) -> None:
    _box(room, (60, 30, 370, 560), (0.66, 0.65, 0.62))
    for left in (82, 226):
        for row in range(52, 538):
            sky = np.interp(row, [52, 330, 400, 538], [1.0, 0.86, 0.50, 0.40])
            colour = (sky * 0.93, sky * 0.98, sky * (1.03 if row < 360 else 0.80))
            cv2.line(room, (left, row), (left + 124, row), colour, 1)
    for centre, radius in (((120, 400), 45), ((190, 380), 60), ((290, 395), 50), ((340, 420), 40)):
        clipped = room[52:538, 82:350]
        cv2.circle(clipped, (centre[0] - 82, centre[1] - 52), radius, (0.34, 0.43, 0.26), -1)
    _box(room, (206, 40, 226, 548), (0.68, 0.67, 0.64))
    _box(room, (40, 548, 392, 572), (0.74, 0.72, 0.68))


def _shelf(room: Image, rng: np.random.Generator) -> None:
    wood = (0.50, 0.39, 0.29)
    _box(room, (985, 90, 1390, 800), (0.34, 0.29, 0.25))
    spines = np.array(
        [[0.58, 0.33, 0.28], [0.33, 0.39, 0.48], [0.80, 0.74, 0.60], [0.36, 0.45, 0.40],
         [0.46, 0.42, 0.40], [0.86, 0.83, 0.77], [0.66, 0.54, 0.36]]
    )  # fmt: skip
    for board in (250, 420, 590, 760):
        left = 1005
        while left < 1370:
            thick, tall = int(rng.integers(14, 34)), int(rng.integers(95, 142))
            if rng.random() < 0.82:
                spine = spines[rng.integers(len(spines))] * rng.uniform(0.7, 1.15)
                _box(room, (left, board - tall, min(left + thick, 1372), board), tuple(spine))
            left += thick + 3
        _box(room, (985, board, 1390, board + 14), wood)
    _box(room, (985, 76, 1390, 92), wood)
    _box(room, (978, 76, 996, 800), wood)


def _plant(room: Image, rng: np.random.Generator) -> None:
    _box(room, (455, 640, 545, 800), (0.62, 0.50, 0.40))
    for _ in range(34):
        angle, reach = rng.uniform(-2.7, -0.45), rng.uniform(70, 230)
        tip = (500 + int(reach * np.cos(angle)), 640 + int(reach * np.sin(angle)))
        green = np.array([0.29, 0.39, 0.23]) * rng.uniform(0.6, 1.5)
        centre = (
            (500 + tip[0]) // 2 + (tip[0] - 500) // 3,
            (640 + tip[1]) // 2 + (tip[1] - 640) // 3,
        )
        axes = (int(reach * 0.26), int(reach * 0.09))
        cv2.ellipse(room, centre, axes, np.rad2deg(angle), 0, 360, green.tolist(), -1)


def _defocus(room: Image, radius: int) -> Image:
    """A lens's disc blur, on linear light."""
    disc = np.zeros((2 * radius + 1, 2 * radius + 1), np.float32)
    cv2.circle(disc, (radius, radius), radius, 1.0, -1)
    blurred = cv2.filter2D(np.clip(room, 0, 1) ** 2.2, -1, disc / disc.sum())
    return np.clip(blurred, 0, 1) ** (1 / 2.2)
