"""Where the camera stands to frame a part of a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from autohair_video.training.synthetic.people.figure import Figure
from autohair_video.training.synthetic.people.scene import View
from autohair_video.training.synthetic.people.spec import CameraSpec, Framing

_MIN_GAP: Final = 0.25  # m between the camera and what is before it
# Joints that must be in the picture; the head's own extent is added.
_JOINTS: Final[dict[Framing, tuple[str, ...]]] = {
    "whole": ("head", "foot.L", "foot.R"),
    "knees": ("head", "lowerleg01.L", "lowerleg01.R"),
    "waist": ("head", "upperleg01.L", "upperleg01.R", "spine05"),
    "bust": ("head", "upperarm01.L", "upperarm01.R", "spine02"),
    "hand": ("head", "upperarm01.L", "upperarm01.R", "spine03"),
}


def place_camera(camera: CameraSpec, figures: Sequence[Figure]) -> View:
    """The view that fits all figures, or the framed part of the first, into the picture, clear of all."""
    whole = camera.framing == "whole"
    points = (
        np.concatenate([f.points() for f in figures]) if whole else _framed_points(camera.framing, figures[0])
    )
    azimuth, elevation = np.radians(camera.azimuth_deg), np.radians(camera.elevation_deg)
    backwards = np.array(
        [np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)]
    )
    right = np.array([np.cos(azimuth), 0.0, -np.sin(azimuth)])
    up = np.cross(backwards, right)
    sides = np.stack([points @ right, points @ up])
    low, high = sides.min(axis=1), sides.max(axis=1)
    middle = right * (low[0] + high[0]) / 2 + up * (low[1] + high[1]) / 2
    centre = middle + backwards * np.median(points @ backwards)
    half = np.tan(np.radians(camera.fov_deg / 2)) * np.array([camera.width_px, camera.height_px])
    half = half / max(camera.width_px, camera.height_px)
    extent = (high - low) / 2
    # Whole people must fit both ways; of closer framings only the height counts.
    needed = extent / (half * camera.fill)
    distance = float(needed.max() if whole else needed[1])
    nearest = max(float((figure.points() @ backwards).max()) for figure in figures)
    distance = max(distance, nearest - float(centre @ backwards) + _MIN_GAP)
    shift = right * camera.shift[0] * 2 * half[0] * distance + up * camera.shift[1] * 2 * half[1] * distance
    target = centre + shift
    tilt = Rotation.from_rotvec(backwards * np.radians(camera.roll_deg)).as_matrix()
    return View(
        target + backwards * distance, target, tilt @ up, camera.fov_deg, camera.width_px, camera.height_px
    )


def _framed_points(framing: Framing, figure: Figure) -> NDArray[Any]:
    joints = np.stack([figure.landmarks[name] for name in _JOINTS[framing]])
    head, neck = figure.landmarks["head"], figure.landmarks["neck01"]
    crown = head + (head - neck) / np.linalg.norm(head - neck) * 0.2
    return np.concatenate([joints, crown[None]])
