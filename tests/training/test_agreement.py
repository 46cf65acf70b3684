"""Labels from teachers whose answers are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from autohair_video.training.agreement import (
    ALL_KNOWN,
    PERSON_KNOWN,
    Agreed,
    Opinions,
    agree,
    agree_beside,
    beyond,
    hazy_areas,
)
from autohair_video.training.blazepose import PosedPerson

SIZE = (120, 240)
LEFT, MIDDLE, RIGHT = (np.s_[20:100, left : left + 60] for left in (10, 90, 170))
CENTRES = {"left": (60, 40), "middle": (60, 120), "right": (60, 200)}


def patches(*parts: tuple[slice, slice], level: float = 1.0) -> np.ndarray:
    """``level`` in the patches, 0 elsewhere."""
    plane = np.zeros(SIZE, np.float32)
    for part in parts:
        plane[part] = level
    return plane


def posed(mask: np.ndarray, *, presence: float = 0.95, hips: float = 60) -> PosedPerson:
    marks = np.zeros((39, 2))
    marks[33], marks[34] = (0, hips), (0, hips - 60)
    return PosedPerson(mask, marks, presence)


def opinions(**answers: object) -> Opinions:
    nobody = patches()
    rest = dict.fromkeys(("voc", "things", "own", "hair"), nobody)
    known = np.ones(SIZE, np.float32)
    everything = {"people": (), "selfie": nobody[None], "hair_known": known, **rest, **answers}
    return Opinions(**everything)  # type: ignore[arg-type]


def seen(agreed: Agreed, where: str) -> tuple[float, float, float]:
    at = CENTRES[where]
    return tuple(round(float(plane[at]), 2) for plane in (agreed.person, agreed.hair, agreed.weight))  # type: ignore[return-value]


def test_a_confirmed_figure_counts_whole_though_others_miss_its_arm() -> None:
    figure = patches(LEFT, MIDDLE)
    body = np.s_[20:100, 10:145]  # all but the last 5 columns, which are the hand
    said = agree(opinions(people=[posed(figure)], voc=patches(body), own=patches(body)))
    assert seen(said, "middle") == (1, 0, ALL_KNOWN)
    assert said.person[60, 148] == 1
    assert said.weight[60, 148] == ALL_KNOWN
    assert seen(said, "right") == (0, 0, ALL_KNOWN)


def test_a_figure_that_nobody_confirms_is_not_trusted() -> None:
    said = agree(opinions(people=[posed(patches(LEFT))]))
    assert seen(said, "left")[2] == 0
    unsure = agree(opinions(people=[posed(patches(LEFT), presence=0.55)], voc=patches(MIDDLE)))
    assert seen(unsure, "left")[2] == 0


def test_what_our_segmenter_alone_sees_is_background_that_it_learns() -> None:
    assert seen(agree(opinions(own=patches(LEFT))), "left") == (0, 0, ALL_KNOWN)


def test_a_bystander_of_one_teacher_is_left_open() -> None:
    said = agree(opinions(people=[posed(patches(LEFT))], voc=patches(LEFT, RIGHT), own=patches(LEFT)))
    assert seen(said, "right")[2] == 0
    assert seen(said, "left") == (1, 0, ALL_KNOWN)


def test_an_animal_under_a_rider_is_not_trusted() -> None:
    rider = posed(patches(LEFT, MIDDLE))
    own = patches(LEFT, MIDDLE)
    said = agree(opinions(people=[rider], voc=patches(LEFT), own=own, things=patches(MIDDLE)))
    assert seen(said, "middle")[2] == 0


def test_torsos_cut_above_the_hips_are_the_selfie_segmenters() -> None:
    """BlazePose sees the left half of a close-up only."""
    torso = posed(patches(LEFT), hips=200)
    whole = patches(LEFT, MIDDLE)
    said = agree(opinions(people=[torso], selfie=whole[None], voc=whole, own=whole))
    assert seen(said, "middle") == (1, 0, ALL_KNOWN)


def test_hair_counts_near_people_only_and_is_unknown_on_small_heads() -> None:
    base = {"people": [posed(patches(LEFT))], "voc": patches(LEFT), "own": patches(LEFT)}
    said = agree(opinions(**base, hair=patches(LEFT, RIGHT)))
    assert seen(said, "left") == (1, 1, ALL_KNOWN)
    assert seen(said, "right") == (0, 0, ALL_KNOWN)
    blind = agree(opinions(**base, hair_known=patches()))
    assert seen(blind, "left") == (1, 0, PERSON_KNOWN)
    assert seen(blind, "right")[2] == ALL_KNOWN, "there is no hair where nobody is"


def test_a_drawing_that_mostly_agrees_leaves_out_what_differs_and_another_is_ignored() -> None:
    figure = patches(LEFT, MIDDLE)
    base = opinions(people=[posed(figure)], voc=figure, own=figure)
    close = figure > 0
    close[50:70, 110:130] = False
    assert seen(agree(base, close), "middle")[2] == 0
    assert seen(agree(base, close), "left")[2] == ALL_KNOWN
    assert seen(agree(base, patches(RIGHT) > 0), "middle") == (1, 0, ALL_KNOWN)


def test_beside_a_drawn_person_the_teachers_count() -> None:
    drawn = Agreed(patches(LEFT), patches(), np.ones(SIZE, np.float32))
    teachers = Agreed(patches(LEFT, MIDDLE), patches(), 1 - patches(RIGHT))
    said = agree_beside(drawn, patches(LEFT) > 0, teachers)
    assert seen(said, "left") == seen(said, "middle") == (1, 0, 1)
    assert seen(said, "right") == (0, 0, 0)


def test_haze_is_an_area_that_no_hair_explains() -> None:
    alpha = patches(LEFT, level=0.5) + patches(MIDDLE, level=0.5)
    alpha[:, 230:233] = 0.5  # an edge
    haze = hazy_areas(alpha, patches(MIDDLE))
    assert haze[CENTRES["left"]]
    assert not haze[CENTRES["middle"]]
    assert not haze[:, 225:].any()


def test_a_key_far_from_everybody_is_beyond() -> None:
    far = beyond(patches(LEFT, RIGHT), patches(LEFT))
    assert far[CENTRES["right"]]
    assert not far[CENTRES["left"]]
    assert not far[CENTRES["middle"]], "alpha is 0 there"


def test_opinions_of_nobody_trust_the_empty_scene() -> None:
    said = agree(replace(opinions(), hair=patches(LEFT)))
    assert said.person.max() == said.hair.max() == 0
    assert said.weight.min() == ALL_KNOWN
