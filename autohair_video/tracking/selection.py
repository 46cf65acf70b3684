"""Which of the bodies in a clip is its subject, and what the user forces in or out of the matte.

The bodies that are not wanted are taken out of the probabilities, before the trimap; what surely is one
of them is kept out of alpha too. Keep and drop mattes bound alpha the same way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.options import SubjectOptions
from autohair_video.tracking.appearance import Labels, Map, Mask, distance_to, nearest_label
from autohair_video.tracking.tracker import Tracks, merge_into_nearest_track, prune, update_tracks

# Pixels of the probability map beyond the subject, from which on another body is out for sure.
_MARGIN_PX: Final = 3
_SURE: Final = 0.5
# Absences shorter than this are not worth a word.
_LOST_AFTER_S: Final = 0.5


@dataclass(frozen=True)
class SubjectPrompt:
    """What the user says of one clip.

    ``mask`` is the subject at the time that the options name; ``keep`` and ``drop`` are shares of each
    pixel that are surely in and surely out. All are (1, 1, H, W) float in 0..1 at the frame's size.
    ``begin_s``: the time of the clip's frames from which the options' time is counted.
    """

    subject: SubjectOptions = field(default_factory=SubjectOptions)
    mask: Tensor | None = None
    keep: Tensor | None = None
    drop: Tensor | None = None
    begin_s: Fraction = Fraction(0)

    def to(self, device: torch.device) -> SubjectPrompt:
        """The same on a device."""
        mask, keep, drop = (x if x is None else x.to(device) for x in (self.mask, self.keep, self.drop))
        return replace(self, mask=mask, keep=keep, drop=drop)


@dataclass(frozen=True)
class SubjectState:
    """What one frame hands to the next: all bodies, and the names of those that are kept.

    ``chosen``: whether the choice is final. ``lost_s``: since when none of the kept is seen.
    ``http_error_response``: whether that has been told.
    """

    bodies: Tracks
    kept: tuple[int, ...] = ()
    chosen: bool = False
    lost_s: float | None = None
    told: bool = False


class SelectedProbability(NamedTuple):
    """The subject's probabilities and what goes with them.

    ``seen`` (N, 2, h, w); ``others`` (N, 1, h, w) float in 0..1 is what surely is another body; the
    state after the last frame; and a line for each thing to know.
    """

    seen: Tensor
    others: Tensor | None = None
    state: SubjectState | None = None
    notices: tuple[str, ...] = ()


def select_subject(
    seen: Tensor,
    pictures: Tensor,
    times_s: Sequence[Fraction],
    guide: SubjectPrompt,
    state: SubjectState | None,
) -> SelectedProbability:
    """The probabilities with only the chosen bodies left in.

    A choice by place holds from its time on; until then the body nearest to the place is kept.
    ``largest`` and a count are chosen where bodies first appear, and anew when they are lost.

    Args:
        seen: (N, 2, h, w) float in 0..1, person and hair, in time order.
        pictures: (N, 3, H, W) uint8 RGB.
        times_s: time of each frame in seconds, on the clip's own clock.
        guide: the choice; not of all.
        state: after the frame before; None at the start.
    """
    size = (pictures.shape[2], pictures.shape[3])
    small = F.adaptive_avg_pool2d(pictures.float(), (seen.shape[2], seen.shape[3])).round().to(torch.uint8)
    allowed = _allowed(guide, (seen.shape[2], seen.shape[3]))
    weights, others, notices = [], [], []
    since_s = [float(time_s - guide.begin_s) for time_s in times_s]
    persons = seen[:, 0].float().cpu().numpy()
    views = small.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    for person, pixels, time_s in zip(persons, views, since_s, strict=True):
        likely = person * allowed
        state = _followed(state, update_tracks(state.bodies if state else None, likely, pixels, time_s))
        state, lines = _told(_choose(state, guide, size, time_s), time_s)
        state = replace(state, bodies=prune(state.bodies, state.kept))
        weight, other = _parts(state, likely)
        weights.append(weight)
        others.append(other)
        notices += lines
    assert state is not None
    wanted, unwanted = (torch.from_numpy(np.stack(x))[:, None].to(seen) for x in (weights, others))
    return SelectedProbability(seen * wanted, unwanted, state, tuple(notices))


def merge_selected(seen: Tensor, keep: Tensor | None) -> Tensor:
    """Probabilities (N, 2, h, w) that see a person wherever the user keeps what is there."""
    if keep is None:
        return seen
    size = (seen.shape[2], seen.shape[3])
    small = F.interpolate(keep, size, mode="bilinear", align_corners=False, antialias=True)
    return torch.cat([torch.maximum(seen[:, :1], small), seen[:, 1:]], dim=1)


def limit_alpha(alpha: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """Alpha (N, 1, H, W) held between a matte of what is in and one of what may be in, where given."""
    alpha = alpha if low is None else torch.maximum(alpha, low)
    return alpha if high is None else torch.minimum(alpha, high)


def upper_limit(drop: Tensor | None, others: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    """What alpha may be at most, for frames of ``size``; None where nothing is dropped."""
    if others is not None:
        grown = F.interpolate(others, size, mode="bilinear", align_corners=False)
        drop = grown if drop is None else torch.maximum(grown, drop)
    return None if drop is None else 1 - drop


def _allowed(guide: SubjectPrompt, size: tuple[int, int]) -> Map:
    """(h, w): 1 where bodies may be, 0 where the user drops what there is."""
    if guide.drop is None:
        return np.ones(size, np.float32)
    return 1 - F.adaptive_avg_pool2d(guide.drop, size)[0, 0].cpu().numpy()


def _followed(state: SubjectState | None, bodies: Tracks) -> SubjectState:
    """The state with the bodies of the next frame; who is kept stays so under another name."""
    if state is None:
        return SubjectState(bodies)
    names = dict(bodies.renamed)
    kept = dict.fromkeys(names.get(name, name) for name in state.kept)
    return replace(state, bodies=bodies, kept=tuple(kept))


def _choose(state: SubjectState, guide: SubjectPrompt, size: tuple[int, int], time_s: float) -> SubjectState:
    options = guide.subject
    labels = state.bodies.labels.numpy()
    if options.choice == "largest":
        held = [name for name in state.kept if name in state.bodies.present]
        kept = state.kept if state.lost_s is None or not state.told else tuple(held)
        areas = np.bincount(labels.ravel())
        areas[[0, *(name for name in kept if name < len(areas))]] = 0
        free = [int(name) for name in np.argsort(-areas) if areas[name]]
        return replace(state, kept=(*kept, *free[: max(0, options.count - len(kept))]), chosen=True)
    if state.chosen or not labels.any():
        return state
    due = time_s >= options.at_s
    if options.choice == "mask" and due:
        return _choose_mask(state, _small_mask(guide, labels.shape), time_s)
    if options.choice == "mask":
        name = _most_overlap(labels, _small_mask(guide, labels.shape))
    else:
        scale = (labels.shape[1] / size[1], labels.shape[0] / size[0])
        place = [value * scale[i % 2] for i, value in enumerate(options.place)]
        name = (
            _at_point(labels, *place)
            if options.choice == "point"
            else _most_overlap(labels, _box(labels, *place))
        )
    return replace(state, kept=(name,), chosen=due)


def _choose_mask(state: SubjectState, mask: Mask, time_s: float) -> SubjectState:
    """What the mask covers of the bodies becomes a body of its own."""
    labels = state.bodies.labels.numpy()
    inside = mask & (labels > 0)
    if not inside.any():
        return replace(state, kept=(_most_overlap(labels, mask),), chosen=True)
    bodies, name = merge_into_nearest_track(state.bodies, inside, time_s)
    return replace(state, bodies=bodies, kept=(name,), chosen=True)


def _small_mask(guide: SubjectPrompt, size: tuple[int, ...]) -> Mask:
    assert guide.mask is not None
    small: Map = F.adaptive_avg_pool2d(guide.mask, (size[0], size[1]))[0, 0].cpu().numpy()
    return small > _SURE


def _at_point(labels: Labels, x: float, y: float) -> int:
    """The body at a point, or the nearest to it."""
    height, width = labels.shape
    return int(nearest_label(labels)[min(int(y), height - 1), min(int(x), width - 1)])


def _box(labels: Labels, x: float, y: float, width: float, height: float) -> Mask:
    mask = np.zeros(labels.shape, bool)
    mask[int(y) : int(np.ceil(y + height)), int(x) : int(np.ceil(x + width))] = True
    return mask


def _most_overlap(labels: Labels, mask: Mask) -> int:
    """The body that fits a mask best (intersection over union), or the nearest to it."""
    inside, areas = np.bincount(labels[mask], minlength=labels.max() + 1), np.bincount(labels.ravel())
    inside[0] = 0
    if inside.any():
        return int(np.argmax(inside / np.maximum(areas + mask.sum() - inside, 1)))
    away = np.where(labels > 0, distance_to(mask), np.inf)
    return int(labels.ravel()[np.argmin(away)])


def _told(state: SubjectState, time_s: float) -> tuple[SubjectState, list[str]]:
    """Keeps count of the subject's absence, with the lines that tell of it."""
    if not state.kept:
        return state, []
    if state.bodies.present & set(state.kept):
        lines = [f"the subject is seen again at {time_s:.2f} s"] if state.told else []
        return replace(state, lost_s=None, told=False), lines
    lost_s = time_s if state.lost_s is None else state.lost_s
    if state.told or time_s - lost_s < _LOST_AFTER_S:
        return replace(state, lost_s=lost_s), []
    line = f"the subject is lost from {lost_s:.2f} s on: nothing is kept until it is seen again"
    return replace(state, lost_s=lost_s, told=True), [line]


def _parts(state: SubjectState, person: Map) -> tuple[Map, Map]:
    """The subject's share of each pixel's probability, and where surely another body is."""
    labels = state.bodies.labels.numpy()
    mine = np.isin(labels, state.kept)
    weight = np.isin(nearest_label(labels), state.kept)
    sure = (labels > 0) & ~mine & (person > _SURE) & (distance_to(mine) > _MARGIN_PX)
    return weight.astype(np.float32), sure.astype(np.float32)
