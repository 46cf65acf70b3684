"""Checks an output's samples: alpha is there, straight or premultiplied; opaque pixels are unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from torch import Tensor
from torch.nn.functional import avg_pool2d

from autohair_video.compositing.despill import spill
from autohair_video.frames import FrameFormat
from autohair_video.media.alpha_reader import StoredFrame
from autohair_video.media.presets import Preset
from autohair_video.media.transfer import from_linear, to_linear
from autohair_video.options import Screen
from autohair_video.verify.checks import Check

# Every 8th frame gets the pixel checks.
_EVERY: Final = 8
_NEIGHBOURHOOD_PX: Final = 21
_OPAQUE: Final = 0.99
_EDGE: Final = (0.1, 0.9)
_FEWEST: Final = 40
# Colours darker than this look alike, multiplied or not.
_DARK: Final = 0.08
_FAITHFUL: Final = 0.03
_ROOT: Final = 0.25
_UNEVEN: Final = 0.25


@dataclass
class PixelEvidence:
    """Accumulates statistics of colours and alpha over the frames of an output."""

    preset: Preset
    format: FrameFormat
    despill: Screen = "off"
    count: int = 0
    lowest: float = 1.0
    highest: float = 0.0
    missing: int = 0
    straight_error: float = 0.0
    premultiplied_error: float = 0.0
    edge_pixels: int = 0
    opaque_errors: list[float] = field(default_factory=list)

    def add(self, given: Tensor | None, stored: StoredFrame | None) -> None:
        """The next frame of the input, (3, H, W) R'G'B' in 0..1, and of the output; None past its end."""
        if stored is None:
            return
        self.count += 1
        if self.preset.role != "alpha":
            self.missing += stored.alpha is None
            return
        rgb, alpha = self._parts(stored)
        if alpha is None:
            self.missing += 1
            return
        self.lowest, self.highest = (
            min(self.lowest, float(alpha.min())),
            max(self.highest, float(alpha.max())),
        )
        if self.count % _EVERY == 1:
            self._sample_pixels(given, rgb, alpha)

    def checks(self) -> list[Check]:
        """What was found."""
        if self.preset.role != "alpha":
            there = self.count - self.missing
            return [Check("alpha", there == 0, "none", "none" if not there else f"in {there} frames")]
        found = f"missing in {self.missing}" if self.missing else f"{self.lowest:.3f} to {self.highest:.3f}"
        checks = [Check("alpha", self.count > 0 and not self.missing, "in every frame", found)]
        if not self.missing:
            checks += [self._kind(), self._faithfulness()]
        return checks

    def _parts(self, stored: StoredFrame) -> tuple[Tensor, Tensor | None]:
        """Colours and alpha, wherever the preset puts them."""
        if self.preset.arrangement == "single":
            return stored.rgb, stored.alpha
        dim = 1 if self.preset.arrangement == "stacked" else 2
        rgb, gray = stored.rgb.chunk(2, dim=dim)
        return rgb, gray.mean(dim=0).clamp(0, 1)

    def _sample_pixels(self, given: Tensor | None, rgb: Tensor, alpha: Tensor) -> None:
        opaque = alpha >= _OPAQUE
        # Light has too wide a range to be averaged as it is.
        power = _ROOT if self.preset.is_linear else 1.0
        rgb = rgb.clamp_min(0) ** power
        if given is not None and given.shape == rgb.shape and opaque.any():
            given = self._despilled(given)
            wanted = to_linear(given, self.format) ** power if self.preset.is_linear else given
            self.opaque_errors.append(float((rgb - wanted).abs()[:, opaque].mean()))
        nearby, is_even = _colour_nearby(rgb, opaque)
        edge = (alpha > _EDGE[0]) & (alpha < _EDGE[1]) & is_even & (nearby.amax(0) > _DARK)
        if edge.any():
            colours, near, weight = rgb[:, edge], nearby[:, edge], alpha[edge]
            self.straight_error += float((colours - near).abs().mean(0).sum())
            self.premultiplied_error += float((colours - self._multiplied(near, weight)).abs().mean(0).sum())
            self.edge_pixels += int(edge.sum())

    def _despilled(self, rgb: Tensor) -> Tensor:
        """The input as a job that removes a screen's spill shows it."""
        if self.despill == "off":
            return rgb
        channel = 1 if self.despill == "green" else 2
        clean = rgb.clone()
        clean[channel] -= spill(rgb[None], self.despill)[0, 0]
        return clean

    def _multiplied(self, colours: Tensor, alpha: Tensor) -> Tensor:
        """The expected premultiplied colours."""
        if self.preset.multiplies_light and not self.preset.is_linear:
            return from_linear(to_linear(colours, self.format) * alpha, self.format)
        return colours * alpha ** (_ROOT if self.preset.is_linear else 1.0)

    def _kind(self) -> Check:
        promised = "straight" if self.preset.alpha != "premultiplied" else "premultiplied"
        if self.edge_pixels < _FEWEST:
            return Check("colours", None, promised, "too few edge pixels beside one bright colour to tell")
        straight = self.straight_error < self.premultiplied_error
        found = "straight" if straight else "premultiplied"
        return Check("colours", found == promised, promised, f"{found}, by {self.edge_pixels} edge pixels")

    def _faithfulness(self) -> Check:
        if not self.opaque_errors:
            return Check("opaque pixels", None, "the input's own", "none are opaque")
        worst = max(self.opaque_errors)
        return Check(
            "opaque pixels", worst <= _FAITHFUL, "the input's own", f"off by {255 * worst:.2f} of 255"
        )


def _colour_nearby(rgb: Tensor, opaque: Tensor) -> tuple[Tensor, Tensor]:
    """Mean colour (3, H, W) of the opaque pixels around each, and where (H, W) these are about alike."""
    size = min(_NEIGHBOURHOOD_PX, 2 * ((min(opaque.shape) - 1) // 2) + 1)

    def blurred(planes: Tensor) -> Tensor:
        return avg_pool2d(planes[None], size, stride=1, padding=size // 2)[0]

    weight = blurred(opaque[None].float())
    norm = weight.clamp_min(1e-6)
    mean, square = blurred(rgb * opaque) / norm, blurred(rgb**2 * opaque) / norm
    spread = (square - mean**2).clamp_min(0).sqrt().amax(0)
    return mean, (weight[0] > 1e-4) & (spread < _UNEVEN * mean.amax(0))
