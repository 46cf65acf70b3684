"""Multi-person tracking in the segmenter's probabilities, with re-identification.

Detections are connected regions of person probability above 0.5. From frame to frame a track keeps its id by
overlap along optical flow. Tracks that touch share one region: each of its pixels is assigned by silhouette,
warped label and colour (`appearance`). A track lost by occlusion, by leaving the frame or at a cut is
re-identified by its colour histogram.
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
    LIMB_AREA,
    Image,
    Labels,
    Map,
    Mask,
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

# Person probability above which a pixel belongs to a region. Unit: probability. Source: the more likely
# class.
PERSON_THRESHOLD: Final = 0.5
# Smallest area of a region. Unit: of the image. Source: by eye.
MIN_PERSON_AREA: Final = 2e-4
# Smallest area of a region relative to the largest one. Unit: of its area. Source: by eye.
MIN_RELATIVE_AREA: Final = 4e-3
# A track claims a region that holds this fraction of its warped label. Unit: of the label's area. Source: by
# eye.
_CLAIM_TRACK_FRACTION: Final = 0.05
# A track claims a region of which its warped label covers this fraction. Unit: of the region's area.
# Source: by eye.
_CLAIM_REGION_FRACTION: Final = 0.5
# Distance below which a small component is attached to a track as a detached limb. Unit: of the track's size.
# Source: by eye.
_LIMB_REACH: Final = 0.15
# Update rate of the histogram of an established track. Unit: per frame. Source: by eye.
_APPEARANCE_RATE: Final = 0.05
# Update rate of the histogram of a new track. Unit: per frame. Source: by eye.
_NEW_APPEARANCE_RATE: Final = 0.3
# Age up to which a track is new and may be re-identified. Unit: s. Source: by eye.
_NEW_TRACK_S: Final = 2.0
# Update rate of the velocity of a track alone in its region. Unit: per frame. Source: by eye.
_VELOCITY_RATE: Final = 0.5
# Update rate of the velocity in a shared region. Unit: per frame. Source: by eye.
_OCCLUDED_VELOCITY_RATE: Final = 0.1
# Mean difference of a frame and the warped previous one above which a scene cut is assumed. Unit: of 255.
# Source: by eye.
_CUT_LEVELS: Final = 28.0
# Tracks remembered besides those that are present or selected. Unit: count. Source: by eye.
_MAX_TRACKS: Final = 24


@dataclass(frozen=True)
class Tracks:
    """All tracks at a frame.

    ``labels`` (h, w) int32 holds track ids, 0 where there is no person; ``image`` (h, w, 3) uint8 is the
    frame at that size in R'G'B'. ``known``: present and remembered tracks. ``reidentified``: for each new
    track that this frame identifies as an earlier one, its provisional id and the earlier id.
    """

    labels: Tensor
    image: Tensor
    known: tuple[Track, ...] = ()
    reidentified: tuple[tuple[int, int], ...] = ()

    @property
    def present(self) -> frozenset[int]:
        """Ids of the tracks in this frame."""
        return frozenset(torch.unique(self.labels[self.labels > 0]).tolist())


def update_tracks(
    before: Tracks | None, person: Map, image: Image, time_s: float, *, is_cut: bool | None = None
) -> Tracks:
    """The tracks of a frame, associated with those of the previous frame.

    Args:
        before: result for the previous frame; None at the start.
        person: (h, w) float32 probability in 0..1.
        image: (h, w, 3) uint8 R'G'B'.
        time_s: time of the frame in seconds.
        is_cut: whether a scene starts at the frame; None: detected here.
    """
    regions, colours = _find_regions(person), colour_index(image)
    warped, flow = _warp_labels(before, image, is_cut)
    known = {track.track_id: _predict(track, warped, flow) for track in before.known} if before else {}
    labels = _inherit(regions, warped, colours, known)
    for region in range(1, regions.max() + 1):
        inside = regions == region
        if not labels[inside].any():
            _start_or_reidentify_track(inside, labels, colours, known, time_s)
    labels = _fix_id_switch(labels, known, regions, colours)
    known = _update_appearance(known, labels, regions, colours, time_s)
    labels, known, reidentified = _reidentify(labels, known, time_s)
    return Tracks(torch.from_numpy(labels), torch.from_numpy(image), tuple(known.values()), reidentified)


def prune(tracks: Tracks, selected: Collection[int]) -> Tracks:
    """The tracks without the least recently seen ones, which bounds memory.

    Tracks in ``selected`` and in the frame stay.
    """
    held = tracks.present | set(selected)
    others = sorted((b.last_seen_s, b.track_id) for b in tracks.known if b.track_id not in held)
    gone = {track_id for _, track_id in others[: max(0, len(tracks.known) - _MAX_TRACKS)]}
    return replace(tracks, known=tuple(track for track in tracks.known if track.track_id not in gone))


def add_track(tracks: Tracks, inside: Mask, time_s: float) -> tuple[Tracks, int]:
    """The tracks with a new one, which takes over the pixels of ``inside``, and its id."""
    colours = colour_index(tracks.image.numpy())
    labels = tracks.labels.numpy().copy()
    track_id = max((track.track_id for track in tracks.known), default=0) + 1
    occluding_ids = tuple(np.unique(labels[inside & (labels > 0)]).tolist())
    labels[inside] = track_id
    known = [
        replace(track, occluding_ids=(*track.occluding_ids, track_id))
        if track.track_id in occluding_ids
        else track
        for track in tracks.known
    ]
    known.append(new_track(track_id, inside, colours, time_s, occluding_ids))
    return replace(tracks, labels=torch.from_numpy(labels), known=tuple(known)), track_id


def _find_regions(person: Map) -> Labels:
    """Connected regions numbered from 1 by decreasing area, without specks."""
    likely = (person > PERSON_THRESHOLD).astype(np.uint8)
    _, regions, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=4)
    areas = stats[:, cv2.CC_STAT_AREA].copy()
    areas[0] = 0
    min_area = max(1.0, MIN_PERSON_AREA * person.size, MIN_RELATIVE_AREA * areas.max())
    order = [index for index in np.argsort(-areas) if areas[index] >= min_area]
    ids = np.zeros(len(areas), np.int32)
    ids[order] = np.arange(1, len(order) + 1)
    numbered: Labels = ids[regions]
    return numbered


def _warp_labels(before: Tracks | None, image: Image, is_cut: bool | None) -> tuple[Labels, Map]:
    """The labels of the previous frame, warped along optical flow, and the backward flow (h, w, 2).

    After a cut the labels are empty.
    """
    height, width = image.shape[:2]
    flow = np.zeros((height, width, 2), np.float32)
    if before is None or is_cut:
        return np.zeros((height, width), np.int32), flow
    last = before.image.numpy()
    gray_now, gray_last = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY) for p in (image, last))
    if min(height, width) >= 16:
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = np.asarray(dis.calc(gray_now, gray_last, flow), np.float32)
    coordinates = np.dstack(np.meshgrid(np.arange(width), np.arange(height))).astype(np.float32) + flow
    x, y = coordinates[..., 0], coordinates[..., 1]
    if is_cut is None:
        warped_image = cv2.remap(last, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        if np.abs(warped_image.astype(np.int16) - image).mean() > _CUT_LEVELS:
            return np.zeros((height, width), np.int32), flow
    labels = cv2.remap(before.labels.numpy().astype(np.float32), x, y, cv2.INTER_NEAREST)
    return np.asarray(labels, np.float32).astype(np.int32), flow


def _predict(track: Track, warped: Labels, flow: Map) -> Track:
    """The track at its predicted position, from the median flow of its label.

    In a shared region the velocity is updated slowly, as the flow of one person leaks into the other.
    """
    inside = warped == track.track_id
    if not inside.any():
        return replace(track, displacement_px=_sum(track.displacement_px, track.velocity_px))
    step = -np.median(flow[inside], axis=0)
    rate = _OCCLUDED_VELOCITY_RATE if track.occluding_ids else _VELOCITY_RATE
    velocity = _sum(track.velocity_px, (step - track.velocity_px) * rate)
    return replace(track, velocity_px=velocity, displacement_px=_sum(track.displacement_px, velocity))


def _sum(one: Iterable[float], other: Iterable[float]) -> tuple[float, float]:
    x, y = (float(a + b) for a, b in zip(one, other, strict=True))
    return x, y


def _inherit(regions: Labels, warped: Labels, colours: Labels, known: dict[int, Track]) -> Labels:
    """Labels of the regions claimed by tracks of the previous frame; 0 elsewhere."""
    claims = _claims(regions, warped)
    claimed = set().union(*claims.values())
    labels = np.zeros_like(regions)
    shared = []
    for region, track_ids in claims.items():
        occluded = [
            track.track_id
            for track in known.values()
            if track.track_id not in claimed and track_ids & set(track.occluding_ids)
        ]
        candidates = [known[track_id] for track_id in (*sorted(track_ids), *occluded)]
        inside = regions == region
        if len(candidates) == 1 and is_another(inside, candidates[0], colours):
            continue
        alone = candidates[0] if len(candidates) == 1 else isolated_track(inside, candidates, colours)
        if alone is None:
            shared.append(region)
            labels[inside] = share_region(inside, candidates, warped, colours)
        else:
            labels[inside] = alone.track_id
    present = np.unique(labels[labels > 0]).tolist()
    home_regions = {track_id: int(np.bincount(regions[labels == track_id]).argmax()) for track_id in present}
    for region in shared:
        _restrict_to_home_tracks(regions == region, region, labels, home_regions)
    return labels


def _restrict_to_home_tracks(
    inside: Mask, region: int, labels: Labels, home_regions: Mapping[int, int]
) -> None:
    """Reassigns pixels of a shared region to the tracks with most of their area in it."""
    track_ids = np.unique(labels[inside])
    at_home = [track_id for track_id in track_ids if home_regions[track_id] == region]
    if at_home and len(at_home) < len(track_ids):
        labels[inside] = nearest_label(np.where(inside & np.isin(labels, at_home), labels, 0))[inside]


def _claims(regions: Labels, warped: Labels) -> dict[int, set[int]]:
    """Ids of the tracks that claim each region; unclaimed regions are left out."""
    claims: dict[int, set[int]] = {}
    counts = np.bincount(warped.ravel())
    sizes = np.bincount(regions.ravel())
    for track_id in np.flatnonzero(counts[1:]) + 1:
        overlaps = np.bincount(regions[warped == track_id], minlength=len(sizes))
        for region in np.flatnonzero(overlaps[1:]) + 1:
            if (
                overlaps[region] >= _CLAIM_TRACK_FRACTION * counts[track_id]
                or overlaps[region] >= _CLAIM_REGION_FRACTION * sizes[region]
            ):
                claims.setdefault(int(region), set()).add(int(track_id))
    return claims


def _start_or_reidentify_track(
    inside: Mask, labels: Labels, colours: Labels, known: dict[int, Track], time_s: float
) -> None:
    """Labels an unclaimed region: a detached limb of a nearby track, a re-identified track, or a new one."""
    appearance, area = appearance_histogram(inside, colours), float(inside.sum())
    present = set(np.unique(labels[labels > 0]).tolist())
    for track_id in present:
        size = float((labels == track_id).sum())
        distance_px = distance_to(labels == track_id)[inside].min()
        if area < LIMB_AREA * size and distance_px < _LIMB_REACH * np.sqrt(size):
            labels[inside] = track_id
            return
    matched = most_similar(appearance, (track for track in known.values() if track.track_id not in present))
    if matched is None:
        matched = max(known, default=0) + 1
        known[matched] = new_track(matched, inside, colours, time_s)
    labels[inside] = matched


def _fix_id_switch(labels: Labels, known: dict[int, Track], regions: Labels, colours: Labels) -> Labels:
    """Swaps the ids of two tracks that have separated if their histograms then agree better."""
    present = np.unique(labels[labels > 0]).tolist()
    for one, other in (
        (known[a], known[b]) for a in present for b in known[a].occluding_ids if a < b in present
    ):
        here, there = labels == one.track_id, labels == other.track_id
        if set(np.unique(regions[here])) & set(np.unique(regions[there])):
            continue
        histograms = appearance_histogram(here, colours), appearance_histogram(there, colours)
        as_is = bhattacharyya(one.appearance, histograms[0]) + bhattacharyya(other.appearance, histograms[1])
        swapped = bhattacharyya(one.appearance, histograms[1]) + bhattacharyya(
            other.appearance, histograms[0]
        )
        if swapped > as_is:
            labels = np.where(here, np.int32(other.track_id), np.where(there, np.int32(one.track_id), labels))
    return labels


def _update_appearance(
    known: dict[int, Track], labels: Labels, regions: Labels, colours: Labels, time_s: float
) -> dict[int, Track]:
    """The tracks with this frame's time and occlusions; without occlusion also histogram and silhouette."""
    updated = dict(known)
    for track_id in np.unique(labels[labels > 0]).tolist():
        track, inside = known[track_id], labels == track_id
        own = np.isin(regions, np.unique(regions[inside]))
        occluding_ids = tuple(sorted(set(np.unique(labels[own]).tolist()) - {0, track_id}))
        occluded = [
            other.track_id
            for other in known.values()
            if not (labels == other.track_id).any() and track_id in other.occluding_ids
        ]
        track = replace(track, last_seen_s=time_s, occluding_ids=occluding_ids)
        if not occluding_ids and not occluded:
            rate = _NEW_APPEARANCE_RATE if time_s - track.first_seen_s < _NEW_TRACK_S else _APPEARANCE_RATE
            appearance = torch.lerp(track.appearance, appearance_histogram(inside, colours), rate)
            track = replace(
                track, appearance=appearance, silhouette=torch.from_numpy(inside), displacement_px=(0.0, 0.0)
            )
        updated[track_id] = track
    return updated


def _reidentify(
    labels: Labels, known: dict[int, Track], time_s: float
) -> tuple[Labels, dict[int, Track], tuple[tuple[int, int], ...]]:
    """Gives a new track the id of a similar lost one; also returns both ids."""
    present, reidentified = set(np.unique(labels[labels > 0]).tolist()), []
    for track_id in sorted(present):
        track = known[track_id]
        lost = (
            b for b in known.values() if b.track_id not in present and b.first_seen_s < track.first_seen_s
        )
        if 0 < time_s - track.first_seen_s < _NEW_TRACK_S:
            matched = most_similar(track.appearance, lost)
            if matched is not None:
                labels = np.where(labels == track_id, np.int32(matched), labels)
                known = {k: b for k, b in known.items() if k != track_id}
                known[matched] = replace(
                    known[matched], last_seen_s=time_s, occluding_ids=track.occluding_ids
                )
                present = (present - {track_id}) | {matched}
                reidentified.append((track_id, matched))
    return labels, known, tuple(reidentified)
