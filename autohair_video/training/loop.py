"""The training loop of both networks: seeded, logged, resumable, on CPU or CUDA.

A run lives in one folder: ``checkpoint.pt`` (everything needed to go on), ``log.jsonl`` (one line per
report) and ``NAME.safetensors`` (the averaged weights, ready for use). A run that is started again in
its folder goes on where the last checkpoint was written.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from autohair_video.errors import OptionError
from autohair_video.runtime.atomic import atomic_write
from autohair_video.runtime.devices import choose_device, has_fast_bfloat16

Batch = dict[str, Tensor]
Loss = Callable[[nn.Module, Batch], dict[str, Tensor]]


@dataclass(frozen=True)
class TrainOptions:
    """Length and pace of a run. ``steps`` is the whole run's, over all its restarts.

    ``workers`` processes prepare the batches; 0 does it in between, which is best on few cores.
    ``crop_px`` is a multiple of 32. ``device`` is a name that `devices.choose_device` knows.
    ``encoder_share``: of the learning rate, what the encoder gets. A little keeps what its initial weights
    know of far more pictures than there are here.

    Raises:
        OptionError: a number makes no sense, or there is no device type of that name.
        DeviceError: the device is not there.
    """

    steps: int
    batch: int = 8
    crop_px: int = 256
    learning_rate: float = 3e-4
    encoder_share: float = 1.0
    warmup_steps: int = 200
    average: float = 0.998
    clip_norm: float = 1.0
    seed: int = 0
    report_every: int = 50
    checkpoint_every: int = 250
    device: str = "cpu"
    workers: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch) < 1:
            raise OptionError(f"{self.steps} steps of {self.batch} samples train nothing: use 1 or more")
        if self.crop_px < 32 or self.crop_px % 32:
            raise OptionError(f"samples of {self.crop_px} px do not fit the networks: use a multiple of 32")
        choose_device(self.device)


class Run:
    """A network on its way through training; `go` takes it to the end.

    The options of a run that goes on are the new call's, not those that it was begun with.
    """

    def __init__(self, model: nn.Module, options: TrainOptions, folder: Path, name: str) -> None:
        self.options, self.folder, self.name = options, folder, name
        self.device = choose_device(options.device)
        self.model = model.to(self.device).to(memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.model).requires_grad_(requires_grad=False)
        self.optimiser = torch.optim.AdamW(self._groups(), lr=options.learning_rate, weight_decay=1e-4)
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if self.checkpoint.exists():
            self._restore()

    @property
    def checkpoint(self) -> Path:
        """Where the run's whole state is kept."""
        return self.folder / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        """Where the averaged weights are kept, half precision."""
        return self.folder / f"{self.name}.safetensors"

    def go(self, batches: Iterator[Batch], loss: Loss) -> None:
        """Train to the last step. ``batches`` are CPU tensors; ``loss`` returns its named parts."""
        began, sums, first = time.monotonic(), dict[str, float](), self.step
        summed = 0
        self.model.train()
        while self.step < self.options.steps:
            parts = self._advance(next(batches), loss)
            for part, value in parts.items():
                sums[part] = sums.get(part, 0.0) + value
            summed += 1
            if self.step % self.options.report_every == 0:
                pace = (time.monotonic() - began) / (self.step - first)
                means = {part: total / summed for part, total in sums.items()}
                self._report({"step": self.step, "s_per_step": round(pace, 4), **means})
                sums.clear()
                summed = 0
            if self.step % self.options.checkpoint_every == 0:
                self.save()
        self.save()

    def _advance(self, batch: Batch, loss: Loss) -> dict[str, float]:
        # an optimiser that was restored has its former settings: the shares are not among them
        for group, share in zip(self.optimiser.param_groups, (self.options.encoder_share, 1.0), strict=True):
            group["lr"] = self._learning_rate() * share
        batch = {key: value.to(self.device) for key, value in batch.items()}
        # bfloat16 has float32's range, so no loss scaling is needed.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=has_fast_bfloat16(self.device)):
            parts = loss(self.model, batch)
        total = torch.stack(list(parts.values())).sum()
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(total)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.options.clip_norm)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        self._average()
        return {part: float(value.detach()) for part, value in parts.items()}

    def _groups(self) -> list[dict[str, Any]]:
        """The encoder's parameters, and the others."""
        named = list(self.model.named_parameters())
        return [
            {"params": [p for name, p in named if name.startswith("encoder.") is encoder]}
            for encoder in (True, False)
        ]

    def _learning_rate(self) -> float:
        """Linear warm-up, then a cosine down to a hundredth."""
        o = self.options
        if self.step < o.warmup_steps:
            return o.learning_rate * (self.step + 1) / o.warmup_steps
        share = (self.step - o.warmup_steps) / max(1, o.steps - o.warmup_steps)
        return o.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.options.average, (self.step + 1) / (self.step + 10))
        for slow, fast in zip(self.averaged.parameters(), self.model.parameters(), strict=True):
            slow.lerp_(fast, 1 - keep)

    def _report(self, line: dict[str, Any]) -> None:
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")
        print(
            " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in line.items()),
            flush=True,
        )

    def save(self) -> None:
        """Write the checkpoint and the averaged weights, each atomically."""
        state = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "options": asdict(self.options),
        }
        with atomic_write(self.checkpoint) as part:
            torch.save(state, part)
        save_weights(self.averaged.state_dict(), self.weights)

    def _restore(self) -> None:
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]


def save_weights(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a network's weights as half-precision safetensors, atomically."""
    tensors = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
    with atomic_write(path) as part:
        save_file(tensors, part)
