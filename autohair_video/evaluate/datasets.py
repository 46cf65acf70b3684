"""Dataset folders with ground-truth alpha: their layouts, and matting and scoring of every item.

Three layouts are detected (NAME is arbitrary; the first layout of which a folder holds an item is used):

    trimap   NAME_image.png, NAME_trimap.png, NAME_alpha.png   the trimap is given
    video    NAME.mp4 (or .mov, .mkv, .webm), NAME_alpha.mkv   fully automatic
    stills   NAME.png (or .jpg), NAME_alpha.png                fully automatic

Alpha files are 8-bit grayscale; an alpha clip has the clip's frames, losslessly coded. Beside a still,
NAME_region.png (grayscale) may mark by values over 127 where error is of special interest (hair, hands): the
region MAD. A fourth layout is
chosen explicitly: ``empty``, images without people, NAME.png or NAME.jpg, whose true alpha is 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from autohair_video.errors import InputError, JobError
from autohair_video.evaluate import metrics
from autohair_video.evaluate.metrics import Alpha, Region
from autohair_video.frames import FrameBatch, Matte
from autohair_video.matting.trimap import UNKNOWN, quantise_trimap
from autohair_video.media.colour import to_rgb
from autohair_video.media.image import read_gray, read_image
from autohair_video.media.reader import ClipReader

Image = NDArray[np.uint8]
Layout = Literal["trimap", "video", "stills", "empty"]
RegionName = Literal["unknown", "whole"]
InferAlpha = Callable[[Image, Image], Alpha]
"""(H, W, 3) RGB and (H, W) trimap of 0, 128, 255 -> (H, W) alpha in 0..1."""
MatteClip = Callable[[Path], Iterable[Matte]]
"""A clip -> its mattes in presentation order, any number of frames in each."""
MatteImage = Callable[[Path], Matte]
"""A still -> its matte."""
Progress = Callable[[str], None]
"""Called with each item's name before it is matted."""

_CLIP_EXTENSIONS: Final = (".mp4", ".mov", ".mkv", ".webm")
_STILL_EXTENSIONS: Final = (".png", ".jpg", ".jpeg")
_REGIONAL: Final[Mapping[str, Callable[[Alpha, Alpha, Region], float]]] = {
    "SAD": metrics.sad,
    "MAD": metrics.mad,
    "MSE": metrics.mse,
    "Grad": metrics.grad,
    "Conn": metrics.conn,
}
_WHOLE: Final[Mapping[str, Callable[[Alpha, Alpha], float]]] = {
    "band": metrics.band_mad,
    "IoU": metrics.iou,
    "translucency": metrics.false_translucency,
}


class Panels(NamedTuple):
    """Panels of an item on a contact sheet: (H, W, 3) and (H, W) arrays of one frame."""

    label: str
    image: Image
    trimap: Image | None
    truth: Alpha
    alpha: Alpha


@dataclass(frozen=True)
class ItemResult:
    """One item's scores by metric name (units: `report.UNITS`), and the frame for the contact sheet."""

    name: str
    scores: Mapping[str, float]
    panels: Panels


@dataclass(frozen=True)
class Evaluation:
    """The scores of a folder."""

    folder: Path
    layout: Layout
    region: RegionName
    items: tuple[ItemResult, ...]

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each metric over the items for which it is defined."""
        names = self.items[0].scores
        return {name: _nanmean([item.scores[name] for item in self.items]) for name in names}


def find_layout(folder: Path) -> Layout:
    """The first layout of which ``folder`` holds an item.

    Raises:
        InputError: the folder is missing or holds none.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder: name the one that holds the evaluation items")
    layouts: tuple[Layout, ...] = ("trimap", "video", "stills")
    for layout in layouts:
        if _item_names(folder, layout):
            return layout
    raise InputError(
        f"{folder} has no items to evaluate: expected NAME_image.png + NAME_trimap.png + NAME_alpha.png, "
        "or NAME.mp4 + NAME_alpha.mkv, or NAME.png + NAME_alpha.png"
    )


def evaluate_trimap_folder(
    folder: Path, infer: InferAlpha, *, region: RegionName = "unknown", progress: Progress | None = None
) -> Evaluation:
    """Alpha from given trimaps, scored in their unknown region or over the whole image."""
    items = []
    for name in _names(folder, "trimap", progress):
        image = _rgb_image(read_image(folder / f"{name}_image.png"))
        given = quantise_trimap(read_gray(folder / f"{name}_trimap.png"))[0, 0].numpy()
        truth = _to_unit_range(read_gray(folder / f"{name}_alpha.png"))
        _check_size(f"{name}_trimap.png", given, image)
        alpha = _checked(infer(image, given), truth, image, name)
        within = given == UNKNOWN if region == "unknown" else None
        scores = {key: measure(alpha, truth, within) for key, measure in _REGIONAL.items()}
        items.append(ItemResult(name, scores, Panels(name, image, given, truth, alpha)))
    return Evaluation(folder, "trimap", region, tuple(items))


def evaluate_stills_folder(
    folder: Path, matte_image: MatteImage, *, progress: Progress | None = None
) -> Evaluation:
    """Fully automatic mattes of images, scored over the whole image, and in a region where given."""
    items = []
    for name in _names(folder, "stills", progress):
        path = _item_file(folder, name, _STILL_EXTENSIONS)
        image, truth = _rgb_image(read_image(path)), _to_unit_range(read_gray(folder / f"{name}_alpha.png"))
        (matte,) = _split([matte_image(path)])
        alpha = _checked(matte.alpha, truth, image, name)
        panels = Panels(name, image, matte.trimap, truth, alpha)
        scores = _frame_scores(alpha, truth) | _region_scores(folder, name, alpha, truth, image)
        items.append(ItemResult(name, scores, panels))
    return Evaluation(folder, "stills", "whole", tuple(items))


def evaluate_empty_folder(
    folder: Path, matte_image: MatteImage, *, progress: Progress | None = None
) -> Evaluation:
    """Fully automatic mattes of images without people: SAD, and MAD, which here is the mean alpha."""
    items = []
    for name in _names(folder, "empty", progress):
        image = _rgb_image(read_image(folder / name))
        truth = np.zeros(image.shape[:2], np.float32)
        (matte,) = _split([matte_image(folder / name)])
        alpha = _checked(matte.alpha, truth, image, name)
        scores = {"SAD": metrics.sad(alpha, truth), "MAD": metrics.mad(alpha, truth)}
        items.append(ItemResult(name, scores, Panels(name, image, matte.trimap, truth, alpha)))
    return Evaluation(folder, "empty", "whole", tuple(items))


def evaluate_video_folder(
    folder: Path, matte_clip: MatteClip, *, progress: Progress | None = None
) -> Evaluation:
    """Fully automatic mattes of clips, scored over the whole of every frame.

    A clip's score is the mean over its frames, or over pairs of consecutive frames; the contact sheet shows
    the frame with the largest MAD.

    Raises:
        JobError: the mattes differ from the truth in number or size.
    """
    items = []
    for name in _names(folder, "video", progress):
        clip = _item_file(folder, name, _CLIP_EXTENSIONS)
        with ClipReader(clip) as source, ClipReader(folder / f"{name}_alpha.mkv") as truth:
            frames = _zip_frames(name, _rgb_frames(source), _gray_frames(truth), _split(matte_clip(clip)))
            items.append(_measure_clip(name, frames))
    return Evaluation(folder, "video", "whole", tuple(items))


class _MatteFrame(NamedTuple):
    alpha: Alpha
    trimap: Image | None


class _ScoredFrame(NamedTuple):
    image: Image
    truth: Alpha
    alpha: Alpha
    trimap: Image | None


def _measure_clip(name: str, frames: Iterator[_ScoredFrame]) -> ItemResult:
    collected: dict[str, list[float]] = {}
    before: _ScoredFrame | None = None
    shown, worst = None, -1.0
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for index, now in enumerate(frames):
        scores = _frame_scores(now.alpha, now.truth)
        if scores["MAD"] > worst:
            worst = scores["MAD"]
            shown = Panels(f"{name} #{index}", now.image, now.trimap, now.truth, now.alpha)
        scores |= _pair_scores(before, now, flow)
        for key, value in scores.items():
            collected.setdefault(key, []).append(value)
        before = now
    if shown is None:
        raise InputError(f"{name} has no frames to evaluate")
    return ItemResult(name, {key: _nanmean(values) for key, values in collected.items()}, shown)


def _frame_scores(alpha: Alpha, truth: Alpha) -> dict[str, float]:
    scores = {key: measure(alpha, truth, None) for key, measure in _REGIONAL.items()}
    return scores | {key: measure(alpha, truth) for key, measure in _WHOLE.items()}


def _region_scores(folder: Path, name: str, alpha: Alpha, truth: Alpha, image: Image) -> dict[str, float]:
    path = folder / f"{name}_region.png"
    if not path.is_file():
        return {"region MAD": float("nan")} if any(folder.glob("*_region.png")) else {}
    region = _to_unit_range(read_gray(path)) > 0.5
    _check_size(path.name, region, image)
    return {"region MAD": metrics.mad(alpha, truth, region)}


def _pair_scores(
    before: _ScoredFrame | None, now: _ScoredFrame, flow: cv2.DISOpticalFlow
) -> dict[str, float]:
    if before is None:
        return {"dtSSD": float("nan"), "MESSDdt": float("nan")}
    alphas, truths = np.stack([before.alpha, now.alpha]), np.stack([before.truth, now.truth])
    gray = [cv2.cvtColor(step.image, cv2.COLOR_RGB2GRAY) for step in (before, now)]
    start = np.zeros((*gray[0].shape, 2), np.float32)
    motion = np.asarray(flow.calc(gray[0], gray[1], start), np.float32)
    return {
        "dtSSD": metrics.dtssd(alphas, truths),
        "MESSDdt": metrics.messd_dt(alphas, truths, motion[None]),
    }


def _zip_frames(
    name: str, images: Iterator[Image], truths: Iterator[Alpha], mattes: Iterator[_MatteFrame]
) -> Iterator[_ScoredFrame]:
    for image, truth, matte in zip_longest(images, truths, mattes):
        if (image is None) != (truth is None):
            raise InputError(f"{name} and {name}_alpha.mkv differ in their number of frames")
        if (image is None) != (matte is None):
            raise JobError(f"{name}: the number of mattes is not the clip's number of frames")
        yield _ScoredFrame(image, truth, _checked(matte.alpha, truth, image, name), matte.trimap)


def _item_names(folder: Path, layout: Layout) -> list[str]:
    """Sorted names whose files all exist; for ``empty`` the file names."""
    if layout == "empty":
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if path.suffix.lower() in _STILL_EXTENSIONS)
    suffix = "_alpha.mkv" if layout == "video" else "_alpha.png"
    names = sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))
    if layout == "trimap":
        needed = ("_image.png", "_trimap.png")
        return [n for n in names if all((folder / f"{n}{end}").is_file() for end in needed)]
    extensions = _CLIP_EXTENSIONS if layout == "video" else _STILL_EXTENSIONS
    return [n for n in names if any((folder / f"{n}{end}").is_file() for end in extensions)]


def _names(folder: Path, layout: Layout, progress: Progress | None) -> Iterator[str]:
    names = _item_names(folder, layout)
    if not names:
        raise InputError(f"{folder} has no items of the {layout} layout to evaluate")
    for name in names:
        if progress is not None:
            progress(name)
        yield name


def _item_file(folder: Path, name: str, extensions: tuple[str, ...]) -> Path:
    return next(p for p in (folder / f"{name}{e}" for e in extensions) if p.is_file())


def _split(mattes: Iterable[Matte]) -> Iterator[_MatteFrame]:
    for matte in mattes:
        for index in range(len(matte)):
            trimap = None if matte.trimap is None else matte.trimap[index, 0].cpu().numpy()
            yield _MatteFrame(matte.alpha[index, 0].cpu().numpy(), trimap)


def _checked(alpha: Alpha, truth: Alpha, image: Image, name: str) -> Alpha:
    _check_size(f"{name}_alpha", truth, image)
    alpha = np.asarray(alpha, np.float32)
    if alpha.shape != truth.shape:
        raise JobError(f"{name}: the matte has shape {alpha.shape}, the image {truth.shape}")
    if not np.isfinite(alpha).all():
        raise JobError(f"{name}: the matte has values that are not finite")
    return alpha


def _check_size(what: str, plane: NDArray[np.generic], image: Image) -> None:
    if plane.shape != image.shape[:2]:
        height, width = plane.shape
        raise InputError(f"{what} is {width}x{height} but its image is {image.shape[1]}x{image.shape[0]}")


def _rgb_frames(reader: ClipReader) -> Iterator[Image]:
    for batch in reader:
        for index in range(len(batch)):
            yield _rgb_image(batch, index)


def _rgb_image(batch: FrameBatch, index: int = 0) -> Image:
    rgb = to_rgb(batch)[index].permute(1, 2, 0)
    return np.asarray((rgb * 255).round().byte().cpu().numpy(), np.uint8)


def _gray_frames(reader: ClipReader) -> Iterator[Alpha]:
    for batch in reader:
        for plane in batch.planes[0]:
            yield _to_unit_range(plane, reader.format.max_value)


def _to_unit_range(gray: Tensor, max_value: int = 255) -> Alpha:
    """(..., H, W) integers of a single plane -> (H, W) in 0..1."""
    alpha: Alpha = gray.reshape(gray.shape[-2:]).to(torch.float32).div(max_value).numpy()
    return alpha


def _nanmean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
