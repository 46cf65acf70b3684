"""Teachers: small permissive networks whose answers label pictures that have no labels.

MediaPipe's selfie and hair segmenters run from their TFLite files (extra ``train``); the DeepLab v3 that
training starts from serves as a third opinion on where people are.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch.nn import functional as F

from autohair_video.errors import JobError
from autohair_video.models.deeplab import DeepLabV3Plus
from autohair_video.training.pretrained import start_segmenter

Picture = NDArray[np.uint8]
Probability = NDArray[np.float32]
_VOC_PERSON = 15


class TFLiteTeacher:
    """One TFLite network; stretches the picture to the network's input and the answer back.

    Raises:
        JobError: the extra ``train`` is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as exc:
            raise JobError("ai-edge-litert cannot be imported: pip install 'autohair-video[train]'") from exc
        self._net = Interpreter(model_path=str(path), num_threads=1)
        self._net.allocate_tensors()
        self._input = self._net.get_input_details()[0]
        self._output = self._net.get_output_details()[0]

    def __call__(self, picture: Picture, *extra: Probability) -> Probability:
        """(H, W, 3) uint8 RGB and extra (H, W) channels -> (H, W, C) raw output."""
        _, height, width, _ = self._input["shape"]
        small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) / np.float32(255)
        channels = [small, *(cv2.resize(e, (width, height)) for e in extra)]
        self._net.set_tensor(self._input["index"], np.dstack(channels)[None].astype(np.float32))
        self._net.invoke()
        answer = self._net.get_tensor(self._output["index"])[0]
        grown = cv2.resize(answer, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return np.asarray(grown.reshape(*picture.shape[:2], -1), np.float32)


def hair_in_two_looks(segmenter: TFLiteTeacher, picture: Picture) -> Probability:
    """Hair (H, W) in 0..1 by the hair segmenter: its first answer is the prior of its second, better one."""
    prior = np.zeros(picture.shape[:2], np.float32)
    for _ in range(2):
        logits = segmenter(picture, prior)
        prior = 1 / (1 + np.exp(logits[..., 0] - logits[..., 1]))
    return prior


class Teachers:
    """Person and hair probabilities, (H, W) float32 in 0..1, of an (H, W, 3) uint8 RGB picture."""

    def __init__(self, folder: Path, deeplab: Path) -> None:
        self._selfie = TFLiteTeacher(folder / "selfie_segmentation.tflite")
        self._hair = TFLiteTeacher(folder / "hair_segmentation.tflite")
        self._voc = _VocPerson(deeplab)

    def person(self, picture: Picture) -> Probability:
        """By the selfie segmenter: good on portraits, soft at 256 px."""
        return self._selfie(picture)[..., 0]

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
        """By the hair segmenter, see `hair_in_two_looks`."""
        return hair_in_two_looks(self._hair, picture)

    def voc_person(self, picture: Picture) -> Probability:
        """By DeepLab v3 trained on VOC: anybody, at any size, coarse at edges."""
        return self._voc(picture)


class _VocPerson:
    def __init__(self, path: Path) -> None:
        self._net = DeepLabV3Plus().eval()
        start_segmenter(self._net, path)
        tensors = load_file(path)
        self._weight, self._bias = tensors["logits.weight"], tensors["logits.bias"]

    @torch.inference_mode()
    def __call__(self, picture: Picture) -> Probability:
        height, width = picture.shape[:2]
        scale = 513 / max(height, width)
        small = cv2.resize(picture, (round(width * scale), round(height * scale)))
        square = np.full((513, 513, 3), 127.5, np.float32)
        square[: small.shape[0], : small.shape[1]] = small
        x = torch.from_numpy(square / 127.5 - 1).permute(2, 0, 1)[None]
        logits = F.conv2d(self._net.aspp(self._net.encoder(x)[-1]), self._weight, self._bias)
        person = logits.softmax(1)[:, _VOC_PERSON : _VOC_PERSON + 1]
        person = F.interpolate(person, (513, 513), mode="bilinear", align_corners=True)
        person = person[..., : small.shape[0], : small.shape[1]]
        grown = F.interpolate(person, (height, width), mode="bilinear", align_corners=False)
        return np.asarray(grown[0, 0].numpy(), np.float32)
