"""A person as meshes and strands: shape, pose, clothes, skin, eyes, hair, things held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from autohair_video.training.synthetic.people.body import BodyModel, Pose, Shape, forward_kinematics, skin
from autohair_video.training.synthetic.people.cloth_texture import cloth_texture
from autohair_video.training.synthetic.people.clothing import (
    Garment,
    Pattern,
    add_folds,
    cut_garment,
    tuck_in,
)
from autohair_video.training.synthetic.people.hair import find_scalp, grow
from autohair_video.training.synthetic.people.meshes import compact, vertex_normals
from autohair_video.training.synthetic.people.pose import blend_poses, build_pose
from autohair_video.training.synthetic.people.spec import ClothSpec, PersonSpec, PropSpec

Category = Literal["skin", "hand", "hair", "cloth", "prop"]
_HAND_BONES: Final = ("lowerarm", "wrist", "metacarpal", "finger")
_CAP: Final = 0.003  # m, thickness of the layer of hair below the strands


@dataclass(frozen=True)
class Part:
    """A mesh with one material.

    Attributes:
        category: what it counts as in the label map.
        vertices: (V, 3) metres.
        faces: (F, 3) int64.
        colours: (V, 3) linear RGB; None where ``texture`` is used.
        texture: (H, W, 3) linear RGB, repeated.
        uv: (V, 2) coordinates in it.
    """

    category: Category
    vertices: NDArray[Any]
    faces: NDArray[Any]
    colours: NDArray[Any] | None = None
    texture: NDArray[Any] | None = None
    uv: NDArray[Any] | None = None


@dataclass(frozen=True)
class Strands:
    """Hair as curves: (S, P, 3) points, radius at the root in metres, linear RGB."""

    points: NDArray[Any]
    radius: float
    colour: tuple[float, float, float]


@dataclass(frozen=True)
class Figure:
    """A person in the scene.

    Attributes:
        parts: meshes.
        strands: hair, or None.
        landmarks: joints and the head's top by name, (3,) each, for the camera.
    """

    parts: tuple[Part, ...]
    strands: Strands | None
    landmarks: Mapping[str, NDArray[Any]]

    def points(self) -> NDArray[Any]:
        """(N, 3) vertices of all parts and the tips of the hair."""
        tips = [] if self.strands is None else [self.strands.points[:, -1]]
        return np.concatenate([part.vertices for part in self.parts] + tips)


def build_figure(
    spec: PersonSpec,
    body: BodyModel,
    patterns: Mapping[str, Pattern],
    poses: Mapping[str, Pose],
    share: float,
) -> Figure:
    """The person of a description.

    Args:
        spec: who.
        body: the base mesh.
        patterns: MakeHuman's garments by name.
        poses: MakeHuman's poses by name.
        share: position between the first and the last pose, 0 to 1.
    """
    rng = np.random.default_rng(spec.seed)
    shape = body.shape(spec.phenotype, spec.changes)
    motion = _motion(spec, body, shape, poses, share)
    posed = skin(shape.vertices, body.weights, *motion)
    cloth, hidden = _dress(spec, body, shape, patterns, motion, rng)
    faces = body.mesh.faces["body"]
    normals = vertex_normals(posed, faces)
    naked = tuck_in(posed, normals, np.concatenate([part.vertices for part in cloth])) if cloth else posed
    parts = list(cloth)
    parts += _skin_parts(spec, body, shape, naked, faces[~hidden[faces].any(axis=1)], rng)
    parts += [_eye(spec, body, shape, motion, side) for side in ("l", "r")]
    parts += [_prop(prop, body, shape, motion) for prop in spec.props]
    strands = None
    if spec.hair.style != "bald":
        head = find_scalp(body, shape.vertices, motion[0], spec.hair.hairline)
        parts.append(_cap(spec, posed, head.scalp))
        surface = np.unique(faces)
        obstacles = _with_cloth(posed[surface], normals[surface], cloth)
        strands = Strands(grow(spec.hair, head, posed, obstacles, rng), spec.hair.radius, spec.hair.colour)
    joints = np.einsum("bij,bj->bi", motion[0], shape.joints) + motion[1]
    landmarks = dict(zip(body.skeleton.names, joints, strict=True))
    return Figure(tuple(parts), strands, landmarks)


def _motion(
    spec: PersonSpec, body: BodyModel, shape: Shape, poses: Mapping[str, Pose], share: float
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotations and translations of the bones, see :func:`forward_kinematics`."""
    ends = [build_pose(pose, body.skeleton, shape, poses) for pose in spec.poses]
    pose = ends[0] if len(ends) == 1 else blend_poses(ends[0], ends[1], share)
    rotations, translations = forward_kinematics(body.skeleton, shape.joints, pose)
    return rotations, translations + _to_place(spec, shape, (rotations, translations))


def _with_cloth(
    points: NDArray[Any], normals: NDArray[Any], cloth: list[Part]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Points and normals of skin and clothes together."""
    cloth_normals = [vertex_normals(part.vertices, part.faces) for part in cloth]
    return (
        np.concatenate([points, *(part.vertices for part in cloth)]),
        np.concatenate([normals, *cloth_normals]),
    )


def _to_place(spec: PersonSpec, shape: Shape, motion: tuple[NDArray[Any], NDArray[Any]]) -> NDArray[Any]:
    """Shift that puts the pelvis above the person's place, at the height of its feet at rest."""
    root = motion[0][0] @ shape.joints[0] + motion[1][0]
    floor = shape.vertices[:, 1].min()
    shift: NDArray[Any] = np.array(spec.place) - np.array([root[0], floor, root[2]])
    return shift


def _dress(
    spec: PersonSpec,
    body: BodyModel,
    shape: Shape,
    patterns: Mapping[str, Pattern],
    motion: tuple[NDArray[Any], NDArray[Any]],
    rng: np.random.Generator,
) -> tuple[list[Part], NDArray[Any]]:
    """The garments in the pose, and (V,) bool of the vertices of the base mesh below them."""
    parts: list[Part] = []
    hidden = np.zeros(len(shape.vertices), bool)
    for cloth in spec.clothes:
        garment = _tailor(cloth, body, shape, patterns)
        if garment is None:
            continue
        vertices = skin(garment.vertices, garment.weights, *motion)
        vertices = add_folds(vertices, garment.faces, garment.vertices, cloth.folds, rng)
        hidden[garment.hidden[garment.hidden < len(hidden)]] = True
        parts.append(
            Part(
                "cloth",
                vertices,
                garment.faces,
                texture=cloth_texture(cloth.weave, cloth.colour, cloth.second, rng),
                uv=_cloth_uv(garment.vertices, cloth.scale),
            )
        )
    return parts, hidden


def _tailor(
    cloth: ClothSpec, body: BodyModel, shape: Shape, patterns: Mapping[str, Pattern]
) -> Garment | None:
    if cloth.pattern is None:
        return cut_garment(body, shape, cloth.cut, folds=cloth.folds)
    return patterns[cloth.pattern].fit(shape, body.weights, folds=cloth.folds)


def _cloth_uv(rest: NDArray[Any], scale: float) -> NDArray[Any]:
    """Planar coordinates from the rest position: metric, and without seams in front."""
    return np.stack([rest[:, 0] + 0.35 * rest[:, 2], rest[:, 1]], axis=1) * scale


def _skin_parts(
    spec: PersonSpec,
    body: BodyModel,
    shape: Shape,
    posed: NDArray[Any],
    faces: NDArray[Any],
    rng: np.random.Generator,
) -> list[Part]:
    """Bare skin, hands and forearms apart from the rest."""
    colours = _skin_colours(spec, body, shape, rng)
    names = body.skeleton.names
    of_hand = body.weights.of([i for i, name in enumerate(names) if name.startswith(_HAND_BONES)])
    hand = (of_hand[faces] > 0.5).all(axis=1)
    parts = []
    categories: tuple[tuple[Category, NDArray[Any]], ...] = (("skin", faces[~hand]), ("hand", faces[hand]))
    for category, chosen in categories:
        if len(chosen):
            used, renumbered = compact(posed, chosen)
            parts.append(Part(category, posed[used], renumbered, colours[used]))
    return parts


def _skin_colours(spec: PersonSpec, body: BodyModel, shape: Shape, rng: np.random.Generator) -> NDArray[Any]:
    """(V, 3) linear RGB: the tone, smooth blotches, redder lips and knuckles, brows in the hair's colour."""
    rest, names = shape.vertices, body.skeleton.names
    colours = np.ones((len(rest), 3)) * spec.skin
    for _ in range(8):
        wave = np.sin(rest @ rng.normal(0, 40, 3) + rng.uniform(0, 2 * np.pi))
        colours *= 1 + 0.02 * wave[:, None] * [0.6, 1.0, 1.0]
    lips = body.weights.of([i for i, name in enumerate(names) if name.startswith("oris")])
    colours *= 1 - lips[:, None] * [0.12, 0.38, 0.3]
    fingers = body.weights.of([i for i, name in enumerate(names) if name.startswith("finger")])
    colours *= 1 - fingers[:, None] * [0.0, 0.08, 0.08]
    for side in "LR":
        eye = shape.joints[body.skeleton.index(f"eye.{side}")]
        x, y, z = (rest - eye).T
        scale = np.linalg.norm(eye - shape.joints[body.skeleton.index("head")]) / 0.12
        brow = (
            (np.abs(x) < 0.024 * scale)
            & (np.abs(y - (0.021 - 0.1 * np.abs(x)) * scale) < 0.0045 * scale)
            & (z > 0)
        )
        colours[brow] = 0.4 * colours[brow] + 0.6 * np.array(spec.hair.colour) * 0.8
    clipped: NDArray[Any] = np.clip(colours, 0.01, 0.9)
    return clipped


@lru_cache(maxsize=1)
def _unit_sphere() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Vertices, faces, and the angle of each vertex to +z in degrees; rings lie closest around +z."""
    rings, sectors = 22, 28
    polar = np.concatenate(
        [np.linspace(0.01, np.pi / 4, 12), np.linspace(np.pi / 4, np.pi - 0.01, rings - 11)[1:]]
    )
    around = np.arange(sectors) * 2 * np.pi / sectors
    theta, phi = np.meshgrid(polar, around, indexing="ij")
    vertices = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    ring, sector = np.meshgrid(np.arange(rings - 1), np.arange(sectors), indexing="ij")
    a, b = ring * sectors + sector, ring * sectors + (sector + 1) % sectors
    c, d = a + sectors, b + sectors
    faces = np.concatenate([np.stack([a, c, b], -1).reshape(-1, 3), np.stack([b, c, d], -1).reshape(-1, 3)])
    return vertices.reshape(-1, 3), faces, np.degrees(theta).ravel()


def _eye(
    spec: PersonSpec, body: BodyModel, shape: Shape, motion: tuple[NDArray[Any], NDArray[Any]], side: str
) -> Part:
    """An eyeball with iris and pupil; the mesh's own has an opaque cornea."""
    ball = shape.vertices[np.unique(body.mesh.faces[f"helper-{side}-eye"])]
    centre = (ball.min(axis=0) + ball.max(axis=0)) / 2
    radius = (ball.max(axis=0) - ball.min(axis=0))[:2].mean() / 2
    vertices, faces, angle = _unit_sphere()
    colours = np.full((len(vertices), 3), 0.75) * [1.0, 0.96, 0.93]
    colours[angle < 27] = spec.iris
    colours[angle < 11] = 0.01
    bone = body.skeleton.index(f"eye.{side.upper()}")
    placed = (centre + vertices * radius) @ motion[0][bone].T + motion[1][bone]
    return Part("skin", placed, faces, colours)


def _cap(spec: PersonSpec, posed: NDArray[Any], scalp: NDArray[Any]) -> Part:
    """A thin layer in the hair's colour, so that the skin does not shine through."""
    used, faces = compact(posed, scalp)
    vertices = posed[used]
    lifted = vertices + vertex_normals(vertices, faces) * _CAP
    colours = np.ones((len(used), 3)) * spec.hair.colour
    return Part("hair", lifted, faces, colours)


def _prop(prop: PropSpec, body: BodyModel, shape: Shape, motion: tuple[NDArray[Any], NDArray[Any]]) -> Part:
    """A thing in the palm."""
    names = (f"wrist.{prop.side}", f"finger3-1.{prop.side}")
    wrist, knuckle = (shape.joints[body.skeleton.index(name)] for name in names)
    bone = body.skeleton.index(names[0])
    vertices, faces = _prop_mesh(prop)
    rest = (
        vertices
        + 0.25 * wrist
        + 0.75 * knuckle
        + [0.0, -0.03 - 0.5 * prop.size * (prop.kind != "stick"), 0.0]
    )
    moved = rest @ motion[0][bone].T + motion[1][bone]
    colours = np.ones((len(moved), 3)) * prop.colour
    return Part("prop", moved, faces, colours)


def _prop_mesh(prop: PropSpec) -> tuple[NDArray[Any], NDArray[Any]]:
    """A mesh about its middle; scaled spheres serve for boxes, too, by pushing points to the cube's sides."""
    sphere, faces, _ = _unit_sphere()
    cube = sphere / np.abs(sphere).max(axis=1, keepdims=True)
    size = prop.size
    meshes = {
        "ball": sphere * size / 2,
        "box": cube * [size * 0.35, size * 0.5, size * 0.2],
        "bag": (0.75 * cube + 0.25 * sphere) * [size * 0.5, size * 0.55, size * 0.2],
        "stick": sphere * [0.012, 0.012, size * 2],
    }
    return meshes[prop.kind], faces
