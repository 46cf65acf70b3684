"""Hair as strands: a few hundred guides grow under gravity, wind and style; the others follow them.

Positions are in metres. Strands start on the scalp of the base mesh; guides are kept outside head, trunk and
clothes by their nearest points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autohair_video.training.synthetic.people.body import BodyModel
from autohair_video.training.synthetic.people.meshes import vertex_normals

HairStyle = Literal["bald", "short", "loose", "ponytail", "afro"]
_SEGMENTS: Final = 14
_GUIDES: Final = 260
_CLEARANCE: Final = 0.006


@dataclass(frozen=True)
class HairSpec:
    """A hairdo.

    Attributes:
        style: ``bald`` has none.
        length: of a strand in metres.
        curl: 0 (straight) to 1 (tight curls).
        volume: 0 (flat) to 1 (standing away from the head).
        part: sideways position of the parting, -0.6 to 0.6 of the head's half width.
        hairline: how far the forehead reaches up, 0 to 0.5.
        wind: (x, y, z) pull on the strands, against gravity of length 1.
        strands: number of them.
        radius: of a strand at its root in metres.
        colour: linear RGB of the hair.
        frizz: 0 to 1, how far single strands stray.
    """

    style: HairStyle
    length: float
    curl: float
    volume: float
    part: float
    hairline: float
    wind: tuple[float, float, float]
    strands: int
    radius: float
    colour: tuple[float, float, float]
    frizz: float


@dataclass(frozen=True)
class Head:
    """Where hair grows.

    Attributes:
        scalp: (F, 3) int64 faces of the base mesh.
        position: (V, 3) vertices in the head's box, -1 to 1.
        rotation: (3, 3), of the head against its rest.
    """

    scalp: NDArray[Any]
    position: NDArray[Any]
    rotation: NDArray[Any]


def find_scalp(body: BodyModel, rest: NDArray[Any], rotations: NDArray[Any], hairline: float) -> Head:
    """Faces behind the hairline and above the neck, without the ears."""
    head = body.skeleton.index("head")
    skin = body.mesh.faces["body"]
    share = body.weights.of([head])
    of_head = np.unique(skin[(share[skin] > 0.5).all(axis=1)])
    low, high = rest[of_head].min(axis=0), rest[of_head].max(axis=0)
    position = (rest - (low + high) / 2) / ((high - low) / 2)
    x, y, z = position[skin].mean(axis=1).T
    behind = y > 0.38 + hairline + 0.42 * z - 0.3 * (z < -0.2)
    ears = (np.abs(x) > 0.86) & (y < 0.35)
    return Head(skin[(share[skin] > 0.3).all(axis=1) & behind & ~ears], position, rotations[head])


def grow(
    spec: HairSpec,
    head: Head,
    posed: NDArray[Any],
    obstacles: tuple[NDArray[Any], NDArray[Any]],
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Strands as (S, 16, 3) points from root to tip, all inside the scalp by their first point.

    Args:
        spec: the hairdo.
        head: from :func:`find_scalp`.
        posed: (V, 3) vertices of the base mesh in the pose.
        obstacles: (P, 3) points and (P, 3) unit normals that strands stay outside of.
        rng: decides roots and strays; the same state gives the same hairdo in every pose.
    """
    normals = vertex_normals(posed, head.scalp)
    faces, weights = _roots(posed, head.scalp, spec.strands + _GUIDES, rng)
    root = np.einsum("nk,nkj->nj", weights, posed[faces])
    outward = np.einsum("nk,nkj->nj", weights, normals[faces])
    outward = outward / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-9)
    place = np.einsum("nk,nkj->nj", weights, head.position[faces])
    guides = _grow_guides(
        spec, head.rotation, root[:_GUIDES], outward[:_GUIDES], place[:_GUIDES], obstacles, rng
    )
    return _follow(spec, guides, root[:_GUIDES], root[_GUIDES:], outward[_GUIDES:], rng)


def _roots(
    posed: NDArray[Any], scalp: NDArray[Any], count: int, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Random points on the scalp: (N, 3) vertices of their faces and (N, 3) barycentric weights."""
    corners = posed[scalp]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    # Areas change a little with the pose; the choice of faces must not, so uniform variates are mapped.
    chosen = np.searchsorted(np.cumsum(area) / area.sum(), rng.random(count)).clip(0, len(scalp) - 1)
    pair = rng.random((count, 2))
    pair = np.where(pair.sum(axis=1, keepdims=True) > 1, 1 - pair, pair)
    return scalp[chosen], np.stack([1 - pair.sum(axis=1), pair[:, 0], pair[:, 1]], axis=1)


def _grow_guides(
    spec: HairSpec,
    rotation: NDArray[Any],
    root: NDArray[Any],
    outward: NDArray[Any],
    place: NDArray[Any],
    obstacles: tuple[NDArray[Any], NDArray[Any]],
    rng: np.random.Generator,
) -> NDArray[Any]:
    """(G, 16, 3) guides, grown segment by segment."""
    count = len(root)
    tree = cKDTree(obstacles[0])
    step = spec.length * rng.uniform(0.75, 1.1, (count, 1)) / _SEGMENTS
    direction = _unit(
        _combed(spec, place) @ rotation.T
        + outward * (0.15 + (2.0 if spec.style == "afro" else 0.7) * spec.volume)
    )
    direction = _unit(direction + rng.normal(0, 0.12, (count, 3)))
    pull = np.array([0.0, -1.0, 0.0]) + np.array(spec.wind)
    stiffness = 1.0 if spec.style == "afro" else min(0.95, 0.025 / spec.length)
    phase = rng.uniform(0, 2 * np.pi, count)
    points = [root - outward * 0.002, root + outward * 0.001]
    here = points[-1].copy()
    knot = root.mean(axis=0) + rotation @ np.array([0.0, 0.01, -0.12])
    for segment in range(_SEGMENTS):
        share = segment / _SEGMENTS
        direction = direction + pull * (0.25 + 0.6 * share) * (1 - stiffness)
        if spec.style == "ponytail" and share < 0.45:
            direction = _unit(direction) * 0.4 + 1.5 * _unit(knot - here)
        if spec.curl:
            turn = phase + segment * (1.0 + 0.8 * spec.curl)
            swirl = np.stack([np.sin(turn), 0.3 * np.cos(2 * turn), np.cos(turn)], axis=1)
            direction = direction + spec.curl * 0.6 * swirl
        direction = _unit(direction + rng.normal(0, 0.06, (count, 3)))
        here = _outside(here + direction * step, obstacles, tree, spec.volume * min(1.0, 3 * share))
        points.append(here.copy())
    return np.stack(points, axis=1)


def _combed(spec: HairSpec, place: NDArray[Any]) -> NDArray[Any]:
    """Directions along the scalp, away from the parting and to the back."""
    side = np.clip((place[:, 0] - spec.part) * 2.2, -1, 1)
    front = np.clip(place[:, 2] + 0.1, 0, 1)
    low = place[:, 1] < 0.5
    return np.stack([side * (0.35 + 0.55 * front), -0.35 - 0.25 * low, -0.55 - 0.1 * front], axis=1)


def _outside(
    points: NDArray[Any], obstacles: tuple[NDArray[Any], NDArray[Any]], tree: Any, volume: float
) -> NDArray[Any]:
    """Push points out of the surface nearest to them."""
    distance, nearest = tree.query(points)
    normal = obstacles[1][nearest]
    above = ((points - obstacles[0][nearest]) * normal).sum(axis=1)
    wanted = _CLEARANCE + 0.012 * volume
    push = np.where(distance < 0.05, np.clip(wanted - above, 0, 0.03), 0.0)
    moved: NDArray[Any] = points + normal * push[:, None]
    return moved


def _follow(
    spec: HairSpec,
    guides: NDArray[Any],
    guide_root: NDArray[Any],
    root: NDArray[Any],
    outward: NDArray[Any],
    rng: np.random.Generator,
) -> NDArray[Any]:
    """Strands between the guides: the mean of the three nearest near the root, the nearest at the tip."""
    distance, nearest = cKDTree(guide_root).query(root, k=3)
    weights = 1 / (distance + 1e-4)
    weights = weights / weights.sum(axis=1, keepdims=True)
    shapes = guides - guide_root[:, None]
    mean = np.einsum("nk,nkpj->npj", weights, shapes[nearest])
    share = np.linspace(0, 1, guides.shape[1])[None, :, None]
    clumped = guides[nearest[:, 0]]
    strands = (root[:, None] + mean) * (1 - 0.6 * share) + clumped * 0.6 * share
    stray = np.cumsum(rng.normal(0, 1, (len(root), guides.shape[1], 3)), axis=1)
    wild = np.where(rng.random((len(root), 1, 1)) < 0.01 + 0.05 * spec.frizz, 3.0, 1.0)
    strands = strands + stray * wild * share * (0.0012 + 0.004 * spec.frizz) * min(1.0, spec.length / 0.2)
    shorter = rng.uniform(0.7, 1.0, (len(root), 1, 1))
    strands = strands[:, :1] + (strands - strands[:, :1]) * shorter
    strands[:, 0] = root - outward * 0.002
    grown: NDArray[Any] = strands
    return grown


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    unit: NDArray[Any] = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return unit
