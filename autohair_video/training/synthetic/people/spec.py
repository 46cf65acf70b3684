"""What decides a rendered picture: frozen values, drawn from a seed by :mod:`.sample`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from autohair_video.training.synthetic.people.clothing import Cut
from autohair_video.training.synthetic.people.hair import HairSpec
from autohair_video.training.synthetic.people.pose import PoseSpec

Colour = tuple[float, float, float]
"""Linear RGB, 0 to 1."""

Weave = Literal["plain", "stripes", "checks", "dots", "blotches"]
Side = Literal["L", "R"]
PropKind = Literal["box", "ball", "stick", "bag"]
Framing = Literal["whole", "knees", "waist", "bust", "hand"]


@dataclass(frozen=True)
class ClothSpec:
    """A garment and its cloth.

    Attributes:
        pattern: name of a MakeHuman garment, or None for ``cut``.
        cut: used where ``pattern`` is None.
        weave: pattern printed on it.
        colour: of the cloth.
        second: of the pattern.
        scale: repeats of the pattern in a metre.
        folds: amplitude of folds in metres.
    """

    pattern: str | None
    cut: Cut
    weave: Weave
    colour: Colour
    second: Colour
    scale: float
    folds: float


@dataclass(frozen=True)
class PropSpec:
    """Something held in a hand: side ``L`` or ``R``, size in metres."""

    kind: PropKind
    side: Side
    size: float
    colour: Colour


@dataclass(frozen=True)
class PersonSpec:
    """One person.

    Attributes:
        seed: decides noise (folds, strands, blotches), the same in all frames of a clip.
        phenotype: anny's shape parameters, 0 to 1.
        changes: anny's local changes, -1 to 1.
        skin: colour of the skin.
        iris: colour of the eyes.
        hair: the hairdo.
        clothes: from the inside to the outside.
        poses: one pose, or the first and the last of a clip.
        props: things held.
        place: (x, y, z) of the pelvis in the scene, metres; y is against standing on the floor.
    """

    seed: int
    phenotype: Mapping[str, float]
    changes: Mapping[str, float]
    skin: Colour
    iris: Colour
    hair: HairSpec
    clothes: tuple[ClothSpec, ...]
    poses: tuple[PoseSpec, ...]
    props: tuple[PropSpec, ...]
    place: tuple[float, float, float]


@dataclass(frozen=True)
class CameraSpec:
    """A camera that frames the first person.

    Attributes:
        framing: what of the person fills the picture.
        azimuth_deg: 0 before the person, 90 at its left, 180 behind it.
        elevation_deg: above the person's middle.
        fov_deg: field of view of the longer side.
        fill: share of the picture's height that the framed part takes.
        shift: of the person in the picture, shares of the picture's sides.
        roll_deg: tilt of the camera.
        height_px: height of the picture.
        width_px: width of the picture.
        drift_deg: change of the azimuth over a clip.
    """

    framing: Framing
    azimuth_deg: float
    elevation_deg: float
    fov_deg: float
    fill: float
    shift: tuple[float, float]
    roll_deg: float
    height_px: int
    width_px: int
    drift_deg: float


@dataclass(frozen=True)
class SceneSpec:
    """A picture or a clip.

    Attributes:
        people: the first is the one framed.
        camera: how they are seen.
        panorama: file name of the light.
        panorama_deg: its turn about the vertical.
        exposure: of the brighter parts, 0.3 (dim) to 1 (nearly clipped).
        warmth: red over blue gain of the camera, about 1.
    """

    people: tuple[PersonSpec, ...]
    camera: CameraSpec
    panorama: str
    panorama_deg: float
    exposure: float
    warmth: float
