"""The subject that a call names: pictures fitted to the frames, faults in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video import FrameFormat, InputError, OptionError, SubjectOptions
from autohair_video.jobs.subject_inputs import load_subject_prompt

FRAME = FrameFormat(64, 48)


def _save(path: Path, gray: np.ndarray) -> Path:
    cv2.imwrite(str(path), gray)
    return path


def test_mask_images_are_scaled_to_the_frame(tmp_path: Path) -> None:
    half = np.zeros((240, 320), np.uint8)
    half[:, 160:] = 255
    guide = load_subject_prompt(SubjectOptions(keep=_save(tmp_path / "k.png", half)), FRAME)
    assert guide.keep is not None
    assert guide.keep.shape == (1, 1, 48, 64)
    assert guide.keep[..., :31].max() == 0
    assert guide.keep[..., 33:].min() == 1
    assert guide.drop is None


def test_mask_image_with_other_aspect_is_refused(tmp_path: Path) -> None:
    wide = _save(tmp_path / "wide.png", np.zeros((90, 160), np.uint8))
    with pytest.raises(InputError, match=r"wide\.png is 160x90 and the frames are 64x48"):
        load_subject_prompt(SubjectOptions(drop=wide), FRAME)


def test_empty_mask_is_refused(tmp_path: Path) -> None:
    black = _save(tmp_path / "black.png", np.zeros((48, 64), np.uint8))
    with pytest.raises(InputError, match=r"black\.png has no white"):
        load_subject_prompt(SubjectOptions(choice="mask", mask=black), FRAME)


def test_subject_position_outside_the_frame_is_refused() -> None:
    with pytest.raises(OptionError, match="64,3 lies outside the 64x48 frame"):
        load_subject_prompt(SubjectOptions(choice="point", place=(64, 3)), FRAME)
