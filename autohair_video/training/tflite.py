"""A TFLite network: arrays in, arrays out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autohair_video.errors import JobError

Picture = NDArray[np.uint8]
Probability = NDArray[np.float32]


class TFLiteNetwork:
    """A network with one input, on one thread.

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
        self._outputs = self._net.get_output_details()

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of its input in px."""
        _, height, width, _ = self._input["shape"]
        return int(height), int(width)

    def __call__(self, values: NDArray[Any]) -> list[Probability]:
        """(h, w, C) at the input's size -> the outputs, without their batch axis, float32."""
        self._net.set_tensor(self._input["index"], np.asarray(values, np.float32)[None])
        self._net.invoke()
        return [np.array(self._net.get_tensor(o["index"])[0], np.float32) for o in self._outputs]
