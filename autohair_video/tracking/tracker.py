"""Tracks in the segmenter's probabilities, told apart and followed through a clip.

A body is a connected region that is more likely person than not. From frame to frame it keeps its
name by overlap along optical flow. Tracks that come to touch share one region: each pixel then goes
to the body whose last shape is near and whose colours it has (`looks`). A body that went behind
another one, out of the picture or over a cut is known again by its colours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from autohair_video.tracking.appearance import (
    PART_AREA,
    Labels,
    Map,
    Mask,
    Picture,
    Track,
    appearance_histogram,
    bhattacharyya,
    colour_index,
    distance_to,
    is_another,
    isolated_track,
    most_similar,
    nearest_label,
    new_track,
    share_region,
)

_MORE_LIKELY: Final = 0.5
# Shares of the picture, and of the largest region, under which a region is a speck.
_SMALLEST_BODY: Final = 5e-4
_SMALLEST_SHARE: Final = 4e-3
# A body claims a region that holds this share of what the body was, or of which it was this share.
_CLAIM_OF_BODY: Final = 0.05
_CLAIM_OF_REGION: Final = 0.5
# A small new region is a hand of a body if it is nearer than this share of its size.
_PART_REACH: Final = 0.15
# Share of a frame in what is known of a body's colours: of one seen for long, and of a newcomer.
_LEARN: Final = 0.05
_LEARN_YOUNG: Final = 0.3
_LEARNS_FOR_S: Final = 2.0
# Share of a frame's motion in a body's pace, where it stands alone and beside another.
_TURN_ALONE: Final = 0.5
_TURN_SHARED: Final = 0.1
# Mean difference of a frame and the last one, carried along the flow, above which it is another scene.
_CUT_LEVELS: Final = 28.0
_MOST_KNOWN: Final = 24


@dataclass(frozen=True)
class Tracks:
    """All bodies known at a frame.

    ``labels`` (h, w) int32 holds names, 0 where there is no body; ``picture`` (h, w, 3) uint8 is the
    frame at that size in R'G'B'. ``renamed``: for each newcomer that this frame shows to be a body known
    before, the name that it had and the name that is its own.
    """

    labels: Tensor
    picture: Tensor
    known: tuple[Track, ...] = ()
    renamed: tuple[tuple[int, int], ...] = ()

    @property
    def present(self) -> frozenset[int]:
        """Names of the bodies in this frame."""
        return frozenset(torch.unique(self.labels[self.labels > 0]).tolist())


def update_tracks(before: Tracks | None, person: Map, picture: Picture, time_s: float) -> Tracks:
    """The bodies of a frame, under the names that they had in the frame before.

    Args:
        before: result for the frame before; None at the start.
        person: (h, w) float32 probability in 0..1.
        picture: (h, w, 3) uint8 R'G'B'.
        time_s: time of the frame in seconds.
    """
    regions, colours = _find_regions(person), colour_index(picture)
    carried, flow = _carry(before, picture)
    known = {body.name: _moved(body, carried, flow) for body in before.known} if before else {}
    labels = _inherit(regions, carried, colours, known)
    for region in range(1, regions.max() + 1):
        inside = regions == region
        if not labels[inside].any():
            _welcome(inside, labels, colours, known, time_s)
    labels = _unswap(labels, known, regions, colours)
    known = _learn(known, labels, regions, colours, time_s)
    labels, known, renamed = _know_again(labels, known, time_s)
    return Tracks(torch.from_numpy(labels), torch.from_numpy(picture), tuple(known.values()), renamed)


def prune(bodies: Tracks, wanted: Collection[int]) -> Tracks:
    """The bodies without those that were last seen longest ago, so that no clip fills the memory.

    Those in ``wanted`` and those in the frame stay.
    """
    held = bodies.present | set(wanted)
    others = sorted((b.seen_s, b.name) for b in bodies.known if b.name not in held)
    gone = {name for _, name in others[: max(0, len(bodies.known) - _MOST_KNOWN)]}
    return replace(bodies, known=tuple(body for body in bodies.known if body.name not in gone))


def merge_into_nearest_track(bodies: Tracks, inside: Mask, time_s: float) -> tuple[Tracks, int]:
    """The bodies with one more, which takes over the pixels of ``inside``, and its name."""
    colours = colour_index(bodies.picture.numpy())
    labels = bodies.labels.numpy().copy()
    name = max((body.name for body in bodies.known), default=0) + 1
    beside = tuple(np.unique(labels[inside & (labels > 0)]).tolist())
    labels[inside] = name
    known = [
        replace(body, beside=(*body.beside, name)) if body.name in beside else body for body in bodies.known
    ]
    known.append(new_track(name, inside, colours, time_s, beside))
    return replace(bodies, labels=torch.from_numpy(labels), known=tuple(known)), name


def _find_regions(person: Map) -> Labels:
    """Connected regions numbered from 1, the largest first; specks are left out."""
    likely = (person > _MORE_LIKELY).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    least = max(1.0, _SMALLEST_BODY * person.size, _SMALLEST_SHARE * areas.max())
    order = [index for index in np.argsort(-areas) if areas[index] >= least]
    numbers = np.zeros(len(areas), np.int32)
    numbers[order] = np.arange(1, len(order) + 1)
    named: Labels = numbers[regions]
    return named


def _carry(before: Tracks | None, picture: Picture) -> tuple[Labels, Map]:
    """The labels of the frame before, moved along the optical flow, and the flow (h, w, 2).

    The flow leads from each pixel to where its surface was. After a cut there are no labels.
    """
    height, width = picture.shape[:2]
    flow = np.zeros((height, width, 2), np.float32)
    if before is None:
        return np.zeros((height, width), np.int32), flow
    last = before.picture.numpy()
    gray_now, gray_last = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (picture, last))
    if min(height, width) >= 16:
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = np.asarray(dis.calc(gray_now, gray_last, flow), np.float32)
    places = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32) + flow
    x, y = places[..., 0], places[..., 1]
    moved = cv2.remap(last, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if np.abs(moved.astype(np.int16) - picture).mean() > _CUT_LEVELS:
        return np.zeros((height, width), np.int32), flow
    labels = cv2.remap(before.labels.numpy().astype(np.float32), x, y, cv2.INTER_NEAREST)
    return np.asarray(labels, np.float32).astype(np.int32), flow


def _moved(body: Track, carried: Labels, flow: Map) -> Track:
    """The body gone on: alone by the median of its flow, else by its pace, which changes slowly.

    In a shared region the flow of one body is easily taken for that of the other.
    """
    inside = carried == body.name
    if not inside.any():
        return replace(body, moved_px=_sum(body.moved_px, body.pace_px))
    step = -np.median(flow[inside], axis=0)
    turn = _TURN_SHARED if body.beside else _TURN_ALONE
    pace = _sum(body.pace_px, (step - body.pace_px) * turn)
    return replace(body, pace_px=pace, moved_px=_sum(body.moved_px, pace))


def _sum(one: Iterable[float], other: Iterable[float]) -> tuple[float, float]:
    x, y = (float(a + b) for a, b in zip(one, other, strict=True))
    return x, y


def _inherit(regions: Labels, carried: Labels, colours: Labels, known: dict[int, Track]) -> Labels:
    """Names of the regions that bodies of the last frame claim; 0 elsewhere."""
    claims = _claims(regions, carried)
    claimed = set().union(*claims.values())
    labels = np.zeros_like(regions)
    shared = []
    for region, names in claims.items():
        hidden = [b.name for b in known.values() if b.name not in claimed and names & set(b.beside)]
        rivals = [known[name] for name in (*sorted(names), *hidden)]
        inside = regions == region
        if len(rivals) == 1 and is_another(inside, rivals[0], colours):
            continue
        alone = rivals[0] if len(rivals) == 1 else isolated_track(inside, rivals, colours)
        if alone is None:
            shared.append(region)
            labels[inside] = share_region(inside, rivals, carried, colours)
        else:
            labels[inside] = alone.name
    present = np.unique(labels[labels > 0]).tolist()
    homes = {name: int(np.bincount(regions[labels == name]).argmax()) for name in present}
    for region in shared:
        _part(regions == region, region, labels, homes)
    return labels


def _part(inside: Mask, region: int, labels: Labels, homes: Mapping[int, int]) -> None:
    """Leaves a shared region to those who are at home in it: what others have there is a mistake."""
    names = np.unique(labels[inside])
    at_home = [name for name in names if homes[name] == region]
    if at_home and len(at_home) < len(names):
        labels[inside] = nearest_label(np.where(inside & np.isin(labels, at_home), labels, 0))[inside]


def _claims(regions: Labels, carried: Labels) -> dict[int, set[int]]:
    """Which bodies each region may belong to; regions that none claims are left out."""
    claims: dict[int, set[int]] = {}
    counts = np.bincount(carried.ravel())
    sizes = np.bincount(regions.ravel())
    for name in np.flatnonzero(counts[1:]) + 1:
        shares = np.bincount(regions[carried == name], minlength=len(sizes))
        for region in np.flatnonzero(shares[1:]) + 1:
            if (
                shares[region] >= _CLAIM_OF_BODY * counts[name]
                or shares[region] >= _CLAIM_OF_REGION * sizes[region]
            ):
                claims.setdefault(int(region), set()).add(int(name))
    return claims


def _welcome(inside: Mask, labels: Labels, colours: Labels, known: dict[int, Track], time_s: float) -> None:
    """Names a region that no body claims: one that was hidden, a part of a body beside it, or new."""
    look, area = appearance_histogram(inside, colours), float(inside.sum())
    present = set(np.unique(labels[labels > 0]).tolist())
    for name in present:
        size = float((labels == name).sum())
        away = distance_to(labels == name)[inside].min()
        if area < PART_AREA * size and away < _PART_REACH * np.sqrt(size):
            labels[inside] = name
            return
    same = most_similar(look, (body for body in known.values() if body.name not in present))
    if same is None:
        same = max(known, default=0) + 1
        known[same] = new_track(same, inside, colours, time_s)
    labels[inside] = same


def _unswap(labels: Labels, known: dict[int, Track], regions: Labels, colours: Labels) -> Labels:
    """Where two bodies have parted, their colours tell who is who."""
    present = np.unique(labels[labels > 0]).tolist()
    for one, other in ((known[a], known[b]) for a in present for b in known[a].beside if a < b in present):
        here, there = labels == one.name, labels == other.name
        if set(np.unique(regions[here])) & set(np.unique(regions[there])):
            continue
        looks = appearance_histogram(here, colours), appearance_histogram(there, colours)
        as_is = bhattacharyya(one.look, looks[0]) + bhattacharyya(other.look, looks[1])
        swapped = bhattacharyya(one.look, looks[1]) + bhattacharyya(other.look, looks[0])
        if swapped > as_is:
            labels = np.where(here, np.int32(other.name), np.where(there, np.int32(one.name), labels))
    return labels


def _learn(
    known: dict[int, Track], labels: Labels, regions: Labels, colours: Labels, time_s: float
) -> dict[int, Track]:
    """What this frame tells of each body: its place and neighbours, and if it stands alone, its colours."""
    learnt = dict(known)
    for name in np.unique(labels[labels > 0]).tolist():
        body, inside = known[name], labels == name
        own = np.isin(regions, np.unique(regions[inside]))
        beside = tuple(sorted(set(np.unique(labels[own]).tolist()) - {0, name}))
        hidden = [b.name for b in known.values() if not (labels == b.name).any() and name in b.beside]
        body = replace(body, seen_s=time_s, beside=beside)
        if not beside and not hidden:
            pace = _LEARN_YOUNG if time_s - body.born_s < _LEARNS_FOR_S else _LEARN
            look = torch.lerp(body.look, appearance_histogram(inside, colours), pace)
            body = replace(body, look=look, shape=torch.from_numpy(inside), moved_px=(0.0, 0.0))
        learnt[name] = body
    return learnt


def _know_again(
    labels: Labels, known: dict[int, Track], time_s: float
) -> tuple[Labels, dict[int, Track], tuple[tuple[int, int], ...]]:
    """Gives a newcomer the name of a lost body once enough of it is seen to tell; also returns both names."""
    present, renamed = set(np.unique(labels[labels > 0]).tolist()), []
    for name in sorted(present):
        body = known[name]
        lost = (b for b in known.values() if b.name not in present and b.born_s < body.born_s)
        if 0 < time_s - body.born_s < _LEARNS_FOR_S:
            same = most_similar(body.look, lost)
            if same is not None:
                labels = np.where(labels == name, np.int32(same), labels)
                known = {k: b for k, b in known.items() if k != name}
                known[same] = replace(known[same], seen_s=time_s, beside=body.beside)
                present = (present - {name}) | {same}
                renamed.append((name, same))
    return labels, known, tuple(renamed)
