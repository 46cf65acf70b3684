"""The images that select or mask the subject, loaded and scaled to the frames of one clip."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from autohair_video.errors import InputError, OptionError
from autohair_video.frames import FrameFormat
from autohair_video.media.image import read_gray
from autohair_video.options import SubjectOptions
from autohair_video.tracking.selection import SubjectPrompt

# Relative difference of aspect up to which an image counts as drawn on a frame.
_SAME_ASPECT = 0.02


def load_subject_prompt(
    options: SubjectOptions, fmt: FrameFormat, begin_s: Fraction = Fraction(0)
) -> SubjectPrompt:
    """What `MattingPipeline.frames` needs to know of the subject of frames of ``fmt``.

    ``begin_s``: the time of the clip's frames from which the subject's time is counted.

    Raises:
        OptionError: the place lies outside the frame.
        InputError: an image is missing, unreadable, or of another aspect than the frames, or the mask has
            no white.
    """
    x, y = (*options.place, 0.0, 0.0)[:2]
    if x >= fmt.width or y >= fmt.height:
        raise OptionError(f"the subject's place {x:g},{y:g} lies outside the {fmt.width}x{fmt.height} frame")
    mask, keep, drop = (_fitted(path, fmt) for path in (options.mask, options.keep, options.drop))
    if mask is not None and not bool((mask > 0.5).any()):
        raise InputError(f"the mask {options.mask} has no white: paint the subject white in it")
    return SubjectPrompt(options, mask, keep, drop, begin_s)


def check_subject_time(
    options: SubjectOptions, *, start_s: float | None, end_s: float | None, length_s: float | None
) -> None:
    """Refuses a subject's time at which no frame is matted.

    Args:
        options: the subject.
        start_s: where the job begins in the clip, in seconds; None for its beginning.
        end_s: where it ends; None for the clip's end.
        length_s: the clip's length, None where that is not known.

    Raises:
        OptionError: the time lies outside of the job.
    """
    time = f"the subject's time {options.at_s:g} s"
    if 0 < options.at_s < (start_s or 0):
        raise OptionError(f"{time} lies before the start at {start_s:g} s: name one from there on")
    if end_s is not None and options.at_s >= end_s:
        raise OptionError(f"{time} lies past the end at {end_s:g} s: name an earlier one")
    if length_s is not None and 0 < length_s <= options.at_s:
        raise OptionError(f"{time} lies past the clip's end at {length_s:.2f} s: name an earlier one")


def late_subject_warnings(options: SubjectOptions, last_s: float | None) -> list[str]:
    """A line for a subject's time after the last frame, which began at ``last_s`` seconds; else none."""
    if last_s is None or options.at_s <= last_s:
        return []
    return [
        f"the subject's time {options.at_s:g} s lies past the last frame at {last_s:.2f} s: the person "
        "nearest to the place was kept; name an earlier time"
    ]


def _fitted(path: Path | None, fmt: FrameFormat) -> Tensor | None:
    """A gray image as (1, 1, H, W) float in 0..1 at the size of the frames."""
    if path is None:
        return None
    gray = read_gray(path).float()
    height, width = gray.shape[2:]
    if abs(width * fmt.height / (height * fmt.width) - 1) > _SAME_ASPECT:
        raise InputError(
            f"{path} is {width}x{height} and the frames are {fmt.width}x{fmt.height}: "
            "draw it on a frame of the clip"
        )
    size = (fmt.height, fmt.width)
    fitted = F.interpolate(gray, size, mode="bilinear", align_corners=False, antialias=height > size[0])
    # rounded, so that what is wholly kept or dropped is exactly so
    return fitted.round().clamp(0, 255) / 255


def check_trimap_size(path: Path, width: int, height: int, fmt: FrameFormat) -> None:
    """Raises InputError if a given trimap is not of the size of the frames."""
    if (width, height) != (fmt.width, fmt.height):
        raise InputError(
            f"trimap {path} is {width}x{height}, the image {fmt.width}x{fmt.height}: they must be of one size"
        )
