"""Poses: MakeHuman's (CC0, Biovision BVH files), and limbs that point where a recipe says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from autohair_video.errors import InputError
from autohair_video.training.synthetic.people.body import Pose, Shape, Skeleton, forward_kinematics

_FROM_Z_UP: Final = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, -1.0, 0.0]])
_SPINE: Final = ("spine05", "spine04", "spine03", "spine02", "spine01")
_NECK: Final = ("neck01", "neck02", "neck03", "head")
# The segments of a limb that recipes aim: bone, and the bone whose head is its far end.
_ARM: Final = (("upperarm01", "lowerarm01"), ("lowerarm01", "wrist"), ("wrist", "finger3-1"))
_LEG: Final = (("upperleg01", "lowerleg01"), ("lowerleg01", "foot"))

Direction = tuple[float, float, float]


@dataclass(frozen=True)
class PoseSpec:
    """A pose by description.

    Attributes:
        base: name of a BVH file without its suffix; empty for the rest pose.
        root_deg: turn of the whole person: about x (lying), y (facing) and z.
        spine_deg: bend of the trunk: forward, twist, sideways.
        neck_deg: bend of the neck likewise.
        arms: side (``L`` or ``R``) to the directions of upper arm, forearm and hand, as (outwards, up, to the
            front) in the axes of the chest.
        legs: side to the directions of thigh and shank, in the axes of the pelvis.
        finger_curl_deg: of each finger joint, from 0 (flat) to about 80 (fist).
        arm_twist_deg: turn of the hand about the forearm.
    """

    base: str = ""
    root_deg: Direction = (0.0, 0.0, 0.0)
    spine_deg: Direction = (0.0, 0.0, 0.0)
    neck_deg: Direction = (0.0, 0.0, 0.0)
    arms: Mapping[str, tuple[Direction, Direction, Direction]] = field(default_factory=dict)
    legs: Mapping[str, tuple[Direction, Direction]] = field(default_factory=dict)
    finger_curl_deg: float = 15.0
    arm_twist_deg: float = 0.0


def read_bvh(path: Path) -> dict[str, NDArray[Any]]:
    """The first frame of a z-up BVH file: joint name to a (3, 3) rotation in y-up axes.

    Rotation channels apply in the order in which the file names them.

    Raises:
        InputError: the file is missing, or no BVH file.
    """
    try:
        head, _, motion = path.read_text(errors="ignore").partition("MOTION")
        values = [float(value) for value in motion.split("Frame Time:")[1].split()[1:]]
    except (OSError, IndexError, ValueError) as exc:
        raise InputError(f"{path} is no BVH file with a frame of motion") from exc
    pose: dict[str, NDArray[Any]] = {}
    name, position = "", 0
    for line in head.splitlines():
        parts = line.split()
        if parts[:1] in (["ROOT"], ["JOINT"]):
            name = parts[1]
        elif parts[:1] == ["CHANNELS"]:
            channels = parts[2:]
            frame = values[position : position + len(channels)]
            if len(frame) < len(channels):
                raise InputError(f"{path} has fewer values than channels: it is cut off")
            position += len(channels)
            rotation = np.eye(3)
            for channel, value in zip(channels, frame, strict=True):
                if channel.endswith("rotation"):
                    rotation = rotation @ Rotation.from_euler(channel[0], value, degrees=True).as_matrix()
            pose[name] = _FROM_Z_UP @ rotation @ _FROM_Z_UP.T
    return pose


def read_poses(folder: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """All BVH files of a folder by name.

    Raises:
        InputError: there is none.
    """
    files = sorted(folder.glob("*.bvh"))
    if not files:
        raise InputError(f"{folder} has no .bvh files: name the folder that holds data/makehuman")
    return {path.stem: read_bvh(path) for path in files}


def build_pose(
    spec: PoseSpec, skeleton: Skeleton, shape: Shape, library: Mapping[str, Pose]
) -> dict[str, NDArray[Any]]:
    """The rotations that a description means for one person."""
    pose: dict[str, NDArray[Any]] = dict(library[spec.base]) if spec.base else {}
    root = skeleton.names[skeleton.parents.index(-1)]
    turn = Rotation.from_euler("yxz", [spec.root_deg[1], spec.root_deg[0], spec.root_deg[2]], degrees=True)
    pose[root] = turn.as_matrix() @ pose.get(root, np.eye(3))
    _bend(pose, _SPINE, spec.spine_deg)
    _bend(pose, _NECK, spec.neck_deg)
    for side, thigh_shank in spec.legs.items():
        _aim_limb(pose, skeleton, shape, [(b, e) for b, e in _LEG], side, thigh_shank, frame=root)
    for side, directions in spec.arms.items():
        _aim_limb(pose, skeleton, shape, [(b, e) for b, e in _ARM], side, directions, frame="spine01")
    for side in spec.arms:
        _curl(pose, skeleton, shape, side, spec.finger_curl_deg)
        _twist(pose, skeleton, shape, side, spec.arm_twist_deg)
    return pose


def blend_poses(first: Pose, second: Pose, share: float) -> dict[str, NDArray[Any]]:
    """Every bone turned from ``first`` by ``share`` (0 to 1) of the shortest way to ``second``."""
    blended: dict[str, NDArray[Any]] = {}
    identity = np.eye(3)
    for name in sorted(set(first) | set(second)):
        start, end = first.get(name, identity), second.get(name, identity)
        way = Rotation.from_matrix(start.T @ end).as_rotvec()
        blended[name] = start @ Rotation.from_rotvec(way * share).as_matrix()
    return blended


def _bend(pose: dict[str, NDArray[Any]], bones: tuple[str, ...], degrees: Direction) -> None:
    """Spread a bend evenly over a chain of bones."""
    part = np.array(degrees) / len(bones)
    rotation = Rotation.from_euler("xyz", part, degrees=True).as_matrix()
    for bone in bones:
        pose[bone] = pose.get(bone, np.eye(3)) @ rotation


def _aim_limb(
    pose: dict[str, NDArray[Any]],
    skeleton: Skeleton,
    shape: Shape,
    segments: list[tuple[str, str]],
    side: str,
    directions: tuple[Direction, ...],
    *,
    frame: str,
) -> None:
    """Turn each segment of a limb, by the shortest way, until it points along its direction."""
    sign = 1.0 if side == "L" else -1.0  # the left side is at +x
    for bone, _ in segments:
        for part in (bone, bone.replace("01", "02")):
            pose.pop(f"{part}.{side}", None)
    for (bone, end), direction in zip(segments, directions, strict=True):
        rotations, _ = forward_kinematics(skeleton, shape.joints, pose)
        start, stop = skeleton.index(f"{bone}.{side}"), skeleton.index(f"{end}.{side}")
        along = rotations[start] @ (shape.joints[stop] - shape.joints[start])
        wanted = rotations[skeleton.index(frame)] @ (np.array(direction) * [sign, 1.0, 1.0])
        parent = rotations[skeleton.parents[start]]
        turn = _shortest(along, wanted)
        pose[f"{bone}.{side}"] = parent.T @ turn @ parent @ pose.get(f"{bone}.{side}", np.eye(3))


def _shortest(start: NDArray[Any], end: NDArray[Any]) -> NDArray[Any]:
    """The rotation of the smallest angle that turns one direction into another."""
    start, end = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(start, end)
    sine, cosine = float(np.linalg.norm(axis)), float(start @ end)
    if sine < 1e-9:
        return np.eye(3) if cosine > 0 else Rotation.from_rotvec([0.0, np.pi, 0.0]).as_matrix()
    matrix: NDArray[Any] = Rotation.from_rotvec(axis / sine * np.arctan2(sine, cosine)).as_matrix()
    return matrix


def _curl(pose: dict[str, NDArray[Any]], skeleton: Skeleton, shape: Shape, side: str, degrees: float) -> None:
    """Bend the fingers towards the palm; the palm faces down at rest."""
    head = {
        name: shape.joints[skeleton.index(f"{name}.{side}")] for name in ("wrist", "finger2-1", "finger5-1")
    }
    normal = np.cross(head["finger2-1"] - head["wrist"], head["finger5-1"] - head["wrist"])
    normal = normal / np.linalg.norm(normal)
    palm = normal if normal[1] < 0 else -normal
    for finger in range(1, 6):
        first = shape.joints[skeleton.index(f"finger{finger}-1.{side}")]
        last = shape.joints[skeleton.index(f"finger{finger}-3.{side}")]
        axis = np.cross(last - first, palm)
        amount = degrees * (0.35 if finger == 1 else 1.0)
        turn = Rotation.from_rotvec(np.radians(amount) * axis / np.linalg.norm(axis)).as_matrix()
        for joint in range(1, 4):
            pose[f"finger{finger}-{joint}.{side}"] = turn


def _twist(
    pose: dict[str, NDArray[Any]], skeleton: Skeleton, shape: Shape, side: str, degrees: float
) -> None:
    """Turn forearm and hand about the forearm, shared by its two halves as radius and ulna do."""
    start, end = (shape.joints[skeleton.index(f"{name}.{side}")] for name in ("lowerarm01", "wrist"))
    axis = (end - start) / np.linalg.norm(end - start) * (1.0 if side == "L" else -1.0)
    half = Rotation.from_rotvec(np.radians(degrees / 2) * axis).as_matrix()
    pose[f"lowerarm02.{side}"] = half
    pose[f"wrist.{side}"] = half @ pose.get(f"wrist.{side}", np.eye(3))
