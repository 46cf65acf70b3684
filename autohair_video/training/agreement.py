"""What several teachers' answers make of a picture: person, hair, and where the two are to be trusted.

All maps are (H, W) float32 in 0..1. Rules, region by region:

- BlazePose decides about the people whom it sees and whom at least one other teacher confirms, arms and hands
  included. Where the frame cuts people above the hips, or fills with them, the selfie segmenter does.
- Where teachers contradict each other over an area (not along an edge), or one alone sees a bystander,
  nothing is trusted.
- Hair near people belongs to them; where heads are too small for the hair segmenter, hair is unknown.
- A drawn mask counts only if it agrees with the teachers on most of the picture; then what differs is left
  out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.training.blazepose import PosedPerson
from autohair_video.training.tflite import Probability

# What each teacher's answer counts in the mean: BlazePose, selfie, VOC DeepLab, our segmenter. By eye, on 40
# photographs in the wild and 20 portraits.
_FIGURE_WEIGHTS = (0.42, 0.13, 0.20, 0.25)
_PORTRAIT_WEIGHTS = (0.15, 0.40, 0.20, 0.25)
# Means between these are a contradiction.
_SURELY_NOT, _SURELY = 0.27, 0.62
# The share of a person's mask that another teacher confirms, and the least presence, for it to be trusted.
_CONFIRMED, _PRESENT = 0.75, 0.65
# A contradiction wider than this share of the picture's long side is an area; a narrower one is an edge.
_AREA_SHARE = 1 / 60
# All views of a segmenter agree from this probability on.
_SURE = 0.8
# What VOC DeepLab takes for an animal or a thing with this probability is not trusted as a person.
_THING = 0.6
# Drawn masks with less IoU than this are not used.
_DRAWN_IOU = 0.9
# Weight levels of a label: nothing known; the person known; hair known too.
PERSON_KNOWN, ALL_KNOWN = 0.5, 1.0


@dataclass(frozen=True)
class Opinions:
    """What the teachers say of one picture.

    ``selfie``: (V, H, W), of several views. ``voc`` and ``things``: people, and animals and things, by VOC
    DeepLab. ``own``: the shipped segmenter. ``hair_known``: 1 where the hair segmenter was asked.
    """

    people: Sequence[PosedPerson]
    selfie: NDArray[np.float32]
    voc: Probability
    things: Probability
    own: Probability
    hair: Probability
    hair_known: Probability


@dataclass(frozen=True)
class Agreed:
    """Person (hair included), hair, and weight: 0, `PERSON_KNOWN` or `ALL_KNOWN`."""

    person: Probability
    hair: Probability
    weight: Probability


def agree(opinions: Opinions, drawn: NDArray[np.bool_] | None = None) -> Agreed:
    """The label on which the teachers agree; ``drawn`` (H, W): a rough mask of everybody, if there is one."""
    figure = _confirmed_figures(opinions)
    score = _mean_vote(opinions)
    person = np.maximum(figure, np.clip((score - _SURELY_NOT) / (_SURELY - _SURELY_NOT), 0, 1))
    near = cv2.dilate(person, _square(25, person.shape)) > 0.5
    person = np.maximum(person, opinions.hair * near)
    doubt = _doubt(opinions, score, person, figure)
    if drawn is not None:
        doubt |= _differs_from_drawing(person, drawn)
    doubt = _areas(doubt)
    # far from people nothing is hair, whatever their heads' size
    unknown_hair = near & (opinions.hair_known < 0.5)
    weight = np.where(doubt, 0.0, np.where(unknown_hair, PERSON_KNOWN, ALL_KNOWN))
    hair = np.minimum(opinions.hair, person) * near
    return Agreed(*(np.asarray(a, np.float32) for a in (person, hair, weight)))


def agree_beside(drawn: Agreed, taken: NDArray[np.bool_], teachers: Agreed) -> Agreed:
    """A drawn label of one person, and beside the pixels that it takes whom the teachers see."""
    beside = ~(cv2.dilate(taken.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0)
    reach = cv2.dilate(beside.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    merged = np.maximum(drawn.person, teachers.person * beside)
    hair = np.maximum(drawn.hair, teachers.hair * beside)
    # between the two, a bystander's edge is nobody's
    seam = reach & ~beside & (teachers.person > 0.5) & ~taken
    weight = np.where(beside, teachers.weight, np.where(seam, 0.0, drawn.weight))
    return Agreed(merged, hair, np.asarray(weight, np.float32))


def _is_portrait(opinions: Opinions) -> bool:
    """Whether the largest person fills much of the frame, cut above the hips: a selfie segmenter's case."""
    if not opinions.people:
        return bool((opinions.selfie.min(axis=0) > _SURE).mean() > 0.25)
    largest = max(opinions.people, key=lambda person: float(person.mask.sum()))
    height = opinions.voc.shape[0]
    return largest.is_cut_at_hips(height) and float(largest.mask.mean()) > 0.15


def _mean_vote(opinions: Opinions) -> Probability:
    figures = np.max([np.zeros_like(opinions.voc), *(p.mask for p in opinions.people)], axis=0)
    shares = _PORTRAIT_WEIGHTS if _is_portrait(opinions) else _FIGURE_WEIGHTS
    votes = (figures, opinions.selfie.mean(axis=0), opinions.voc, opinions.own)
    return np.asarray(sum(share * vote for share, vote in zip(shares, votes, strict=True)), np.float32)


def _confirmed_figures(opinions: Opinions) -> Probability:
    """BlazePose's masks of the people whom another teacher confirms and of whom the frame holds the hips."""
    confirmed = np.zeros_like(opinions.voc)
    others = (opinions.voc > 0.5) | ((opinions.own > 0.5) & (opinions.things < 0.5))
    portrait = _is_portrait(opinions)
    for person in opinions.people:
        inside = person.mask > 0.5
        if person.presence < _PRESENT or not inside.any():
            continue
        cut = portrait and person.is_cut_at_hips(len(inside))
        if not cut and others[inside].mean() > _CONFIRMED:
            confirmed = np.maximum(confirmed, person.mask)
    return confirmed


def _doubt(
    opinions: Opinions, score: Probability, person: Probability, figure: Probability
) -> NDArray[np.bool_]:
    """Where the mean is undecided, and where one teacher alone sees somebody."""
    undecided = (score > _SURELY_NOT) & (score < _SURELY) & (figure < 0.5)
    outside = person < 0.5
    bystander = outside & ((opinions.voc > 0.5) | (opinions.selfie.min(axis=0) > _SURE))
    unconfirmed = np.max([np.zeros_like(score), *(p.mask for p in opinions.people)], axis=0) > 0.5
    # of horses and motorcycles only VOC DeepLab says that they are no part of who rides them
    ridden = (person > 0.5) & (opinions.things > _THING)
    return np.asarray(undecided | bystander | ridden | (outside & unconfirmed), bool)


def hazy_areas(alpha: Probability, hair: Probability) -> NDArray[np.bool_]:
    """Areas (H, W), not edges, where a solved alpha is neither 0 nor 1 and no hair explains it."""
    return _areas((alpha > 0.1) & (alpha < 0.9) & (hair < 0.5))


def beyond(alpha: Probability, person: Probability) -> NDArray[np.bool_]:
    """Where alpha sees something and no teacher a person within reach: a tripod, the end of a screen."""
    near = cv2.dilate(person, _square(round(max(person.shape) / 8), person.shape)) > 0.3
    return np.asarray((alpha > 0.05) & ~near)


def _areas(doubt: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a doubt that are wider than an edge, with a margin."""
    square = _square(round(max(doubt.shape) * _AREA_SHARE), doubt.shape)
    opened = cv2.morphologyEx(doubt.astype(np.uint8), cv2.MORPH_OPEN, square)
    return np.asarray(cv2.dilate(opened, square) > 0)


def _differs_from_drawing(person: Probability, drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where a drawn mask that mostly agrees does not; nowhere if it does not agree mostly."""
    seen = person > 0.5
    iou = (seen & drawn).sum() / max(1, (seen | drawn).sum())
    return seen != drawn if iou >= _DRAWN_IOU else np.zeros_like(drawn)


def _square(side: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    side = max(3, min(side, *shape)) | 1
    return np.ones((side, side), np.uint8)
