"""Random people, drawn from a seed: who, what they wear, what they do, how they are seen."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.people.clothing import Cut
from autohair_video.training.synthetic.people.hair import HairSpec, HairStyle
from autohair_video.training.synthetic.people.random_pose import (
    held_child,
    holding_arm,
    moved_pose,
    random_pose,
)
from autohair_video.training.synthetic.people.spec import (
    CameraSpec,
    ClothSpec,
    Colour,
    Framing,
    PersonSpec,
    PropSpec,
    SceneSpec,
    Side,
    Weave,
)

_LONG_SIDE_PX: Final = 384
_SKINS: Final[tuple[Colour, ...]] = (
    (0.78, 0.55, 0.43),
    (0.68, 0.44, 0.32),
    (0.55, 0.33, 0.21),
    (0.42, 0.23, 0.13),
    (0.26, 0.13, 0.075),
    (0.12, 0.06, 0.035),
    (0.74, 0.48, 0.30),
)
_HAIR: Final[tuple[Colour, ...]] = (
    (0.012, 0.010, 0.009),
    (0.03, 0.018, 0.012),
    (0.08, 0.04, 0.02),
    (0.18, 0.09, 0.04),
    (0.42, 0.26, 0.12),
    (0.62, 0.46, 0.26),
    (0.30, 0.09, 0.03),
    (0.35, 0.34, 0.33),
    (0.7, 0.69, 0.67),
)
_IRISES: Final[tuple[Colour, ...]] = (
    (0.10, 0.05, 0.025),
    (0.2, 0.3, 0.38),
    (0.18, 0.2, 0.08),
    (0.05, 0.03, 0.02),
)
_FRAMINGS: Final[dict[Framing, float]] = {
    "whole": 0.46,
    "knees": 0.12,
    "waist": 0.2,
    "bust": 0.14,
    "hand": 0.08,
}
_HAIR_LENGTHS: Final[dict[HairStyle, tuple[float, float]]] = {
    "short": (0.015, 0.06),
    "afro": (0.04, 0.13),
    "ponytail": (0.3, 0.55),
    "loose": (0.12, 0.55),
    "bald": (0.01, 0.02),
}
_T = TypeVar("_T")


@dataclass(frozen=True)
class Wardrobe:
    """Names to choose from, so that a split may keep some to itself."""

    suits: tuple[str, ...]
    shoes: tuple[str, ...]
    hats: tuple[str, ...]
    poses: tuple[str, ...]
    panoramas: tuple[str, ...]


def random_scene(
    rng: np.random.Generator, wardrobe: Wardrobe, *, clip: bool, hands: bool = False
) -> SceneSpec:
    """A picture, or a clip whose people move from one pose towards another.

    Args:
        rng: draws it.
        wardrobe: what may be used.
        clip: draw two poses and a drift of the camera.
        hands: draw reaching hands more often.
    """
    camera = _camera(rng, clip, hands)
    count = int(rng.choice([1, 2, 3], p=[0.78, 0.16, 0.06])) if camera.framing in ("whole", "knees") else 1
    first = random_person(rng, wardrobe, camera, clip=clip)
    people = [first]
    for number in range(1, count):
        side = 1 if number % 2 else -1
        place = (side * rng.uniform(0.4, 0.75), 0.0, rng.uniform(-0.5, 0.2))
        people.append(replace(random_person(rng, wardrobe, camera, clip=clip), place=place))
    if count == 1 and camera.framing != "hand" and rng.random() < 0.06:
        people = _with_child(rng, wardrobe, people[0], camera, clip)
    return SceneSpec(
        people=tuple(people),
        camera=camera,
        panorama=_pick(rng, wardrobe.panoramas),
        panorama_deg=float(rng.uniform(0, 360)),
        exposure=float(rng.choice([rng.uniform(0.3, 0.6), rng.uniform(0.6, 0.95)], p=[0.25, 0.75])),
        warmth=float(np.exp(rng.normal(0, 0.08))),
    )


def random_person(
    rng: np.random.Generator, wardrobe: Wardrobe, camera: CameraSpec, *, clip: bool
) -> PersonSpec:
    """One person at the origin."""
    age = float(
        rng.choice(
            [rng.uniform(0.22, 0.5), rng.uniform(0.55, 0.8), rng.uniform(0.8, 1)], p=[0.22, 0.56, 0.22]
        )
    )
    gender = float(rng.choice([rng.uniform(0, 0.15), rng.uniform(0.85, 1)]))
    phenotype = {
        "gender": gender,
        "age": age,
        "muscle": float(rng.beta(2.5, 2.5)),
        "weight": float(rng.beta(2, 2)),
        "height": float(rng.beta(3, 3)),
        "proportions": float(rng.beta(3, 2)),
    }
    skin = np.array(_pick(rng, _SKINS)) * np.exp(rng.normal(0, 0.1)) * np.exp(rng.normal(0, 0.04, 3))
    poses = [random_pose(rng, wardrobe.poses, hands=camera.framing == "hand")]
    if clip:
        poses.append(moved_pose(rng, poses[0]))
    hair = _hair(rng, gender, age, camera)
    clothes = _clothes(rng, wardrobe, gender, hair)
    covered = any(cloth.pattern in wardrobe.hats or cloth.cut.hood for cloth in clothes)
    if covered and hair.style in ("afro", "loose"):
        hair = replace(hair, volume=0.0, style="loose", length=min(hair.length, 0.25))
    return PersonSpec(
        seed=int(rng.integers(2**31)),
        phenotype=phenotype,
        changes={},
        skin=_colour(np.clip(skin, 0.02, 0.85)),
        iris=_pick(rng, _IRISES),
        hair=hair,
        clothes=clothes,
        poses=tuple(poses),
        props=_props(rng),
        place=(0.0, 0.0, 0.0),
    )


def _hair(rng: np.random.Generator, gender: float, age: float, camera: CameraSpec) -> HairSpec:
    long_share = 0.75 if gender < 0.5 else 0.15
    style: HairStyle = "loose" if rng.random() < long_share else "short"
    roll = rng.random()
    if style == "loose" and roll < 0.18:
        style = "ponytail"
    elif roll < 0.28:
        style = "afro"
    elif style == "short" and roll > 0.85:
        style = "bald"
    windy = style in ("loose", "ponytail") and rng.random() < 0.3
    gust = rng.normal(0, 1, 3) * [1.6, 0.5, 1.2] if windy else np.zeros(3)
    wind = (float(gust[0]), float(gust[1] + 0.6 * windy), float(gust[2]))
    colour = np.array(_pick(rng, _HAIR[7:] if age > 0.9 and rng.random() < 0.7 else _HAIR))
    near = camera.framing in ("waist", "bust", "hand")
    curly = rng.random() < 0.35
    return HairSpec(
        style=style,
        length=float(rng.uniform(*_HAIR_LENGTHS[style])),
        curl=1.0 if style == "afro" else float(rng.uniform(0.3, 0.9) if curly else rng.uniform(0, 0.15)),
        volume=float(rng.uniform(0.8, 1) if style == "afro" else rng.beta(1.5, 3)),
        part=float(rng.uniform(-0.5, 0.5)),
        hairline=float(rng.beta(1.5, 6) * (0.35 if gender > 0.5 else 0.1)),
        wind=wind,
        strands=int((3500 if near else 1400) * (1.4 if style in ("loose", "afro") else 1)),
        radius=float((1.6e-4 if near else 4e-4) * rng.uniform(0.8, 1.25)),
        colour=_colour(np.clip(colour * np.exp(rng.normal(0, 0.15)), 0.004, 0.85)),
        frizz=float(rng.beta(1.5, 3)),
    )


def _clothes(
    rng: np.random.Generator, wardrobe: Wardrobe, gender: float, hair: HairSpec
) -> tuple[ClothSpec, ...]:
    """A MakeHuman suit or a cut outfit, shoes, sometimes a coat, hood or hat over it."""
    clothes: list[ClothSpec] = []
    if rng.random() < 0.45:
        fitting = [name for name in wardrobe.suits if name.startswith("female") == (gender < 0.5)]
        clothes.append(_cloth(rng, _pick(rng, fitting or wardrobe.suits), Cut()))
    else:
        clothes += _cut_outfit(rng, gender)
    if rng.random() < 0.9:
        shoe = _cloth(rng, _pick(rng, wardrobe.shoes), Cut())
        clothes.append(replace(shoe, folds=0.0, weave="plain"))
    if rng.random() < 0.12:
        coat = Cut(
            sleeve=1.0, hem=0.3, skirt=float(rng.uniform(0.25, 0.4)), offset=0.035, hood=rng.random() < 0.4
        )
        clothes.append(_cloth(rng, None, coat))
    elif rng.random() < 0.08 and hair.style != "afro":
        clothes.append(_cloth(rng, None, Cut(offset=0.02, hood=True)))
    elif rng.random() < 0.12 and hair.style != "ponytail":
        clothes.append(replace(_cloth(rng, _pick(rng, wardrobe.hats), Cut()), folds=0.0))
    return tuple(clothes)


def _cut_outfit(rng: np.random.Generator, gender: float) -> list[ClothSpec]:
    sleeve = float(rng.choice([0.0, 0.3, 0.5, 0.97], p=[0.15, 0.3, 0.1, 0.45]))
    top = Cut(sleeve=sleeve, hem=0.5, offset=float(rng.uniform(0.008, 0.03)))
    if gender < 0.5 and rng.random() < 0.5:
        skirt = Cut(skirt=float(rng.uniform(0.06, 0.4)), offset=0.015)
        if rng.random() < 0.5:  # a dress: both of one cloth
            return [_cloth(rng, None, replace(top, skirt=skirt.skirt))]
        return [_cloth(rng, None, skirt), _cloth(rng, None, top)]
    legs = float(rng.choice([0.06, 0.15, 0.3], p=[0.6, 0.1, 0.3]))
    return [_cloth(rng, None, Cut(legs=legs, offset=float(rng.uniform(0.008, 0.02)))), _cloth(rng, None, top)]


def _cloth(rng: np.random.Generator, pattern: str | None, cut: Cut) -> ClothSpec:
    weaves: tuple[Weave, ...] = ("plain", "stripes", "checks", "dots", "blotches")
    return ClothSpec(
        pattern=pattern,
        cut=cut,
        weave=weaves[int(rng.choice(5, p=[0.58, 0.14, 0.1, 0.08, 0.1]))],
        colour=_cloth_colour(rng),
        second=_cloth_colour(rng),
        scale=float(np.exp(rng.uniform(np.log(5), np.log(40)))),
        folds=float(rng.uniform(0.001, 0.005)),
    )


def _cloth_colour(rng: np.random.Generator) -> Colour:
    """White, black, grey, pale, the tan of skin and wood, or any hue."""
    kind = rng.choice(6, p=[0.2, 0.17, 0.1, 0.15, 0.1, 0.28])
    if kind == 0:
        return _colour(rng.uniform(0.72, 0.88) * np.array([1, rng.uniform(0.95, 1), rng.uniform(0.9, 1)]))
    if kind == 1:
        return _colour(rng.uniform(0.012, 0.035) * np.ones(3))
    if kind == 2:
        return _colour(rng.uniform(0.06, 0.5) * np.ones(3))
    if kind == 4:
        return _colour(np.array(_pick(rng, _SKINS)) * rng.uniform(0.8, 1.1))
    saturation, value = (
        (rng.uniform(0.1, 0.35), rng.uniform(0.7, 0.95)) if kind == 3 else rng.uniform(0.3, 0.95, 2)
    )
    return _colour(np.array(colorsys.hsv_to_rgb(rng.random(), saturation, value)) ** 2.2)


def _props(rng: np.random.Generator) -> tuple[PropSpec, ...]:
    if rng.random() > 0.14:
        return ()
    kind = rng.choice(4)
    sizes = ((0.08, 0.3), (0.06, 0.24), (0.2, 0.5), (0.2, 0.4))
    size = float(rng.uniform(*sizes[kind]))
    side: Side = "L" if rng.random() < 0.5 else "R"
    return (PropSpec(("box", "ball", "stick", "bag")[kind], side, size, _cloth_colour(rng)),)


def _camera(rng: np.random.Generator, clip: bool, hands: bool) -> CameraSpec:
    names = list(_FRAMINGS)
    framing = names[int(rng.choice(len(names), p=list(_FRAMINGS.values())))]
    if hands and rng.random() < 0.3:
        framing = "hand"
    behind = rng.random() < 0.14
    azimuth = rng.normal(180, 40) if behind else rng.normal(0, 45)
    height, width = _LONG_SIDE_PX, _LONG_SIDE_PX
    fill = float(rng.uniform(0.85, 1.1))
    if framing == "whole":
        person = float(np.exp(rng.uniform(np.log(40), np.log(340))))
        height = int(max(64, min(_LONG_SIDE_PX, person / rng.uniform(0.7, 0.95))))
        width = int(min(_LONG_SIDE_PX, max(64, height * rng.uniform(0.8, 1.2))))
        fill = person / height
    elif rng.random() < 0.5:
        width = int(_LONG_SIDE_PX * rng.uniform(0.7, 1))
    wide = framing == "hand" or rng.random() < 0.25
    return CameraSpec(
        framing=framing,
        azimuth_deg=float(rng.normal(0, 20) if framing == "hand" else azimuth),
        elevation_deg=float(rng.normal(4, 10)),
        fov_deg=float(rng.uniform(55, 75) if wide else rng.uniform(22, 50)),
        fill=fill,
        shift=(float(rng.normal(0, 0.06)), float(rng.normal(0, 0.04))),
        roll_deg=float(rng.normal(0, 4)),
        height_px=height,
        width_px=width,
        drift_deg=float(rng.normal(0, 5)) if clip else 0.0,
    )


def _with_child(
    rng: np.random.Generator, wardrobe: Wardrobe, adult: PersonSpec, camera: CameraSpec, clip: bool
) -> list[PersonSpec]:
    """A grown person who holds a child on the left arm."""
    poses = tuple(holding_arm(pose) for pose in adult.poses)
    grown = {name: max(least, adult.phenotype[name]) for name, least in (("age", 0.6), ("height", 0.5))}
    adult = replace(adult, phenotype={**adult.phenotype, **grown}, poses=poses, props=())
    child = random_person(rng, wardrobe, camera, clip=False)
    child = replace(
        child,
        phenotype={**child.phenotype, "age": float(rng.uniform(0.05, 0.2))},
        poses=(held_child(rng),),
        clothes=tuple(cloth for cloth in child.clothes if cloth.cut.skirt > 0.5),
        props=(),
        place=(0.2, 0.58, 0.16),
    )
    return [adult, child]


def _colour(values: NDArray[Any]) -> Colour:
    return (float(values[0]), float(values[1]), float(values[2]))


def _pick(rng: np.random.Generator, items: Sequence[_T]) -> _T:
    return items[int(rng.integers(len(items)))]
