"""Human shapes and linear blend skinning.

Shapes come from the package ``anny`` (Apache-2.0; Brégier et al., "Human Mesh Modeling for Anny Body",
arXiv 2511.03589), whose data are MakeHuman's (CC0). Its topology ``makehuman`` keeps the vertex order of
MakeHuman's base mesh, to which the clothes are fitted; its topologies ``smpl`` and ``smplx`` download files
that must not be used commercially, and are never asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import OptionError
from autohair_video.training.synthetic.people.meshes import ObjMesh, read_obj

Pose = Mapping[str, NDArray[Any]]
"""Bone name to a (3, 3) rotation against the parent, in the axes of the rest pose (y up, z to the front)."""

_BASE_MESH: Final = Path("data/mpfb2/3dobjs/base.obj")


@dataclass(frozen=True)
class Skeleton:
    """Bones in an order in which parents come before children.

    Attributes:
        names: of the B bones.
        parents: index of each bone's parent, -1 for the root.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]

    def index(self, name: str) -> int:
        """Index of a bone."""
        return self.names.index(name)


@dataclass(frozen=True)
class SkinWeights:
    """Shares of bones in the motion of vertices.

    Attributes:
        weights: (V, K) floats that sum to one in each row.
        bones: (V, K) ints, the bones of these weights.
    """

    weights: NDArray[Any]
    bones: NDArray[Any]

    def of(self, bones: Sequence[int]) -> NDArray[Any]:
        """(V,) summed weight of some bones."""
        share: NDArray[Any] = (self.weights * np.isin(self.bones, bones)).sum(axis=1)
        return share

    def take(self, vertices: NDArray[Any]) -> SkinWeights:
        """The weights of a choice of vertices."""
        return SkinWeights(self.weights[vertices], self.bones[vertices])


@dataclass(frozen=True)
class Shape:
    """One person at rest: (V, 3) vertices and (B, 3) heads of the bones, in metres, y up, z to the front."""

    vertices: NDArray[Any]
    joints: NDArray[Any]


class BodyModel:
    """MakeHuman's base mesh with its rig, deformable into people of all ages and builds.

    The first construction on a machine takes about five minutes; ``anny`` keeps the result in
    ``ANNY_CACHE_DIR``.

    Raises:
        OptionError: ``anny`` is not installed.
    """

    def __init__(self) -> None:
        try:
            import anny
            import torch
        except ImportError as exc:
            raise OptionError("rendered people need `anny`: pip install 'autohair-video[train]'") from exc
        torch.set_num_threads(1)
        self._model = anny.Anny(
            rig="makehuman", topology="makehuman", local_changes="default", facial_actions="all"
        ).to(dtype=torch.float32)
        self.local_changes: tuple[str, ...] = tuple(self._model.local_change_labels)
        self.skeleton = Skeleton(
            tuple(self._model.bone_labels), tuple(int(parent) for parent in self._model.bone_parents)
        )
        self.weights = SkinWeights(
            self._model.vertex_bone_weights.numpy().astype(np.float64),
            self._model.vertex_bone_indices.numpy(),
        )
        self.mesh: ObjMesh = read_obj(Path(anny.__file__).parent / _BASE_MESH)

    def shape(self, phenotype: Mapping[str, float], changes: Mapping[str, float]) -> Shape:
        """A person at rest, arms held down and apart.

        Args:
            phenotype: ``gender``, ``age``, ``muscle``, ``weight``, ``height``, ``proportions``, 0 to 1.
            changes: local changes by name (see ``local_changes``), -1 to 1.
        """
        import torch

        rest = torch.eye(4)[None, None].repeat(1, len(self.skeleton.names), 1, 1)
        with torch.no_grad():
            output = self._model(
                pose_parameters=rest, phenotype_kwargs=dict(phenotype), local_changes_kwargs=dict(changes)
            )
        return Shape(_y_up(output["rest_vertices"][0].numpy()), _y_up(output["rest_bone_heads"][0].numpy()))


def forward_kinematics(
    skeleton: Skeleton, joints: NDArray[Any], pose: Pose
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Motion of every bone from rest to ``pose``: a point x at rest moves to R x + t.

    Args:
        skeleton: B bones.
        joints: (B, 3) positions of the bones' heads at rest.
        pose: rotations against the parents; bones that are not named stay as at rest.

    Returns:
        (B, 3, 3) rotations and (B, 3) translations.
    """
    rotations = np.empty((len(joints), 3, 3))
    translations = np.empty((len(joints), 3))
    identity = np.eye(3)
    for bone, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        local = pose.get(name, identity)
        offset = joints[bone] - local @ joints[bone]
        if parent < 0:
            rotations[bone], translations[bone] = local, offset
        else:
            rotations[bone] = rotations[parent] @ local
            translations[bone] = rotations[parent] @ offset + translations[parent]
    return rotations, translations


def skin(
    vertices: NDArray[Any], weights: SkinWeights, rotations: NDArray[Any], translations: NDArray[Any]
) -> NDArray[Any]:
    """Linear blend skinning of (V, 3) vertices by the motions of :func:`forward_kinematics`."""
    blended = np.einsum("vk,vkij->vij", weights.weights, rotations[weights.bones])
    shift = np.einsum("vk,vki->vi", weights.weights, translations[weights.bones])
    moved: NDArray[Any] = np.einsum("vij,vj->vi", blended, vertices) + shift
    return moved


def _y_up(points: NDArray[Any]) -> NDArray[Any]:
    """From anny's axes (z up, facing -y)."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1).astype(np.float64)
