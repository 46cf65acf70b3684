"""Labels for the segmenter, made once and kept on disk.

Every picture of a source of the manifest becomes ``SOURCE/STEM.jpg`` (long side at most 640 px) and
``SOURCE/STEM.png`` with three channels of the same size: person 0..255 (hair included), hair 0..255, and
weight: 255 where both are to be trusted, 128 where only the person is, 0 where neither is. Who labels a
picture, the manifest says: a drawing, the teachers, or a key of its green screen. Drawings and teachers are
only about right at the edge, and who is cut out along them brings a rim of the old scene along, by which a
network would come to know people: so the matting network solves the edge (`refined`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from autohair_video.errors import InputError
from autohair_video.matting.segmentation import working_size
from autohair_video.matting.tiled_inference import TiledMattingNet
from autohair_video.matting.trimap import draw_trimap, encode_alpha_prior
from autohair_video.media.colour import to_rgb
from autohair_video.media.reader import ClipReader
from autohair_video.options import SegmentOptions, TrimapOptions
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
from autohair_video.training.backgrounds import read_rgb
from autohair_video.training.keying import NoScreenError, key_screen
from autohair_video.training.manifest import Source, is_video
from autohair_video.training.progress import Progress
from autohair_video.training.tflite import Picture

LONG_SIDE_PX = 640
# The rim of a drawn label that is not trusted before it is solved, px.
_DRAWN_RIM_PX = 5


@dataclass(frozen=True)
class Labelled:
    """A picture (H, W, 3) and its label (H, W, 3), both uint8.

    The label's channels are person (hair included), hair, and weight: 255 where both are to be trusted, 128
    where the person is, else 0.
    """

    picture: Picture
    label: Picture

    @classmethod
    def of(cls, picture: Picture, agreed: Agreed) -> Labelled:
        """From maps in 0..1."""
        maps = np.dstack([agreed.person, agreed.hair, agreed.weight])
        return cls(picture, np.asarray(np.rint(maps * 255), np.uint8))


@dataclass(frozen=True)
class Job:
    """One picture to be labelled: its place in the cache without a suffix, and how to read it."""

    stem: Path
    source: Source
    read: Callable[[], Picture]
    drawn: Path | None = None
    guide: Path | None = None
    has_bystanders: bool = False


@dataclass(frozen=True)
class Labeller:
    """Who labels pictures: the teachers say where people are, the solver what their edge is like."""

    teachers: Callable[[Picture], Opinions]
    solver: TiledMattingNet

    def __call__(self, job: Job) -> Labelled:
        """The label of one picture."""
        picture = job.read()
        if job.source.kind == "keyed":
            return self._keyed(picture)
        if job.source.kind == "drawn" and job.drawn is not None:
            return self._drawn(picture, read_levels(job.drawn, picture), with_others=job.has_bystanders)
        guide = read_levels(job.guide, picture) > 0 if job.guide else None
        return refined(picture, agree(self.teachers(picture), guide), self.solver)

    def _drawn(self, picture: Picture, classes: NDArray[np.uint8], *, with_others: bool) -> Labelled:
        agreed = from_drawn(classes)
        if with_others:
            agreed = agree_beside(agreed, classes > 0, agree(self.teachers(picture)))
        made = refined(picture, agreed, self.solver)
        # what was not trusted is the drawing's edge, which is solved now
        made.label[..., 2][_drawn_rim(classes)] = 255
        return made

    def _keyed(self, picture: Picture) -> Labelled:
        try:
            clean, alpha = key_screen(picture)
        except NoScreenError:  # a clip fades, or the camera moves off the screen
            return refined(picture, agree(self.teachers(picture)), self.solver)
        agreed = agree(self.teachers(clean))
        weight = np.where(agreed.weight > 0, agreed.weight, PERSON_KNOWN)
        weight = np.where(beyond(alpha, agreed.person), 0, weight)
        hair = np.minimum(agreed.hair, alpha)
        return Labelled.of(clean, Agreed(alpha, hair, np.asarray(weight, np.float32)))


def prepare_labels(
    cache: Path,
    data: Path,
    sources: Sequence[Source],
    load_labeller: Callable[[], Labeller],
    *,
    shard: tuple[int, int] = (0, 1),
) -> int:
    """Write the labels that are not in ``cache`` yet; returns how many were written.

    An interrupted call is resumed by the next; where nothing is missing no labeller is loaded. Several
    processes may share the work: of ``shard`` = (i, n) each takes every n-th picture from the i-th on.

    Raises:
        InputError: a picture or a clip cannot be read.
    """
    mine = list(jobs(cache, data, sources))[shard[0] :: shard[1]]
    missing = [job for job in mine if not _file(job.stem, ".png").exists()]
    if not missing:
        return 0
    labelled, progress = load_labeller(), Progress(len(missing), "labels")
    for job in missing:
        job.stem.parent.mkdir(parents=True, exist_ok=True)
        save(job.stem, labelled(job))
        progress.advance(f"{job.source.name}/{job.stem.name}")
    return len(missing)


def jobs(cache: Path, data: Path, sources: Sequence[Source]) -> Iterator[Job]:
    """All pictures of the sources, in the manifest's order; rendered people are labelled already."""
    for source in sources:
        if source.kind == "rendered":
            continue
        bystanders = source.stems_with_bystanders(data)
        for path in source.files(data):
            if is_video(path):
                yield from _clip_jobs(cache, source, path)
                continue
            drawn, guide = (source.beside(data, p, path.stem) for p in (source.drawn, source.guide))
            yield Job(
                cache / source.name / path.stem,
                source,
                lambda path=path: read_rgb(path, long_side=LONG_SIDE_PX),  # type: ignore[misc]
                drawn,
                guide,
                path.stem in bystanders,
            )


def from_drawn(classes: NDArray[np.uint8]) -> Agreed:
    """From classes 0 background, 1 person, 2 hair (H, W); the rim along each edge is not trusted."""
    soft = [cv2.GaussianBlur(m.astype(np.float32), (0, 0), 1.0) for m in (classes > 0, classes == 2)]
    weight = np.where(_drawn_rim(classes), 0.0, ALL_KNOWN)
    return Agreed(*(np.asarray(a, np.float32) for a in (*soft, weight)))


def _drawn_rim(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    person, square = (classes > 0).astype(np.uint8), np.ones((_DRAWN_RIM_PX, _DRAWN_RIM_PX), np.uint8)
    return np.asarray(cv2.dilate(person, square) > cv2.erode(person, square))


def refined(picture: Picture, agreed: Agreed, solver: TiledMattingNet) -> Labelled:
    """The label with alpha in the band about its edge, as the product solves it; hair is no more than that.

    Where the label is soft the band is wide: a part of a body of which the teachers were in doubt is found.
    """
    height, width = picture.shape[:2]
    maps = torch.from_numpy(np.stack([agreed.person, agreed.hair]))[None]
    small = working_size(height, width, SegmentOptions().long_side_px)
    seen = F.interpolate(maps, small, mode="bilinear", align_corners=False, antialias=True)
    trimap = draw_trimap(seen, size=(height, width), options=TrimapOptions())
    guess = encode_alpha_prior(maps[:, :1], (height, width))
    alpha = solver.infer_sequence(_planes(picture), trimap, prior=guess)[0][0, 0].numpy()
    hair = np.minimum(agreed.hair, alpha)
    weight = np.where(hazy_areas(alpha, hair), np.float32(0), agreed.weight)
    return Labelled.of(picture, Agreed(alpha, hair, weight))


def _planes(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def save(stem: Path, item: Labelled) -> None:
    """Write picture and label beside each other; the label last, in one step: it marks the pair as done."""
    for suffix, pixels, how in (
        (".jpg", item.picture, [cv2.IMWRITE_JPEG_QUALITY, 95]),
        (".png", item.label, []),
    ):
        _, encoded = cv2.imencode(suffix, pixels[..., ::-1], how)
        aside = _file(stem, f"{suffix}.new")
        aside.write_bytes(encoded.tobytes())
        aside.replace(_file(stem, suffix))


def _file(stem: Path, suffix: str) -> Path:
    """``stem`` with a suffix: stems may hold dots of their own."""
    return stem.with_name(stem.name + suffix)


def load(stem: Path) -> Labelled:
    """Read what `save` wrote."""
    return Labelled(*(read_rgb(_file(stem, suffix)) for suffix in (".jpg", ".png")))


def read_levels(path: Path, picture: Picture) -> NDArray[np.uint8]:
    """A grey mask (H, W) at a picture's size.

    Raises:
        InputError: the file is no picture.
    """
    grey = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if grey is None:
        raise InputError(f"{path}: not a readable mask; check the training data folder")
    return np.asarray(cv2.resize(grey, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def _clip_jobs(cache: Path, source: Source, path: Path) -> Iterator[Job]:
    """``frames`` frames of a clip at equal distances; they are decoded in order, as they are asked for."""
    with ClipReader(path) as reader:
        count = reader.info.expected_frames or source.frames
    every = max(1, count // source.frames)
    clip = _ClipFrames(path)
    # the frame count is the duration times the rate, which can be one too many
    for index in range(0, max(1, count - 1), every):
        name = f"{path.stem}_{index:05d}"
        yield Job(cache / source.name / name, source, lambda index=index: clip.at(index))  # type: ignore[misc]


class _ClipFrames:
    """Frames of a clip by number; asked in rising order it decodes the clip once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames: Iterator[tuple[int, Tensor]] = iter(())
        self._next = -1

    def at(self, index: int) -> Picture:
        """Frame ``index`` as a picture of at most `LONG_SIDE_PX`.

        Raises:
            InputError: the clip ends before it.
        """
        if self._next < 0 or index < self._next:
            self._frames = self._decoded()
        for number, rgb in self._frames:
            self._next = number + 1
            if number == index:
                picture = (rgb.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
                scale = min(1.0, LONG_SIDE_PX / max(picture.shape[:2]))
                small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                return np.asarray(small, np.uint8)
        raise InputError(f"{self._path}: ends before frame {index}")

    def _decoded(self) -> Iterator[tuple[int, Tensor]]:
        with ClipReader(self._path) as reader:
            frames = (rgb for batch in reader for rgb in to_rgb(batch))
            yield from enumerate(frames)
