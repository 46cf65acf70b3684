"""Garments: MakeHuman's (CC0), fitted to a body, and simple ones cut from the base mesh's own surfaces.

The fit follows the format of ``.mhclo`` files: each vertex of a garment lies on a triangle of the base mesh,
at barycentric weights, moved by an offset that scales with distances on the body.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autohair_video.errors import InputError
from autohair_video.training.synthetic.people.body import BodyModel, Shape, SkinWeights
from autohair_video.training.synthetic.people.meshes import compact, read_obj, vertex_normals

_OFFSET_UNIT: Final = 0.1  # metres in MakeHuman's unit, a decimetre
_CLEARANCE: Final = 0.006  # m between skin and the cloth above it
_MAX_BONES: Final = 8


@dataclass(frozen=True)
class Garment:
    """A garment fitted to one person at rest.

    Attributes:
        vertices: (N, 3) float64, metres.
        faces: (F, 3) int64.
        weights: of the rig's bones.
        hidden: indices of vertices of the base mesh that it covers entirely.
        folds: amplitude of its folds in metres.
    """

    vertices: NDArray[Any]
    faces: NDArray[Any]
    weights: SkinWeights
    hidden: NDArray[Any]
    folds: float


@dataclass(frozen=True)
class Pattern:
    """A garment as its file describes it; :meth:`fit` makes one for a person.

    Attributes:
        anchors: (N, 3) int64, vertices of the base mesh.
        shares: (N, 3) barycentric weights of these.
        offsets: (N, 3) in units of the scales.
        scales: for x, y and z: two vertices of the base mesh, and their distance for which the offset is in
            decimetres.
        hidden: as in :class:`Garment`.
        faces: (F, 3) int64.
    """

    anchors: NDArray[Any]
    shares: NDArray[Any]
    offsets: NDArray[Any]
    scales: tuple[tuple[int, int, float] | None, ...]
    hidden: NDArray[Any]
    faces: NDArray[Any]

    def fit(self, shape: Shape, body_weights: SkinWeights, *, folds: float) -> Garment:
        """The garment on a person at rest; its bones are those of the skin below it."""
        rest = shape.vertices
        scale = np.array([_axis_scale(rest, axis, entry) for axis, entry in enumerate(self.scales)])
        points = np.einsum("nk,nkj->nj", self.shares, rest[self.anchors]) + self.offsets * scale
        return Garment(points, self.faces, self._weights(body_weights), self.hidden, folds)

    def _weights(self, body: SkinWeights) -> SkinWeights:
        count, bones = len(self.anchors), int(body.bones.max()) + 1
        shares = np.clip(self.shares, 0, None)
        shares = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
        dense = np.zeros((count, bones))
        rows = np.broadcast_to(np.arange(count)[:, None], (count, body.bones.shape[1]))
        for corner in range(3):
            anchor = self.anchors[:, corner]
            np.add.at(dense, (rows, body.bones[anchor]), shares[:, corner, None] * body.weights[anchor])
        order = np.argsort(-dense, axis=1)[:, :_MAX_BONES]
        weights = np.take_along_axis(dense, order, axis=1)
        return SkinWeights(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9), order)


def _axis_scale(rest: NDArray[Any], axis: int, entry: tuple[int, int, float] | None) -> float:
    if entry is None:
        return _OFFSET_UNIT
    first, second, distance = entry
    return float(abs(rest[first, axis] - rest[second, axis]) / distance)


def read_pattern(path: Path) -> Pattern:
    """Read a ``.mhclo`` file and the mesh beside it.

    Raises:
        InputError: a file is missing or has no vertices.
    """
    try:
        lines = path.read_text(errors="ignore").splitlines()
    except OSError as exc:
        raise InputError(f"cannot read {path}: {exc.strerror}") from exc
    rows: list[list[float]] = []
    hidden: list[int] = []
    scales: dict[str, tuple[int, int, float]] = {}
    mesh, section = "", ""
    for parts in (line.split() for line in lines):
        if not parts or parts[0].startswith("#"):
            continue
        if parts[0] in ("verts", "delete_verts"):
            section = parts[0]
        elif parts[0] in ("x_scale", "y_scale", "z_scale"):
            scales[parts[0][0]] = (int(parts[1]), int(parts[2]), float(parts[3]))
        elif parts[0] == "obj_file":
            mesh = parts[1]
        elif section == "verts" and parts[0].isdigit():
            rows.append([float(part) for part in parts[:9]] if len(parts) >= 9 else _on_vertex(parts[0]))
        elif section == "delete_verts":
            hidden += _ranges(parts)
    if not rows or not mesh:
        raise InputError(f"{path} is no .mhclo file with vertices and an obj_file")
    table = np.array(rows)
    return Pattern(
        anchors=table[:, :3].astype(np.int64),
        shares=table[:, 3:6],
        offsets=table[:, 6:9],
        scales=tuple(scales.get(axis) for axis in "xyz"),
        hidden=np.array(hidden, np.int64),
        faces=read_obj(path.parent / mesh).all_faces,
    )


def _on_vertex(number: str) -> list[float]:
    return [float(number)] * 3 + [1.0, 0.0, 0.0] + [0.0] * 3


def _ranges(parts: Sequence[str]) -> list[int]:
    """Numbers, and ranges written as ``3 - 7``."""
    numbers: list[int] = []
    position = 0
    while position < len(parts) and parts[position].isdigit():
        first = last = int(parts[position])
        if parts[position + 1 : position + 2] == ["-"]:
            last = int(parts[position + 2])
            position += 2
        numbers += range(first, last + 1)
        position += 1
    return numbers


def read_patterns(folder: Path) -> dict[str, Pattern]:
    """All garments below a folder, by name.

    Raises:
        InputError: there is none.
    """
    files = sorted(folder.glob("*/*.mhclo"))
    if not files:
        raise InputError(f"{folder} has no .mhclo files: name the folder that holds data/makehuman")
    return {path.stem: read_pattern(path) for path in files}


@dataclass(frozen=True)
class Cut:
    """A garment cut from the base mesh's tights and skirt, in shares of the body's height.

    Attributes:
        sleeve: length of the sleeves, 0 (none) to 1 (to the wrist).
        hem: height of the lower edge of what covers the trunk; below 0.5 it is a coat.
        legs: height of the legs' lower edge; 0.55 or more leaves them bare.
        skirt: height of the skirt's lower edge; 0.55 or more leaves it out.
        offset: metres between skin and cloth.
        hood: whether the back and the top of the head are covered.
    """

    sleeve: float = 0.0
    hem: float = 1.0
    legs: float = 1.0
    skirt: float = 1.0
    offset: float = 0.012
    hood: bool = False


def cut_garment(body: BodyModel, shape: Shape, cut: Cut, *, folds: float) -> Garment | None:
    """Make a garment by cutting and inflating surfaces of the base mesh; None if nothing is left of it."""
    rest = shape.vertices
    tights, skirt = body.mesh.faces["helper-tights"], body.mesh.faces["helper-skirt"]
    centre = _of_quads(rest[tights].mean(axis=1))
    floor, top = rest[:, 1].min(), rest[body.mesh.faces["body"]][..., 1].max()
    height = (centre[:, 1] - floor) / (top - floor)
    arms, legs = (_share(body, tights, stems) for stems in (("arm", "wrist"), ("leg", "foot")))
    along = _arm_position(body, shape, centre)
    trunk = (arms < 0.5) & (legs < 0.5) & (height > cut.hem) if cut.hem < 1 else np.zeros(len(tights), bool)
    coat = (arms < 0.5) & (height > cut.hem) & (legs >= 0.5) & (cut.hem < 0.5)
    sleeves = (arms >= 0.5) & (along < cut.sleeve) & (cut.hem < 1)
    trousers = (arms < 0.5) & (height > cut.legs) & (height < 0.6)
    kept = [tights[trunk | coat | sleeves | trousers]]
    skirt_height = (rest[skirt].mean(axis=1)[:, 1] - floor) / (top - floor)
    kept.append(skirt[(skirt_height > cut.skirt)])
    if cut.hood:
        kept.append(_hood_faces(body, rest))
    faces = np.concatenate(kept)
    if not len(faces):
        return None
    used, renumbered = compact(rest, faces)
    points = rest[used]
    points = points + vertex_normals(points, renumbered) * cut.offset
    return Garment(points, renumbered, body.weights.take(used), np.empty(0, np.int64), folds)


def _share(body: BodyModel, faces: NDArray[Any], stems: tuple[str, ...]) -> NDArray[Any]:
    bones = [i for i, name in enumerate(body.skeleton.names) if any(stem in name for stem in stems)]
    return _of_quads(body.weights.of(bones)[faces].mean(axis=1))


def _of_quads(values: NDArray[Any]) -> NDArray[Any]:
    """Means over the two triangles of each quad of the base mesh, so that cuts run along its edges."""
    return np.repeat((values[0::2] + values[1::2]) / 2, 2, axis=0)


def _arm_position(body: BodyModel, shape: Shape, points: NDArray[Any]) -> NDArray[Any]:
    """0 at the shoulder to 1 at the wrist, along the arm of the nearer side."""
    position = np.zeros(len(points))
    for side, sign in (("L", 1.0), ("R", -1.0)):
        start, end = (shape.joints[body.skeleton.index(f"{b}.{side}")] for b in ("upperarm01", "wrist"))
        along = (points - start) @ (end - start) / ((end - start) @ (end - start))
        position = np.where(points[:, 0] * sign > 0, along, position)
    return position


def _hood_faces(body: BodyModel, rest: NDArray[Any]) -> NDArray[Any]:
    skin = body.mesh.faces["body"]
    names = body.skeleton.names
    share = body.weights.of([names.index("head"), names.index("neck03"), names.index("neck02")])
    head = skin[(share[skin] > 0.4).all(axis=1)]
    low, high = rest[head].min(axis=(0, 1)), rest[head].max(axis=(0, 1))
    centre = (rest[head].mean(axis=1) - low) / (high - low)
    faces: NDArray[Any] = head[(centre[:, 2] < 0.55 + 0.25 * (centre[:, 1] - 0.5))]
    return faces


def add_folds(
    vertices: NDArray[Any],
    faces: NDArray[Any],
    rest: NDArray[Any],
    amplitude: float,
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Displace cloth along its normals by smooth noise of the rest positions, so that folds stay with it."""
    height = np.zeros(len(vertices))
    for _ in range(10):
        wave = rng.normal(0, 1, 3) * [30, 16, 30]
        height += np.sin(rest @ wave + rng.uniform(0, 2 * np.pi)) / 5
    folded: NDArray[Any] = vertices + vertex_normals(vertices, faces) * (amplitude * (1 + height))[:, None]
    return folded


def tuck_in(skin: NDArray[Any], skin_normals: NDArray[Any], cloth: NDArray[Any]) -> NDArray[Any]:
    """Move skin that pokes through nearby cloth below it, by 2 cm at most."""
    distance, nearest = cKDTree(cloth).query(skin, distance_upper_bound=0.035)
    close = np.isfinite(distance)
    gap = np.full(len(skin), np.inf)
    gap[close] = ((cloth[nearest[close]] - skin[close]) * skin_normals[close]).sum(axis=1)
    depth = np.where(close, np.clip(_CLEARANCE - gap, 0, 0.02), 0.0)
    tucked: NDArray[Any] = skin - skin_normals * depth[:, None]
    return tucked
