"""The stages composed: frames in time order -> the same frames with their mattes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autohair_video.errors import DeviceError, OptionError
from autohair_video.frames import FrameBatch, Matte
from autohair_video.matting.edges import adjust_edges
from autohair_video.matting.matte import BandSolver
from autohair_video.matting.segment import Segmenter
from autohair_video.matting.subject import (
    Guide,
    Kept,
    SubjectState,
    add_kept,
    keep_subject,
    limit_alpha,
    upper_limit,
)
from autohair_video.matting.temporal import (
    TemporalState,
    estimate_motions,
    smooth_alpha,
    smooth_probability,
)
from autohair_video.matting.trimap import draw_trimap, quantise_trimap
from autohair_video.media.colour import to_rgb
from autohair_video.options import MatterOptions, Tier
from autohair_video.timing import Watch, unwatched
from autohair_video.weights import Role, load_network


def choose_device(name: str = "auto") -> torch.device:
    """The device of that name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        OptionError: there is no device type of that name.
        DeviceError: this machine, or this build of torch, does not have it.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    kind = name.split(":")[0]
    if kind not in available:
        raise OptionError(f"unknown device {name!r}: use auto, cpu, cuda or mps")
    if not available[kind]:
        raise DeviceError(f"no {kind} device on this machine; use --device cpu or auto")
    return torch.device(name)


@dataclass(frozen=True)
class ClipState:
    """What a batch hands to the next one of the same clip."""

    temporal: TemporalState
    subject: SubjectState | None = None


@dataclass
class Carry:
    """State in time that outlives one call of `Matter.frames`, where a clip is matted in parts.

    ``state`` is that after the last frame of a part: dataclasses of tensors and plain values only, so
    that it can be saved. None at the beginning of a clip.
    """

    state: ClipState | None = None


class Matter:
    """Mattes images and frames. Made once: it loads the networks and holds no state between clips.

    Args:
        tier: ``fast`` or ``best``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        options: how each stage works; the tier's defaults without it.
        segmenter: weights file of the segmenter instead of the tier's.
        matter: weights file of the matting network instead of the tier's.

    Raises:
        WeightsError: weights are missing, altered or do not fit.
        DeviceError: the device is not there.
    """

    def __init__(
        self,
        *,
        tier: Tier = "fast",
        device: str = "auto",
        options: MatterOptions | None = None,
        segmenter: str | Path | None = None,
        matter: str | Path | None = None,
    ) -> None:
        self.tier = tier
        self.watch: Watch = unwatched
        self.device = choose_device(device)
        self.options = options or MatterOptions.for_tier(tier)
        self._networks: list[nn.Module] = []
        self.segment = Segmenter(self._network("segmenter", segmenter), self.options.segment)
        self.solve = BandSolver(self._network("matter", matter), self.options.tiles)

    def _network(self, role: Role, own: str | Path | None) -> nn.Module:
        network = load_network(own or f"{role}-{self.tier}", role=role)
        network = network.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type != "cpu":
            network.half()
        self._networks.append(network)
        return network

    def fingerprint(self) -> str:
        """A digest of all that decides a matte: weights, options, and the kind of device."""
        digest = hashlib.sha256(f"{self.options} {self.device.type}".encode())
        for network in self._networks:
            for tensor in network.state_dict().values():
                digest.update(tensor.float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def frames(
        self, batches: Iterable[FrameBatch], *, guide: Guide | None = None, carry: Carry | None = None
    ) -> Iterator[tuple[FrameBatch, Matte]]:
        """Matte a clip: consecutive frames in time order.

        Args:
            batches: the frames, on any device.
            guide: which of the bodies is the subject, and what is forced in or out.
            carry: where the batches are a part of a clip, what the part before it left; when they are
                used up, it holds what this one leaves.

        Yields:
            Each batch on the Matter's device, and its matte. Where the device's memory was too small
            for a batch, it comes back in parts.

        Raises:
            DeviceError: a single frame needs more memory than the device has.
        """
        state = carry.state if carry else None
        guide = Guide() if guide is None else guide.to(self.device)
        for batch in batches:
            with self.watch("upload"):
                batch = batch.to(self.device)
            done, state = self._step(batch, state, guide)
            yield from done
        if carry is not None:
            carry.state = state

    def image(
        self, image: NDArray[np.uint8] | Tensor, trimap: NDArray[np.uint8] | Tensor | None = None
    ) -> Tensor:
        """Alpha of one picture.

        Args:
            image: (H, W, 3) uint8 RGB array, or (3, H, W) float tensor in 0..1.
            trimap: (H, W) uint8 array or tensor of 0, 128 and 255; without it, it is made.

        Returns:
            (H, W) float32 alpha in 0..1 on the CPU.

        Raises:
            OptionError: picture and trimap differ in size, or a shape is wrong.
        """
        rgb = _as_rgb(image).to(self.device)
        known = None if trimap is None else _as_trimap(trimap, rgb).to(self.device)
        return self.still(rgb, known).alpha[0, 0].cpu()

    def still(self, rgb: Tensor, trimap: Tensor | None = None, guide: Guide | None = None) -> Matte:
        """Matte of one picture: (1, 3, H, W) float RGB in 0..1, (1, 1, H, W) uint8 trimap or None."""
        rgb = rgb.to(self.device)
        guide = Guide() if guide is None else guide.to(self.device)
        kept = None
        if trimap is None:
            kept = self._kept(self.segment(rgb), rgb, (Fraction(guide.subject.at_s),), guide, None)
            trimap = self._trimap(kept.seen, rgb)
        known = trimap.to(self.device)
        alpha = self._finish(self.solve(rgb, known), guide, kept)
        return Matte(alpha=alpha, trimap=known, notices=kept.notices if kept else ())

    def _step(
        self, batch: FrameBatch, state: ClipState | None, guide: Guide
    ) -> tuple[list[tuple[FrameBatch, Matte]], ClipState]:
        try:
            matte, new_state = self._matte(batch, state, guide)
        except torch.OutOfMemoryError as exc:
            if len(batch) == 1:
                f = batch.format
                raise DeviceError(
                    f"{self.device} has too little memory for one {f.width}x{f.height} frame; "
                    "use --device cpu or a smaller clip"
                ) from exc
        else:
            return [(batch, matte)], new_state
        first, second = batch.halves()
        done, state = self._step(first, state, guide)
        rest, state = self._step(second, state, guide)
        return done + rest, state

    def _matte(self, batch: FrameBatch, state: ClipState | None, guide: Guide) -> tuple[Matte, ClipState]:
        o, watch = self.options.temporal, self.watch
        past = state.temporal if state else None
        with watch("convert"):
            rgb = to_rgb(batch)
            luma = rgb.mean(dim=1, keepdim=True)
        with watch("segment"):
            seen = self.segment(rgb)
        with watch("temporal"):
            motions = estimate_motions(past.luma if past else None, luma, o)
            seen = smooth_probability(past.probability if past else None, motions, seen, o)
        with watch("subject"):
            times_s = [pts * batch.time_base for pts in batch.pts]
            kept = self._kept(seen, rgb, times_s, guide, state.subject if state else None)
        with watch("trimap"):
            trimap = self._trimap(kept.seen, rgb)
        with watch("matte"):
            alpha = self.solve(rgb, trimap)
        with watch("temporal"):
            alpha = smooth_alpha(past.alpha if past else None, motions, alpha, trimap, o)
        new_state = ClipState(TemporalState(luma[-1:], seen[-1:], alpha[-1:]), kept.state)
        with watch("edges"):
            alpha = self._finish(alpha, guide, kept)
        return Matte(alpha, batch.pts, batch.durations, batch.time_base, trimap, kept.notices), new_state

    def _kept(
        self,
        seen: Tensor,
        rgb: Tensor,
        times_s: Sequence[Fraction],
        guide: Guide,
        state: SubjectState | None,
    ) -> Kept:
        kept = Kept(seen)
        if guide.subject.choice != "all":
            kept = keep_subject(seen, rgb, times_s, guide, state)
        return kept._replace(seen=add_kept(kept.seen, guide.keep))

    def _finish(self, alpha: Tensor, guide: Guide, kept: Kept | None) -> Tensor:
        """Alpha with what the user and the choice of a subject force, and the edge controls."""
        size = (alpha.shape[2], alpha.shape[3])
        high = upper_limit(guide.drop, kept.others if kept else None, size)
        return adjust_edges(limit_alpha(alpha, guide.keep, high), self.options.edges)

    def _trimap(self, seen: Tensor, rgb: Tensor) -> Tensor:
        return draw_trimap(seen, size=(rgb.shape[2], rgb.shape[3]), options=self.options.trimap)


def _as_rgb(image: NDArray[np.uint8] | Tensor) -> Tensor:
    if isinstance(image, Tensor):
        if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
            raise OptionError(f"a tensor of {_shape(image)}: give (3, H, W) float RGB in 0..1")
        return image[None].float()
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise OptionError(f"an array of {_shape(image)}: give (H, W, 3) uint8 RGB")
    return _copied(image).permute(2, 0, 1)[None].float() / 255


def _as_trimap(trimap: NDArray[np.uint8] | Tensor, rgb: Tensor) -> Tensor:
    given = trimap if isinstance(trimap, Tensor) else _copied(trimap)
    if given.shape != rgb.shape[2:] or given.dtype != torch.uint8:
        raise OptionError(
            f"a trimap of {_shape(given)}: give ({rgb.shape[2]}, {rgb.shape[3]}) uint8 as the image"
        )
    return quantise_trimap(given[None, None])


def _copied(array: NDArray[Any]) -> Tensor:
    """Pictures come as read-only views (Pillow) and mirrored ones, which torch does not take."""
    return torch.from_numpy(np.array(array, order="C"))


def _shape(array: Any) -> str:
    return f"shape {tuple(array.shape)}, {array.dtype}"
