from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from autohair_video.errors import InputError
from autohair_video.training.synthetic.people.body import (
    Shape,
    Skeleton,
    SkinWeights,
    forward_kinematics,
    skin,
)
from autohair_video.training.synthetic.people.meshes import read_obj, vertex_normals
from autohair_video.training.synthetic.people.pose import blend_poses, read_bvh

ARM = Skeleton(("shoulder", "elbow", "hand"), (-1, 0, 1))
JOINTS = np.array([[0.0, 0, 0], [1.0, 0, 0], [2.0, 0, 0]])
QUARTER_ABOUT_Z = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])

BVH = """HIERARCHY
ROOT shoulder
{
    OFFSET 0 0 0
    CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation
    JOINT elbow
    {
        OFFSET 1 0 0
        CHANNELS 3 Xrotation Yrotation Zrotation
        End Site
        {
            OFFSET 1 0 0
        }
    }
}
MOTION
Frames: 1
Frame Time: 0.04
"""


def joint_positions(pose: dict[str, np.ndarray]) -> np.ndarray:
    rotations, translations = forward_kinematics(ARM, JOINTS, pose)
    return np.einsum("bij,bj->bi", rotations, JOINTS) + translations


def test_a_quarter_turn_of_the_elbow_lifts_the_hand_by_the_length_of_the_forearm() -> None:
    np.testing.assert_allclose(
        joint_positions({"elbow": QUARTER_ABOUT_Z}), [[0, 0, 0], [1, 0, 0], [1, 1, 0]], atol=1e-12
    )


def test_turns_of_parent_and_child_add_up() -> None:
    pose = {"shoulder": QUARTER_ABOUT_Z, "elbow": QUARTER_ABOUT_Z}
    np.testing.assert_allclose(joint_positions(pose), [[0, 0, 0], [0, 1, 0], [-1, 1, 0]], atol=1e-12)


def test_skinning_moves_a_vertex_with_its_bone_and_blends_between_bones() -> None:
    vertices = np.array([[0.5, 0, 0], [2.0, 0, 0], [2.0, 0, 0]])
    weights = SkinWeights(np.array([[1, 0], [1, 0], [0.5, 0.5]]), np.array([[0, 1], [1, 0], [0, 1]]))
    moved = skin(vertices, weights, *forward_kinematics(ARM, JOINTS, {"elbow": QUARTER_ABOUT_Z}))
    np.testing.assert_allclose(moved, [[0.5, 0, 0], [1, 1, 0], [1.5, 0.5, 0]], atol=1e-12)


def test_bvh_turn_about_its_vertical_is_a_turn_about_y(tmp_path: Path) -> None:
    path = tmp_path / "turn.bvh"
    path.write_text(BVH + "0 0 0 0 0 90 0 0 0\n")
    pose = read_bvh(path)
    # z up, +90 about z: x turns to the file's y, which is away from the front, -z here.
    np.testing.assert_allclose(pose["shoulder"] @ [1, 0, 0], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(pose["elbow"], np.eye(3), atol=1e-12)


def test_bvh_channels_apply_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "two.bvh"
    path.write_text(BVH + "0 0 0 90 0 90 0 0 0\n")
    # Rx(90) Rz(90) takes the file's x to its z, which is up.
    np.testing.assert_allclose(read_bvh(path)["shoulder"] @ [1, 0, 0], [0, 1, 0], atol=1e-12)


@pytest.mark.parametrize("motion", ["", "0 0 0 0\n", "a b c\n"])
def test_a_broken_bvh_file_is_reported_in_one_line(tmp_path: Path, motion: str) -> None:
    path = tmp_path / "broken.bvh"
    path.write_text(BVH + motion if motion else "no motion")
    with pytest.raises(InputError, match=r"broken\.bvh") as caught:
        read_bvh(path)
    assert "\n" not in str(caught.value)


def test_half_way_between_two_poses_is_half_the_angle() -> None:
    half = blend_poses({}, {"elbow": QUARTER_ABOUT_Z}, 0.5)["elbow"]
    np.testing.assert_allclose(half @ [1, 0, 0], [np.sqrt(0.5), np.sqrt(0.5), 0], atol=1e-12)


def test_obj_polygons_become_triangles_by_group(tmp_path: Path) -> None:
    path = tmp_path / "square.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\ng square\nf 1/1 2/2 3/3 4/4\ng corner\nf 1 2 3\n")
    mesh = read_obj(path)
    assert mesh.faces["square"].tolist() == [[0, 1, 2], [0, 2, 3]]
    assert mesh.faces["corner"].tolist() == [[0, 1, 2]]
    np.testing.assert_allclose(vertex_normals(mesh.vertices, mesh.faces["square"]), [[0, 0, 1]] * 4)


def test_an_obj_file_without_faces_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "empty.obj"
    path.write_text("v 0 0 0\n")
    with pytest.raises(InputError, match="no faces"):
        read_obj(path)


def test_limbs_point_where_a_pose_says() -> None:
    from autohair_video.training.synthetic.people.pose import PoseSpec, build_pose

    skeleton, shape = a_stick_figure()
    forward = ((0.0, 0.0, 1.0),) * 3
    pose = build_pose(PoseSpec(arms={"L": forward}), skeleton, shape, {})
    rotations, translations = forward_kinematics(skeleton, shape.joints, pose)
    positions = np.einsum("bij,bj->bi", rotations, shape.joints) + translations
    reach = positions[skeleton.index("wrist.L")] - positions[skeleton.index("upperarm01.L")]
    np.testing.assert_allclose(reach, [0, 0, 0.6], atol=1e-9)


def a_stick_figure() -> tuple[Skeleton, Shape]:
    """A chest with a left arm held sideways, and flat fingers with the palm down."""
    bones: list[tuple[str, str | None, tuple[float, float, float]]] = [
        ("root", None, (0, 1, 0)),
        ("spine01", "root", (0, 1.3, 0)),
        ("upperarm01.L", "spine01", (0.2, 1.4, 0)),
        ("lowerarm01.L", "upperarm01.L", (0.5, 1.4, 0)),
        ("lowerarm02.L", "lowerarm01.L", (0.65, 1.4, 0)),
        ("wrist.L", "lowerarm02.L", (0.8, 1.4, 0)),
    ]
    for finger in range(1, 6):
        for joint in range(1, 4):
            parent = "wrist.L" if joint == 1 else f"finger{finger}-{joint - 1}.L"
            place = (0.86 + 0.03 * joint, 1.4, 0.06 - 0.02 * finger)
            bones.append((f"finger{finger}-{joint}.L", parent, place))
    names = tuple(name for name, _, _ in bones)
    parents = tuple(-1 if parent is None else names.index(parent) for _, parent, _ in bones)
    joints = np.array([place for _, _, place in bones], np.float64)
    return Skeleton(names, parents), Shape(joints.copy(), joints)
