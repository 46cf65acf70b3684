"""The library of training foregrounds: every layer is rendered once, from its number, and kept.

A file, ``layer_00042.webp``, holds one layer of straight RGB, slightly compressed, and alpha, exact. Seed
and number decide what is in it, so that a render that was broken off goes on where it stopped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import InputError
from autohair_video.runtime.atomic import atomic_write
from autohair_video.training.synthetic.canvas import Layer
from autohair_video.training.synthetic.recipes import Recipe, random_foreground
from autohair_video.training.synthetic.sources import Sources

SIZE: Final = 560  # px, side of a rendered layer
PATTERN: Final = "layer_?????.webp"
_COLOUR_QUALITY: Final = 75  # of 100; WebP keeps alpha losslessly beside it


def render_layers(
    cache_dir: Path,
    *,
    shared_data: Path,
    teachers: Path | None,
    count: int,
    seed: int,
    recipe: Recipe = random_foreground,
) -> list[Path]:
    """Render layers 0 to ``count`` - 1 into ``cache_dir``, but for those that are there already.

    Takes about half a second and 40 kB of disk for a layer.

    Args:
        cache_dir: folder of the library, made where missing.
        shared_data: folder with ``people/`` and ``backgrounds/``.
        teachers: folder with the hair and selfie models; None takes outlines from labels alone.
        count: number of layers.
        seed: other seeds give other layers.
        recipe: what the layers hold: anything that matting meets, or `recipes.loose_hair`.

    Raises:
        InputError: the data folder is incomplete.
    """
    cache_dir.mkdir(parents=True, exist_ok=True)
    sources = Sources.find(shared_data, teachers=teachers, masks=cache_dir / "masks", size=SIZE)
    paths = [cache_dir / f"layer_{index:05d}.webp" for index in range(count)]
    for index, path in enumerate(paths):
        if not path.exists():
            rng = np.random.default_rng([seed, index])
            _save(path, recipe(sources, rng))
    return paths


def read_layer(path: Path) -> NDArray[Any]:
    """A kept layer, (H, W, 4) uint8 straight RGB and alpha.

    Raises:
        InputError: the file is missing or no layer.
    """
    bgra = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if bgra is None or bgra.shape[-1] != 4:
        raise InputError(f"{path}: not a rendered layer; delete it, and it is rendered again")
    return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA))


def _save(path: Path, layer: Layer) -> None:
    rgba = np.round(np.dstack([layer.colour, layer.alpha]) * 255).astype(np.uint8)
    bgra = cv2.cvtColor(rgba, cv2.COLOR_RGBA2BGRA)
    with atomic_write(path) as part:
        cv2.imwrite(str(part), bgra, [cv2.IMWRITE_WEBP_QUALITY, _COLOUR_QUALITY])
