"""The subject that a call names, with its pictures read and fitted to the frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from torch import Tensor
from torch.nn import functional as F

from autohair_video.errors import InputError, OptionError
from autohair_video.frames import FrameFormat
from autohair_video.matting.subject import Guide
from autohair_video.media.image import read_gray
from autohair_video.options import SubjectOptions

# Relative difference of aspect up to which a picture is taken as drawn on a frame.
_SAME_ASPECT = 0.02


def load_guide(options: SubjectOptions, fmt: FrameFormat, begin_s: Fraction = Fraction(0)) -> Guide:
    """What `Matter.frames` needs to know of the subject of frames of ``fmt``.

    ``begin_s``: the time of the clip's frames from which the subject's time is counted.

    Raises:
        OptionError: the place lies outside the frame.
        InputError: a picture is missing, unreadable, or of another aspect than the frames, or the mask has
            no white.
    """
    x, y = (*options.place, 0.0, 0.0)[:2]
    if x >= fmt.width or y >= fmt.height:
        raise OptionError(f"the subject's place {x:g},{y:g} lies outside the {fmt.width}x{fmt.height} frame")
    mask, keep, drop = (_fitted(path, fmt) for path in (options.mask, options.keep, options.drop))
    if mask is not None and not bool((mask > 0.5).any()):
        raise InputError(f"the mask {options.mask} has no white: paint the subject white in it")
    return Guide(options, mask, keep, drop, begin_s)


def _fitted(path: Path | None, fmt: FrameFormat) -> Tensor | None:
    """A gray picture as (1, 1, H, W) float in 0..1 at the size of the frames."""
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
