"""Triangle meshes: reading Wavefront OBJ files, and vertex normals."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError


@dataclass(frozen=True)
class ObjMesh:
    """A mesh as the file has it; polygons are cut into fans of triangles.

    Attributes:
        vertices: (V, 3) float64, in the file's units.
        faces: group name to (F, 3) int64 vertex indices.
    """

    vertices: NDArray[Any]
    faces: dict[str, NDArray[Any]]

    @property
    def all_faces(self) -> NDArray[Any]:
        """(F, 3) int64, of all groups."""
        return np.concatenate(list(self.faces.values()))


def read_obj(path: Path) -> ObjMesh:
    """Read vertices and faces of a Wavefront OBJ file.

    Raises:
        InputError: the file is missing or has no faces.
    """
    try:
        lines = path.read_text(errors="ignore").splitlines()
    except OSError as exc:
        raise InputError(f"cannot read {path}: {exc.strerror}") from exc
    vertices: list[list[float]] = []
    groups: dict[str, list[list[int]]] = {}
    group = ""
    for line in lines:
        parts = line.split()
        if not parts:
            continue
        if parts[0] == "v":
            vertices.append([float(value) for value in parts[1:4]])
        elif parts[0] == "g":
            group = parts[1] if len(parts) > 1 else ""
        elif parts[0] == "f":
            corners = [int(corner.split("/")[0]) - 1 for corner in parts[1:]]
            fan = [[corners[0], corners[k], corners[k + 1]] for k in range(1, len(corners) - 1)]
            groups.setdefault(group, []).extend(fan)
    if not groups:
        raise InputError(f"{path} has no faces: it is no OBJ mesh")
    return ObjMesh(np.array(vertices), {name: np.array(faces) for name, faces in groups.items()})


def vertex_normals(vertices: NDArray[Any], faces: NDArray[Any]) -> NDArray[Any]:
    """Unit normals (V, 3), means of the adjacent faces weighted by their areas; zero for unused vertices."""
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    flat = faces.ravel()
    weights = np.repeat(face_normals, 3, axis=0)
    normals = np.stack([np.bincount(flat, weights[:, k], len(vertices)) for k in range(3)], axis=1)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    unit: NDArray[Any] = normals / np.maximum(lengths, 1e-12)
    return unit


def compact(vertices: NDArray[Any], faces: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Indices (N,) of the vertices that ``faces`` use, and the faces renumbered to them."""
    used, inverse = np.unique(faces, return_inverse=True)
    return used, inverse.reshape(-1, 3)
