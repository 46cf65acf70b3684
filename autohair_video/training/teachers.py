"""Teachers: small permissive networks whose answers label pictures that have no labels.

MediaPipe's selfie and hair segmenters and BlazePose run from their TFLite files (extra ``train``); the
DeepLab v3 that training starts from and the shipped segmenter are further opinions on where people are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.nn import functional as F

from autohair_video.matting.segmentation import Segmenter
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.options import SegmentOptions
from autohair_video.runtime.devices import has_fast_bfloat16, working_dtype
from autohair_video.training.agreement import Opinions
from autohair_video.training.blazepose import BlazePose, PosedPerson, Square
from autohair_video.training.pretrained import start_segmenter
from autohair_video.training.tflite import Picture, Probability, TFLiteNetwork
from autohair_video.weights import load_network

_CPU = torch.device("cpu")
_VOC_PERSON, _VOC_LONG_SIDE_PX, _VOC_STRIDE_PX = 15, 513, 16
# The long side at which the shipped segmenter looks: it is one opinion of several.
_OWN_LONG_SIDE_PX = 448
# The hair segmenter is asked about at most so many heads, and about none whose square is smaller, px.
_MOST_HEADS, _LEAST_HEAD_PX = 4, 130
_HAIR_CROP_PX = 512
# Hair begins within the first of these shares of a head's square and ends within the second.
_HAIR_ROOT, _HAIR_REACH = 0.22, 0.75
# VOC's class 0 is background.
_VOC_BACKGROUND = 0


class TFLiteTeacher(TFLiteNetwork):
    """One TFLite network; stretches the picture to the network's input and the answer back."""

    def ask(self, picture: Picture, *extra: Probability) -> Probability:
        """(H, W, 3) uint8 RGB and extra (H, W) channels -> (H, W, C) raw output."""
        height, width = self.input_size
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
        channels = [small, *(cv2.resize(e, (width, height)) for e in extra)]
        answer = self(np.dstack(channels))[0]
        grown = cv2.resize(answer, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(grown.reshape(*picture.shape[:2], -1), np.float32)


def hair_in_two_looks(segmenter: TFLiteTeacher, picture: Picture) -> Probability:
    """Hair (H, W) in 0..1 by the hair segmenter: its first answer is the prior of its second, better one."""
    prior = np.zeros(picture.shape[:2], np.float32)
    for _ in range(2):
        logits = segmenter.ask(picture, prior)
        prior = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    return prior


class Teachers:
    """Person and hair probabilities, (H, W) float32 in 0..1, of an (H, W, 3) uint8 RGB picture."""

    def __init__(self, folder: Path, deeplab: Path) -> None:
        self._selfie = TFLiteTeacher(folder / "selfie_segmentation.tflite")
        self._hair = TFLiteTeacher(folder / "hair_segmentation.tflite")
        self._pose = BlazePose(folder)
        self._voc = _VocPerson(deeplab)
        network = load_network("segmenter-fast", role="segmenter").to(working_dtype(_CPU))
        self._own = Segmenter(
            network.to(memory_format=torch.channels_last), SegmentOptions(long_side_px=_OWN_LONG_SIDE_PX)
        )

    def __call__(self, picture: Picture) -> Opinions:
        """What all of them say."""
        own = self.own_person(picture)
        people = self._pose.people(picture, own)
        hair, known = self.hair_of_heads(picture, people)
        voc, things = self.voc_person(picture)
        return Opinions(people, self.person_views(picture), voc, things, own, hair, known)

    def person(self, picture: Picture) -> Probability:
        """By the selfie segmenter: good on portraits, soft at 256 px."""
        return self._selfie.ask(picture)[..., 0]

    def person_views(self, picture: Picture) -> NDArray[np.float32]:
        """(6, H, W): the same of six views: the picture, and it with two margins, each mirrored too."""
        height, width = picture.shape[:2]
        square = (max(0, width - height) // 2, max(0, height - width) // 2)
        wide = (round(height * 0.15), round(width * 0.15))
        seen = []
        for rows, columns in ((0, 0), square, wide):
            framed = cv2.copyMakeBorder(picture, rows, rows, columns, columns, cv2.BORDER_REPLICATE)
            for step in (1, -1):
                person = self.person(np.ascontiguousarray(framed[:, ::step]))[:, ::step]
                seen.append(person[rows : rows + height, columns : columns + width])
        return np.stack(seen)

    def hair(self, picture: Picture) -> Probability:
        """By the hair segmenter on the whole picture, see `hair_in_two_looks`."""
        return hair_in_two_looks(self._hair, picture)

    def hair_of_heads(self, picture: Picture, people: list[PosedPerson]) -> tuple[Probability, Probability]:
        """Hair by the hair segmenter on crops of the largest heads, and 1 where it was asked.

        Where a head and shoulders fill the picture, or nobody was found, it is asked about the whole picture.
        """
        height, width = picture.shape[:2]
        squares = sorted((p.head_square for p in people), key=lambda square: -square.side)
        hair, known = (np.zeros((height, width), np.float32) for _ in range(2))
        if not squares or squares[0].side > 0.8 * min(height, width):
            hair = self.hair(picture)
            return (rooted(hair, squares) if squares else hair), np.ones_like(known)
        for square in squares[:_MOST_HEADS]:
            if square.side >= _LEAST_HEAD_PX:
                crop = np.asarray(square.crop(picture, _HAIR_CROP_PX), np.uint8)
                seen = hair_in_two_looks(self._hair, crop)
                hair = np.maximum(hair, square.paste(seen, height, width, outside=0))
                asked = square.paste(np.ones_like(seen), height, width, outside=0)
                known = np.maximum(known, np.asarray(asked > 0.5, np.float32))
        return rooted(hair, squares), known

    def voc_person(self, picture: Picture) -> tuple[Probability, Probability]:
        """By DeepLab v3 trained on VOC: people of any size, coarse at edges, and animals and things."""
        return self._voc(picture)

    def own_person(self, picture: Picture) -> Probability:
        """By the segmenter that the package ships."""
        height, width = picture.shape[:2]
        rgb = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None].float() / 255
        person = self._own(rgb)[:, :1]
        grown = F.interpolate(person, (height, width), mode="bilinear", align_corners=False)
        return np.asarray(grown[0, 0].numpy(), np.float32)


def rooted(hair: Probability, squares: Sequence[Square]) -> Probability:
    """The regions of ``hair`` (H, W) that begin at a head and stay within reach: no fur, no dark cloth."""
    _, parts = cv2.connectedComponents(np.asarray(hair > 0.1, np.uint8))
    kept = np.zeros(hair.shape, bool)
    for square in squares:
        head, near = (_disc(square, share, hair.shape) for share in (_HAIR_ROOT, _HAIR_REACH))
        roots = np.unique(parts[head & (hair > 0.5)])
        kept |= near & np.isin(parts, roots[roots > 0])
    return np.asarray(hair * kept, np.float32)


def _disc(square: Square, share: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    x, y = (round(value) for value in square.centre)
    disc = cv2.circle(np.zeros(shape, np.uint8), (x, y), round(share * square.side), 1, -1)
    return np.asarray(disc > 0)


class _VocPerson:
    def __init__(self, path: Path) -> None:
        self._net = DeepLabV3Plus().eval()
        start_segmenter(self._net, path)
        tensors = load_file(path)
        self._weight, self._bias = tensors["logits.weight"], tensors["logits.bias"]

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> tuple[Probability, Probability]:
        height, width = picture.shape[:2]
        scale = _VOC_LONG_SIDE_PX / max(height, width)
        small = cv2.resize(picture, (round(width * scale), round(height * scale)))
        rows, columns = (-(-(n - 1) // _VOC_STRIDE_PX) * _VOC_STRIDE_PX + 1 for n in small.shape[:2])
        padded = np.full((rows, columns, 3), 127.5, np.float32)
        padded[: small.shape[0], : small.shape[1]] = small
        x = torch.from_numpy(padded / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.autocast("cpu", torch.bfloat16, enabled=has_fast_bfloat16(_CPU)):
            logits = F.conv2d(self._net.aspp(self._net.encoder(x)[-1]), self._weight, self._bias).float()
        classes = logits.softmax(1)
        person = classes[:, _VOC_PERSON : _VOC_PERSON + 1]
        things = 1 - person - classes[:, _VOC_BACKGROUND : _VOC_BACKGROUND + 1]
        both = torch.cat([person, things], dim=1)
        both = F.interpolate(both, (rows, columns), mode="bilinear", align_corners=True)
        both = both[..., : small.shape[0], : small.shape[1]]
        grown = F.interpolate(both, (height, width), mode="bilinear", align_corners=False)
        voc, things = grown[0].numpy()
        return np.asarray(voc, np.float32), np.asarray(things, np.float32)
