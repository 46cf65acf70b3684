"""Random poses: what arms, legs and trunk do, each drawn by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from autohair_video.training.synthetic.people.pose import Direction, PoseSpec

ArmDirections = tuple[Direction, Direction, Direction]
Leg = tuple[Direction, Direction]

_STANCES: Final = {
    "stand": 0.3,
    "walk": 0.14,
    "base": 0.2,
    "sit": 0.14,
    "squat": 0.05,
    "lie": 0.08,
    "bend": 0.09,
}

# Upper arm, forearm, hand as (outwards, up, to the front); see PoseSpec.
_ARMS: Final[dict[str, ArmDirections]] = {
    "down": ((0.18, -1, 0), (0.1, -1, 0.15), (0.05, -1, 0.1)),
    "raised": ((0.35, 1, 0.1), (0.15, 1, 0.1), (0.1, 1, 0.1)),
    "raised bent": ((0.8, 0.6, 0.1), (-0.3, 1, 0.1), (-0.3, 1, 0)),
    "sideways": ((1, 0.05, 0), (1, 0.1, 0.1), (1, 0.05, 0.1)),
    "forwards": ((0.15, -0.1, 1), (0, 0.05, 1), (0, 0.3, 1)),
    "palm to camera": ((0.3, -0.35, 0.8), (0.1, 0.35, 1), (0, 1, 0.35)),
    "crossed": ((0.25, -1, 0.25), (-1, 0.12, 0.45), (-1, 0.1, -0.1)),
    "before the body": ((0.3, -1, 0.3), (-0.7, 0.3, 0.8), (-0.6, 0.3, 0.5)),
    "on the hip": ((0.75, -0.7, -0.3), (-0.65, -0.75, 0.25), (-0.6, -0.6, 0.4)),
    "to the face": ((0.3, -0.6, 0.6), (-0.35, 1, 0.25), (-0.4, 0.9, -0.1)),
    "behind the head": ((0.9, 0.55, 0), (-0.6, 0.5, -0.45), (-1, 0.1, -0.2)),
    "waving": ((0.85, -0.25, 0.2), (0.35, 1, 0.3), (0.15, 1, 0.25)),
    "pointing": ((0.6, 0.1, 0.6), (0.5, 0.15, 0.8), (0.5, 0.15, 0.8)),
    "on the lap": ((0.2, -0.9, 0.35), (-0.35, -0.3, 0.9), (-0.3, -0.2, 0.9)),
}
_HAND_ARMS: Final = (
    "forwards",
    "palm to camera",
    "palm to camera",
    "before the body",
    "to the face",
    "waving",
    "pointing",
)
_BOTH: Final = (
    "raised",
    "crossed",
    "forwards",
    "sideways",
    "behind the head",
    "before the body",
    "down",
    "palm to camera",
)


def random_pose(rng: np.random.Generator, bases: Sequence[str], *, hands: bool) -> PoseSpec:
    """A pose of the whole person.

    Args:
        rng: draws it.
        bases: names of BVH files that may be used.
        hands: draw arms that reach to the front.
    """
    stance = _stance(rng, bases)
    turn = (stance.root_deg[0], stance.root_deg[1] + float(rng.normal(0, 15)), stance.root_deg[2])
    spine = tuple(float(a + b) for a, b in zip(stance.spine_deg, rng.normal(0, [8, 12, 6]), strict=True))
    neck = tuple(float(value) for value in rng.normal(0, [12, 20, 8]))
    pose = replace(
        stance,
        root_deg=turn,
        spine_deg=(spine[0], spine[1], spine[2]),
        neck_deg=(neck[0], neck[1], neck[2]),
        finger_curl_deg=float(rng.choice([rng.uniform(0, 15), rng.uniform(10, 40), rng.uniform(50, 80)])),
        arm_twist_deg=float(rng.normal(0, 35)),
    )
    if stance.base and not hands and rng.random() < 0.6:
        return pose
    return replace(pose, arms=_arms(rng, hands))


def moved_pose(rng: np.random.Generator, start: PoseSpec) -> PoseSpec:
    """Where a person who is in ``start`` may be a third of a second later."""
    arms = {
        side: tuple(_near(rng, direction, 0.3) for direction in directions)
        for side, directions in start.arms.items()
    }
    return replace(
        start,
        root_deg=_near(rng, start.root_deg, 6),
        spine_deg=_near(rng, start.spine_deg, 8),
        neck_deg=_near(rng, start.neck_deg, 12),
        arms={side: (limb[0], limb[1], limb[2]) for side, limb in arms.items()},
        legs={
            side: (_near(rng, thigh, 0.12), _near(rng, shank, 0.12))
            for side, (thigh, shank) in start.legs.items()
        },
        finger_curl_deg=start.finger_curl_deg + float(rng.normal(0, 15)),
    )


def holding_arm(pose: PoseSpec) -> PoseSpec:
    """The pose upright, the left arm bent before the body as a seat."""
    left: ArmDirections = ((0.35, -1, 0.1), (-0.1, 0.05, 1), (-0.6, 0.1, 0.8))
    right: ArmDirections = pose.arms.get("R", _ARMS["before the body"])
    return replace(
        pose,
        base="",
        root_deg=(0.0, pose.root_deg[1], 0.0),
        legs={},
        arms={"L": left, "R": right},
        spine_deg=(0, 0, 4),
    )


def held_child(rng: np.random.Generator) -> PoseSpec:
    """A child that sits on an arm, turned to the one who holds it."""
    leg: Leg = ((0.5, -0.35, 0.8), (0.1, -1, 0.1))
    arm: ArmDirections = ((0.3, -0.5, 0.7), (0, 0.1, 1), (0, 0.1, 1))
    return PoseSpec(
        root_deg=(0.0, float(rng.uniform(-110, -30)), 0.0),
        neck_deg=(0.0, float(rng.normal(0, 30)), 0.0),
        arms={"L": arm, "R": arm},
        legs={"L": leg, "R": leg},
    )


def _arms(rng: np.random.Generator, hands: bool) -> dict[str, ArmDirections]:
    names = list(_ARMS)
    if hands:
        left, right = (str(rng.choice(_HAND_ARMS)) for _ in range(2))
        if rng.random() < 0.35:
            left = "down"
    elif rng.random() < 0.5:
        left = right = str(rng.choice(_BOTH))
    else:
        left, right = (str(rng.choice(names)) for _ in range(2))
    arms = {}
    for side, name in (("L", left), ("R", right)):
        upper, fore, hand = (_near(rng, direction, 0.13) for direction in _ARMS[name])
        if name == "crossed" and side == "R":  # the right forearm lies before the left one
            fore = (fore[0], fore[1], fore[2] + 0.3)
        arms[side] = (upper, fore, hand)
    return arms


def _stance(rng: np.random.Generator, bases: Sequence[str]) -> PoseSpec:
    """Trunk and legs."""
    kind = str(rng.choice(list(_STANCES), p=list(_STANCES.values())))
    if kind == "base" and bases:
        return PoseSpec(base=bases[int(rng.integers(len(bases)))])
    if kind == "walk":
        return PoseSpec(legs=_stride(rng))
    if kind == "sit":
        legs = _seated_legs(rng)
        return PoseSpec(legs=legs, spine_deg=(float(rng.uniform(-5, 25)), 0.0, 0.0))
    if kind == "squat":
        crouch: Leg = ((0.4, 0.1, 1), (0.1, -1, -0.5))
        return PoseSpec(legs={"L": crouch, "R": crouch}, spine_deg=(30.0, 0.0, 0.0))
    if kind == "lie":
        tilt = float(rng.choice([-90, 90]))
        bent: Leg = ((0.15, -1, float(rng.uniform(0, 0.8))), (0.05, -1, float(rng.uniform(-0.8, 0.1))))
        straight: Leg = ((0.1, -1, 0.1), (0.05, -1, 0))
        return PoseSpec(root_deg=(tilt, float(rng.uniform(0, 360)), 0.0), legs={"L": bent, "R": straight})
    if kind == "bend":
        bend = (float(rng.uniform(40, 95)), float(rng.normal(0, 10)), 0.0)
        return PoseSpec(spine_deg=bend, legs=_standing_legs(rng))
    return PoseSpec(legs=_standing_legs(rng))


def _stride(rng: np.random.Generator) -> dict[str, Leg]:
    length = float(rng.uniform(0.2, 0.75))
    front: Leg = ((0.05, -1, length), (0.02, -1, 0.1))
    back: Leg = ((0.05, -1, -0.6 * length), (0.02, -1, -1.1 * length))
    return {"L": front, "R": back} if rng.random() < 0.5 else {"L": back, "R": front}


def _seated_legs(rng: np.random.Generator) -> dict[str, Leg]:
    spread, out = float(rng.uniform(0.05, 0.35)), float(rng.uniform(-0.3, 0.5))
    left: Leg = ((spread, -0.15, 1), (0.05, -1, out))
    return {"L": left, "R": ((spread, -0.1, 1), (float(rng.normal(0, 0.25)), -1, out))}


def _standing_legs(rng: np.random.Generator) -> dict[str, Leg]:
    spread = float(rng.uniform(0.02, 0.35))
    legs: dict[str, Leg] = {}
    for side in "LR":
        thigh = (spread, -1.0, float(rng.normal(0, 0.08)))
        legs[side] = (thigh, (spread * 0.8, -1.0, float(rng.normal(-0.06, 0.05))))
    return legs


def _near(rng: np.random.Generator, values: Sequence[float], sigma: float) -> Direction:
    x, y, z = (float(value + rng.normal(0, sigma)) for value in values)
    return (x, y, z)
