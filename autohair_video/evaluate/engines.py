"""The networks as the engines that an evaluation asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from autohair_video.evaluate import Engines
from autohair_video.evaluate.folders import Picture
from autohair_video.evaluate.metrics import Alpha
from autohair_video.frames import Matte
from autohair_video.media.colour import to_rgb
from autohair_video.media.image import read_image
from autohair_video.media.reader import ClipReader
from autohair_video.pipeline import Matter


def automatic(load: Callable[[], Matter]) -> Engines:
    """Engines of a `Matter`, which is loaded when the first item is matted."""
    loaded = cache(load)

    def solve(picture: Picture, trimap: Picture) -> Alpha:
        return np.asarray(loaded().image(picture, trimap))

    def matte_clip(clip: Path) -> Iterator[Matte]:
        with ClipReader(clip) as reader:
            for _, matte in loaded().frames(reader):
                yield matte

    def matte_image(path: Path) -> Matte:
        return loaded().still(to_rgb(read_image(path)))

    return Engines(solve, matte_clip, matte_image)
