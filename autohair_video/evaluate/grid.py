"""Grid comparison: segmenter x trimap x matting engine on one labelled contact sheet.

Each frame gives a block: the image and the segmenters' probabilities, then a row for each segmenter and
trimap, with a panel for each engine. A panel shows the estimated foreground on a plain background, above it
the engine and its time in seconds, below it a crop of the hair at 100 %.

Beside DIM stand the classical engines of PyMatting (extra ``classical``): closed-form (Levin et al.
2008), KNN (Chen et al. 2013), learning-based (Zheng and Kambhamettu 2009), large-kernel (He et al.
2010) and random walk (Grady et al. 2005). They solve one system over all pixels, so frames are downscaled
first. Trimaps are made at full size and downscaled with them, so they show what the same options give on
the clip.
"""

from __future__ import annotations

import importlib
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from autohair_video.errors import InputError, JobError, OptionError
from autohair_video.evaluate.contact_sheet import (
    ENGINES,
    Cell,
    ComparedFrame,
    ComparedTrimap,
    Comparison,
    comparison_sheet,
    contrasting_colour,
    probability_view,
    to_uint8,
    uncertain_hair_window,
)
from autohair_video.evaluate.datasets import Progress
from autohair_video.frames import FrameBatch
from autohair_video.matting.segmentation import scale_to, working_size
from autohair_video.matting.trimap import (
    UNKNOWN,
    draw_trimap,
    keep_known,
    quantise_trimap,
)
from autohair_video.media.atomic_output import check_output
from autohair_video.media.colour import to_rgb
from autohair_video.media.image import is_image, read_image, write_image
from autohair_video.media.probe import probe
from autohair_video.media.reader import ClipReader
from autohair_video.options import TrimapOptions

if TYPE_CHECKING:
    from autohair_video.matting.pipeline import MattingPipeline

Segment = Callable[[Tensor], Tensor]
"""(1, 3, H, W) RGB in 0..1 -> (1, 2, h, w) probabilities of person and hair, as `Segmenter`."""
InferAlpha = Callable[[Tensor, Tensor], Tensor]
"""(1, 3, H, W) RGB in 0..1 and (1, 1, H, W) trimap -> (1, 1, H, W) alpha, as `TiledMattingNet`."""

_MISSING: Final = "pymatting is not installed: pip install 'autohair-video[classical]'"


@dataclass(frozen=True)
class CompareOptions:
    """What is compared, and at which size.

    ``engines`` are keys of `ENGINES`. ``frames`` are taken from a clip, evenly spaced. Frames larger
    than ``long_side_px`` are downscaled to it before matting. ``crop`` adds the hair at 100 % of
    that size.
    """

    trimaps: tuple[TrimapOptions, ...] = (
        TrimapOptions(mode="fixed", erosion=5, size=25),
        TrimapOptions(mode="fixed", erosion=20, size=30),
        TrimapOptions(mode="adaptive"),
    )
    engines: tuple[str, ...] = tuple(ENGINES)
    frames: int = 1
    long_side_px: int = 640
    crop: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.engines if name not in ENGINES]
        if unknown:
            raise OptionError(f"unknown engine {unknown[0]!r}: use {', '.join(ENGINES)}")
        if not self.trimaps or not self.engines:
            raise OptionError("nothing to compare: name at least one trimap and one engine")
        if self.frames < 1:
            raise OptionError(f"{self.frames} frames cannot be compared: use 1 or more")
        if self.long_side_px < 64:
            raise OptionError(f"a long side of {self.long_side_px} px is too small: use 64 or more")


def run_compare(
    source: Path,
    sheet: Path,
    *,
    pipeline: MattingPipeline | Callable[[], MattingPipeline],
    segmenters: Mapping[str, Callable[[], Segment]] | None = None,
    options: CompareOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Mattes an image, or frames of a clip, in every combination and writes the contact sheet.

    Args:
        source: image or clip.
        sheet: output path; its extension chooses the image format.
        pipeline: its segmenter gives the probabilities, its matting network is the engine ``dim``; or a
            callable that loads it, called once the source and the sheet's name have been checked.
        segmenters: loaders by name of segmenters to compare instead of the pipeline's, on its device.
        options: what is compared.
        overwrite: whether an existing sheet is replaced.
        progress: called with the name of each combination before it runs.

    Returns:
        Alphas and times. An engine that failed or is not installed leaves an empty cell;
        `Comparison.failures` gives the reason.

    Raises:
        InputError: the source cannot be read.
        OptionError: the sheet's name has no image extension.
        OutputError: the sheet cannot be written, or already exists.
    """
    options = options or CompareOptions()
    if not is_image(sheet):
        raise OptionError(f"{sheet} is not an image path: use .png or .jpg")
    check_output(sheet, overwrite=overwrite, inputs=[source])
    frames = _source_frames(source, options.frames)
    first = next(frames)
    loaded = pipeline() if callable(pipeline) else pipeline
    engines = {
        name: loaded.still_matting_net if name == "dim" else _classical(name) for name in options.engines
    }
    segmenters_by_name = {name: load() for name, load in (segmenters or {}).items()}
    study = _Grid(segmenters_by_name or {"DeepLab": loaded.segment}, engines, options, progress)
    compared = (study.frame(label, rgb.to(loaded.device)) for label, rgb in chain([first], frames))
    comparison = Comparison(tuple(compared))
    pixels = torch.from_numpy(comparison_sheet(comparison, crop=options.crop)).permute(2, 0, 1)
    write_image(sheet, pixels, overwrite=overwrite)
    return comparison


def _source_frames(source: Path, count: int) -> Iterator[tuple[str, Tensor]]:
    """Label and (1, 3, H, W) RGB of an image, or of the midpoints of ``count`` equal parts of a clip."""
    if is_image(source):
        yield source.name, to_rgb(read_image(source))
        return
    length_s = probe(source).duration_s or _counted_length_s(source)
    taken: set[int] = set()
    for index in range(count):
        second = length_s * (index + 0.5) / count
        batch = _frame_at(source, second)
        if batch.pts[0] not in taken:
            taken.add(batch.pts[0])
            yield f"{source.name} at {second:.2f} s", to_rgb(batch)


def _frame_at(clip: Path, second: float) -> FrameBatch:
    try:
        with ClipReader(clip, batch_size=1, start_s=second) as reader:
            return next(iter(reader))
    except InputError:
        # no frame starts that late: the last one is long, or the file is truncated
        with ClipReader(clip, batch_size=1) as reader:
            return deque(reader, maxlen=1)[0]


def _counted_length_s(clip: Path) -> float:
    """Duration of a clip whose container does not store it."""
    with ClipReader(clip, batch_size=1) as reader:
        last = deque(reader, maxlen=1)[0]
        return float((last.pts[0] + last.durations[0]) * reader.time_base - reader.origin)


@dataclass(frozen=True)
class _Grid:
    """The combinations that are run on every frame."""

    segmenters: Mapping[str, Segment]
    engines: Mapping[str, InferAlpha]
    options: CompareOptions
    progress: Progress | None

    @torch.inference_mode()
    def frame(self, label: str, rgb: Tensor) -> ComparedFrame:
        """All combinations on one frame of (1, 3, H, W)."""
        full = (rgb.shape[2], rgb.shape[3])
        size = working_size(*full, min(self.options.long_side_px, max(full)))
        small = scale_to(rgb, *size)
        found = {name: segment(rgb) for name, segment in self.segmenters.items()}
        rows = []
        for (name, probabilities), options in product(found.items(), self.options.trimaps):
            trimap = _shrink_trimap(draw_trimap(probabilities, size=full, options=options), size)
            title = _trimap_name(options)
            cells = tuple(self._cells(f"{label}, {name}, {title}", small, trimap))
            rows.append(ComparedTrimap(name, title, trimap[0, 0].cpu().numpy(), cells))
        image = to_uint8(small[0].permute(1, 2, 0).cpu().numpy())
        shown = {
            name: scale_to(probabilities, *size)[0].cpu().numpy() for name, probabilities in found.items()
        }
        views = {name: probability_view(*maps) for name, maps in shown.items()}
        window = uncertain_hair_window(*next(iter(shown.values())))
        background = contrasting_colour(image, rows[0].trimap)
        return ComparedFrame(label, image, views, window, background, tuple(rows))

    def _cells(self, title: str, rgb: Tensor, trimap: Tensor) -> Iterator[Cell]:
        for name, infer in self.engines.items():
            if self.progress is not None:
                self.progress(f"{title}, {ENGINES[name]}")
            yield _infer_cell(name, infer, rgb, trimap)


def _infer_cell(engine: str, infer: InferAlpha, rgb: Tensor, trimap: Tensor) -> Cell:
    began_s = time.perf_counter()
    try:
        alpha = infer(rgb, trimap)[0, 0].cpu().numpy()
        if not np.isfinite(alpha).all():
            raise JobError("alpha has values that are not finite")
    except Exception as exc:
        # engines raise arbitrary exceptions, and one failed cell must not lose the others
        reason = " ".join(str(exc).split()) or type(exc).__name__
        return Cell(engine, time.perf_counter() - began_s, None, reason)
    return Cell(engine, time.perf_counter() - began_s, alpha)


def _classical(name: str) -> InferAlpha:
    """PyMatting's engine of that name; if it cannot be imported, one that raises the reason."""
    try:
        # imported late: the extra may be missing, and importing takes seconds
        estimate = getattr(importlib.import_module("pymatting"), f"estimate_alpha_{name}")
    except ImportError as exc:
        absent = isinstance(exc, ModuleNotFoundError) and exc.name == "pymatting"
        return partial(_refuse, _MISSING if absent else f"pymatting cannot be imported: {exc}")
    return partial(_estimate, estimate)


def _refuse(reason: str, rgb: Tensor, trimap: Tensor) -> Tensor:
    raise JobError(reason)


def _estimate(estimate: Callable[..., Any], rgb: Tensor, trimap: Tensor) -> Tensor:
    if not (trimap == UNKNOWN).any():
        return (trimap > 0).float()
    image = np.ascontiguousarray(rgb[0].permute(1, 2, 0).double().cpu().numpy())
    alpha = estimate(image, trimap[0, 0].double().div(255).cpu().numpy())
    return keep_known(torch.from_numpy(alpha).float()[None, None], trimap.cpu())


def _shrink_trimap(trimap: Tensor, size: tuple[int, int]) -> Tensor:
    """Downscales a trimap; pixels that mix known and unknown become unknown."""
    if trimap.shape[2:] == size:
        return trimap
    return quantise_trimap(F.interpolate(trimap.float(), size, mode="area").round().to(torch.uint8))


def _trimap_name(options: TrimapOptions) -> str:
    """The options in the command line's notation."""
    if options.mode == "fixed":
        return f"fixed:{options.erosion},{options.size}"
    return "adaptive" if options.band == 1 else f"adaptive, band {options.band:g}"
