"""Subject selection among tracks, and garbage mattes (keep and drop).

Tracks that are not selected are removed from the probabilities, before the trimap, and where they are certain
also from alpha. Keep and drop mattes bound alpha in the same way.
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

from autohair_video.errors import OptionError
from autohair_video.options import SubjectOptions
from autohair_video.tracking.appearance import Labels, Map, Mask, distance_to, nearest_label
from autohair_video.tracking.tracker import Tracks, add_track, prune, update_tracks

# Distance from the subject beyond which another person is excluded from alpha. Unit: px of the probability
# map. Source: by eye.
_OTHER_MARGIN_PX: Final = 3
# Threshold of masks and of person probability. Unit: of 1. Source: the more likely class.
_CERTAIN: Final = 0.5
# Shorter absences of the subject are not reported. Unit: s. Source: by eye.
_LOST_AFTER_S: Final = 0.5


@dataclass(frozen=True)
class SubjectPrompt:
    """Point, box or mask prompt of a clip, and its garbage mattes.

    ``mask`` is the subject at the time of the options; ``keep`` and ``drop`` are the lower bound of alpha and
    of its complement. All are (1, 1, H, W) float in 0..1 at the size of the frame. ``begin_s``: the time of
    the clip from which the time of the options counts.
    """

    subject: SubjectOptions = field(default_factory=SubjectOptions)
    mask: Tensor | None = None
    keep: Tensor | None = None
    drop: Tensor | None = None
    begin_s: Fraction = Fraction(0)

    def to(self, device: torch.device) -> SubjectPrompt:
        """A copy on a device."""
        mask, keep, drop = (x if x is None else x.to(device) for x in (self.mask, self.keep, self.drop))
        return replace(self, mask=mask, keep=keep, drop=drop)


@dataclass(frozen=True)
class SubjectState:
    """State after a frame: all tracks, and the ids of the selected ones.

    ``is_final``: whether the selection is final. ``lost_s``: since when no selected track is present, and
    ``lost_reported`` whether a notice said so.
    """

    tracks: Tracks
    selected: tuple[int, ...] = ()
    is_final: bool = False
    lost_s: float | None = None
    lost_reported: bool = False


class SelectedProbability(NamedTuple):
    """Probabilities of the selected tracks.

    ``probability`` (N, 2, h, w); ``others`` (N, 1, h, w) float in 0..1 where certainly another person is;
    ``state`` after the last frame; ``notices`` for the user.
    """

    probability: Tensor
    others: Tensor | None = None
    state: SubjectState | None = None
    notices: tuple[str, ...] = ()


def select_subject(
    probability: Tensor,
    images: Tensor,
    times_s: Sequence[Fraction],
    prompt: SubjectPrompt,
    state: SubjectState | None,
    cuts: Sequence[bool] | None = None,
) -> SelectedProbability:
    """The probabilities of the selected tracks alone.

    A prompt by position is final from its time on; until then the nearest track is selected.
    ``largest`` and a count are selected when tracks first appear, and again when they are lost.

    Args:
        probability: (N, 2, h, w) float in 0..1, person and hair, in time order.
        images: (N, 3, H, W) uint8 RGB.
        times_s: time of each frame in seconds, on the clip's own clock.
        prompt: with a choice other than ``all``.
        state: after the previous frame; None at the start.
        cuts: of each frame, whether a scene starts there; None: detected by the tracker.

    Raises:
        OptionError: the choice is a mask, and ``prompt`` has none.
        ValueError: there are no frames.
    """
    size = (images.shape[2], images.shape[3])
    small = (
        F.adaptive_avg_pool2d(images.float(), (probability.shape[2], probability.shape[3]))
        .round()
        .to(torch.uint8)
    )
    allowed = _allowed(prompt, (probability.shape[2], probability.shape[3]))
    weights, others, notices = [], [], []
    since_s = [float(time_s - prompt.begin_s) for time_s in times_s]
    persons = probability[:, 0].float().cpu().numpy()
    views = small.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    is_cut = [None] * len(since_s) if cuts is None else cuts
    for person, pixels, time_s, cut in zip(persons, views, since_s, is_cut, strict=True):
        likely, before = person * allowed, state.tracks if state else None
        state = _with_tracks(state, update_tracks(before, likely, pixels, time_s, is_cut=cut))
        state, lines = _update_lost_status(_select_tracks(state, prompt, size, time_s), time_s)
        state = replace(state, tracks=prune(state.tracks, state.selected))
        weight, other = _split_probability(state, likely)
        weights.append(weight)
        others.append(other)
        notices += lines
    if state is None:
        raise ValueError("no frames to select the subject in")
    selected, unselected = (torch.from_numpy(np.stack(x))[:, None].to(probability) for x in (weights, others))
    return SelectedProbability(probability * selected, unselected, state, tuple(notices))


def merge_selected(probability: Tensor, keep: Tensor | None) -> Tensor:
    """Probabilities (N, 2, h, w) with the keep matte as a lower bound of person."""
    if keep is None:
        return probability
    size = (probability.shape[2], probability.shape[3])
    small = F.interpolate(keep, size, mode="bilinear", align_corners=False, antialias=True)
    return torch.cat([torch.maximum(probability[:, :1], small), probability[:, 1:]], dim=1)


def limit_alpha(alpha: Tensor, low: Tensor | None, high: Tensor | None) -> Tensor:
    """Alpha (N, 1, H, W) clamped between two mattes, where given."""
    alpha = alpha if low is None else torch.maximum(alpha, low)
    return alpha if high is None else torch.minimum(alpha, high)


def upper_limit(drop: Tensor | None, others: Tensor | None, size: tuple[int, int]) -> Tensor | None:
    """Upper bound of alpha for frames of ``size``; None where nothing is dropped."""
    if others is not None:
        upsampled = F.interpolate(others, size, mode="bilinear", align_corners=False)
        drop = upsampled if drop is None else torch.maximum(upsampled, drop)
    return None if drop is None else 1 - drop


def _allowed(prompt: SubjectPrompt, size: tuple[int, int]) -> Map:
    """(h, w): 1 where persons may be, 0 under the drop matte."""
    if prompt.drop is None:
        return np.ones(size, np.float32)
    return 1 - F.adaptive_avg_pool2d(prompt.drop, size)[0, 0].cpu().numpy()


def _with_tracks(state: SubjectState | None, tracks: Tracks) -> SubjectState:
    """The state with the tracks of the next frame; selected ids follow re-identification."""
    if state is None:
        return SubjectState(tracks)
    track_ids = dict(tracks.reidentified)
    selected = dict.fromkeys(track_ids.get(track_id, track_id) for track_id in state.selected)
    return replace(state, tracks=tracks, selected=tuple(selected))


def _select_tracks(
    state: SubjectState, prompt: SubjectPrompt, size: tuple[int, int], time_s: float
) -> SubjectState:
    options = prompt.subject
    labels = state.tracks.labels.numpy()
    if options.choice == "largest":
        visible = [track_id for track_id in state.selected if track_id in state.tracks.present]
        selected = state.selected if state.lost_s is None or not state.lost_reported else tuple(visible)
        areas = np.bincount(labels.ravel())
        areas[[0, *(track_id for track_id in selected if track_id < len(areas))]] = 0
        free = [int(track_id) for track_id in np.argsort(-areas) if areas[track_id]]
        return replace(
            state, selected=(*selected, *free[: max(0, options.count - len(selected))]), is_final=True
        )
    if state.is_final or not labels.any():
        return state
    is_due = time_s >= options.at_s
    if options.choice == "mask" and is_due:
        return _select_by_mask(state, _downsampled_mask(prompt, labels.shape), time_s)
    if options.choice == "mask":
        track_id = _most_overlap(labels, _downsampled_mask(prompt, labels.shape))
    else:
        scale = (labels.shape[1] / size[1], labels.shape[0] / size[0])
        position = [value * scale[i % 2] for i, value in enumerate(options.place)]
        track_id = (
            _at_point(labels, *position)
            if options.choice == "point"
            else _most_overlap(labels, _box(labels, *position))
        )
    return replace(state, selected=(track_id,), is_final=is_due)


def _select_by_mask(state: SubjectState, mask: Mask, time_s: float) -> SubjectState:
    """Splits the masked part of all tracks off as a track of its own."""
    labels = state.tracks.labels.numpy()
    inside = mask & (labels > 0)
    if not inside.any():
        return replace(state, selected=(_most_overlap(labels, mask),), is_final=True)
    tracks, track_id = add_track(state.tracks, inside, time_s)
    return replace(state, tracks=tracks, selected=(track_id,), is_final=True)


def _downsampled_mask(prompt: SubjectPrompt, size: tuple[int, ...]) -> Mask:
    if prompt.mask is None:
        raise OptionError("the subject is chosen by a mask, but there is none: give SubjectPrompt.mask")
    small: Map = F.adaptive_avg_pool2d(prompt.mask, (size[0], size[1]))[0, 0].cpu().numpy()
    return small > _CERTAIN


def _at_point(labels: Labels, x: float, y: float) -> int:
    """The track at a point, or the nearest one."""
    height, width = labels.shape
    return int(nearest_label(labels)[min(int(y), height - 1), min(int(x), width - 1)])


def _box(labels: Labels, x: float, y: float, width: float, height: float) -> Mask:
    mask = np.zeros(labels.shape, bool)
    mask[int(y) : int(np.ceil(y + height)), int(x) : int(np.ceil(x + width))] = True
    return mask


def _most_overlap(labels: Labels, mask: Mask) -> int:
    """The track with the highest intersection over union with a mask, or the nearest one."""
    inside, areas = np.bincount(labels[mask], minlength=labels.max() + 1), np.bincount(labels.ravel())
    inside[0] = 0
    if inside.any():
        return int(np.argmax(inside / np.maximum(areas + mask.sum() - inside, 1)))
    distance_px = np.where(labels > 0, distance_to(mask), np.inf)
    return int(labels.ravel()[np.argmin(distance_px)])


def _update_lost_status(state: SubjectState, time_s: float) -> tuple[SubjectState, list[str]]:
    """The state with the absence of the subject, and notices when it is lost or found again."""
    if not state.selected:
        return state, []
    if state.tracks.present & set(state.selected):
        lines = [f"the subject is seen again at {time_s:.2f} s"] if state.lost_reported else []
        return replace(state, lost_s=None, lost_reported=False), lines
    lost_s = time_s if state.lost_s is None else state.lost_s
    if state.lost_reported or time_s - lost_s < _LOST_AFTER_S:
        return replace(state, lost_s=lost_s), []
    line = f"the subject is lost from {lost_s:.2f} s on: nothing is kept until it is seen again"
    return replace(state, lost_s=lost_s, lost_reported=True), [line]


def _split_probability(state: SubjectState, person: Map) -> tuple[Map, Map]:
    """Weight of the subject in each pixel's probability, and where certainly another person is."""
    labels = state.tracks.labels.numpy()
    is_selected = np.isin(labels, state.selected)
    weight = np.isin(nearest_label(labels), state.selected)
    certain = (
        (labels > 0) & ~is_selected & (person > _CERTAIN) & (distance_to(is_selected) > _OTHER_MARGIN_PX)
    )
    return weight.astype(np.float32), certain.astype(np.float32)
