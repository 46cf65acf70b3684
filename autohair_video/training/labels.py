"""Labels for the segmenter, made once and kept on disk.

Every photo becomes ``NAME.jpg`` (long side at most 720 px) and ``NAME.png`` with three channels of the
same size: person 0..255 (hair included), hair 0..255, and weight: 255 where the label is to be trusted.
Street photos have drawn labels; portraits and clips are labelled by the teachers. All of them are only about
right at the edge, and who is cut out along them brings a rim of the old scene along, by which a network would
come to know people: so the matter solves the edge (`refined`). Names that begin with ``crowd`` are street
photos with passers-by who have no label: good for what is cut out of them only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from autohair_video.matting.segmentation import working_size
from autohair_video.matting.tiled_inference import TiledMattingNet
from autohair_video.matting.trimap import draw_trimap, encode_alpha_prior
from autohair_video.media.colour import to_rgb
from autohair_video.media.reader import ClipReader
from autohair_video.options import SegmentOptions, TrimapOptions
from autohair_video.training.backgrounds import crowded, read_rgb
from autohair_video.training.teachers import Picture, Teachers

_LONG_SIDE_PX = 720
# Frames taken from a clip, by the beginning of its name.
_CLIP_FRAMES = {"asl": 16, "sam2": 24, "one": 60}
CROWD = "crowd"
# A street photo of whose person the label has a half.
_HALF_LABELLED = "0868"
# A person probability that is not doubted.
_SURE = 0.8


@dataclass(frozen=True)
class Labelled:
    """A picture (H, W, 3) and its label (H, W, 3), both uint8.

    The label's channels are person (hair included), hair, and weight: 255 where it is to be trusted.
    """

    picture: Picture
    label: Picture


@dataclass(frozen=True)
class Labeller:
    """Who labels pictures: the teachers say where people are, the solver what their edge is like."""

    teachers: Teachers
    solver: TiledMattingNet

    def __call__(self, picture: Picture, drawn: NDArray[np.uint8] | None) -> Labelled:
        """The label of a picture (H, W, 3), uint8, for which there may be a drawn one (H, W)."""
        if drawn is None:
            return refined(from_teachers(picture, self.teachers), self.solver)
        rough = refined(from_drawn(picture, drawn), self.solver)
        # what was not trusted is the drawing's edge, which is solved now
        label = rough.label.copy()
        label[..., 2] = 255
        return Labelled(picture, label)


def prepare_labels(cache: Path, shared_data: Path, load_labeller: Callable[[], Labeller]) -> int:
    """Write the labels that are not in ``cache`` yet; returns how many were written.

    Where an earlier call came to its end, nothing is looked at again, and no labeller is loaded. Clips of a
    kind that the training does not know are left out.
    """
    cache.mkdir(parents=True, exist_ok=True)
    done = cache / "whole"
    if done.exists():
        return 0
    labelled, written = load_labeller(), 0
    for name, picture, drawn in _sources(shared_data):
        if not (cache / f"{name}.png").exists():
            save(cache / name, labelled(picture, drawn))
            written += 1
    done.touch()
    return written


def from_drawn(picture: Picture, label: NDArray[np.uint8]) -> Labelled:
    """From classes 0 background, 1 person, 2 hair; the 5 px round each edge are not trusted."""
    person = (label > 0).astype(np.uint8)
    square = np.ones((5, 5), np.uint8)
    edge = cv2.dilate(person, square) - cv2.erode(person, square)
    soft = [cv2.GaussianBlur(m.astype(np.float32), (0, 0), 1.0) for m in (label > 0, label == 2)]
    return Labelled(picture, _levels(soft[0], soft[1], 1 - edge))


def from_teachers(picture: Picture, teachers: Teachers) -> Labelled:
    """From three teachers; where selfie and VOC segmenter differ over an area, weight is 0.

    The selfie segmenter, which knows far more people, is believed alone where it sees somebody in all of
    its views of the picture. Where only the other one does, it may be a passer-by, and stays open.
    """
    views, voc, hair = teachers.person_views(picture), teachers.voc_person(picture), teachers.hair(picture)
    selfie = views.mean(axis=0)
    person = np.maximum(selfie, hair * (cv2.dilate(selfie, np.ones((25, 25))) > 0.5))
    reach = max(3, round(max(picture.shape[:2]) / 45)) | 1
    differ = ((person > 0.5) != (voc > 0.5)) & (views.min(axis=0) < _SURE)
    differ = differ.astype(np.uint8)
    differ = cv2.morphologyEx(differ, cv2.MORPH_OPEN, np.ones((reach, reach), np.uint8))
    differ = cv2.dilate(differ, np.ones((reach, reach), np.uint8))
    return Labelled(picture, _levels(person, hair * person, 1 - differ))


def refined(item: Labelled, solver: TiledMattingNet) -> Labelled:
    """The label with alpha in the band about its edge, as the product solves it; hair is no more than that.

    Where the label is soft the band is wide: a part of a body of which the teachers were in doubt is found.
    """
    height, width = item.picture.shape[:2]
    maps, picture = (_planes(pixels) for pixels in (item.label[..., :2], item.picture))
    small = working_size(height, width, SegmentOptions().long_side_px)
    seen = F.interpolate(maps / 255, small, mode="bilinear", align_corners=False, antialias=True)
    trimap = draw_trimap(seen, size=(height, width), options=TrimapOptions())
    guess = encode_alpha_prior(maps[:, :1] / 255, (height, width))
    alpha = solver.infer_sequence(picture.to(torch.uint8), trimap, prior=guess)[0][0, 0].numpy()
    person = np.rint(alpha * 255).astype(np.uint8)
    hair, weight = np.minimum(item.label[..., 1], person), item.label[..., 2]
    return Labelled(item.picture, np.dstack([person, hair, weight]))


def _planes(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None].float()


def save(stem: Path, item: Labelled) -> None:
    """Write picture and label beside each other; the label last, as it marks the pair as whole."""
    cv2.imwrite(f"{stem}.jpg", item.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    cv2.imwrite(f"{stem}.png", item.label[..., ::-1])


def load(stem: Path) -> Labelled:
    """Read what `save` wrote."""
    return Labelled(read_rgb(Path(f"{stem}.jpg")), read_rgb(Path(f"{stem}.png")))


def _levels(*channels: NDArray[Any]) -> Picture:
    return np.asarray(np.rint(np.dstack(channels) * 255), np.uint8)


def _sources(shared: Path) -> Iterator[tuple[str, Picture, NDArray[np.uint8] | None]]:
    for kind in ("interfaces", "pixabay"):
        for path in sorted((shared / "people" / kind).glob("*.jpg")):
            yield f"{kind}_{path.stem}", read_rgb(path, long_side=_LONG_SIDE_PX), None
    for path in sorted(p for p in (shared / "clips").glob("*") if p.suffix in (".mkv", ".mp4")):
        wanted = _CLIP_FRAMES.get(re.split(r"[_-]", path.stem)[0])
        if wanted is not None:
            yield from _clip_frames(path, wanted)
    ccp = shared / "people/ccp"
    passed_by = crowded(ccp)
    for path in sorted((ccp / "image").glob("*.jpg")):
        if path.stem != _HALF_LABELLED:
            label = cv2.imread(str(ccp / "label" / f"{path.stem}.png"), cv2.IMREAD_GRAYSCALE)
            kind = CROWD if path.stem in passed_by else "ccp"
            yield f"{kind}_{path.stem}", read_rgb(path), np.asarray(label, np.uint8)


def _clip_frames(path: Path, wanted: int) -> Iterator[tuple[str, Picture, None]]:
    with ClipReader(path) as reader:
        every = max(1, (reader.info.expected_frames or wanted) // wanted)
        frames = (rgb for batch in reader for rgb in to_rgb(batch))
        for i, rgb in enumerate(frames):
            if i % every == 0:
                picture = (rgb.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
                scale = min(1.0, _LONG_SIDE_PX / max(picture.shape[:2]))
                small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                yield f"{path.stem}_{i:05d}", np.asarray(small, np.uint8), None
