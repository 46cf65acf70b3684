"""The stages composed: frames in time order -> the same frames with their mattes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from functools import partial
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from autohair_video.errors import InputError, OptionError
from autohair_video.frames import FrameBatch, Matte, join_frames
from autohair_video.matting.arrays import as_rgb, as_trimap
from autohair_video.matting.matte_adjust import adjust_matte
from autohair_video.matting.optical_flow import Motion, is_low_motion
from autohair_video.matting.preprocess import PreprocessedBatch, preprocess, preprocess_batches
from autohair_video.matting.segmentation import Segmenter
from autohair_video.matting.state import CarriedState, ClipState, PendingFrame
from autohair_video.matting.temporal import (
    InferredAlpha,
    average_with_later,
    correspond_with_later,
    smooth_alphas,
    smooth_probability,
)
from autohair_video.matting.tiled_inference import CachedTile, TiledMattingNet
from autohair_video.matting.trimap import draw_trimaps, encode_alpha_prior
from autohair_video.matting.trimap_expansion import expand_band, keep_expansion
from autohair_video.models.fused_conv import can_fuse, fuse_convolutions
from autohair_video.options import MattingOptions, Tier
from autohair_video.runtime.devices import choose_device, out_of_memory_error, working_dtype
from autohair_video.runtime.profiling import StageClock, untimed
from autohair_video.runtime.queues import prefetch
from autohair_video.runtime.thread_pools import on_each_core
from autohair_video.tracking.selection import (
    SelectedProbability,
    SubjectPrompt,
    SubjectState,
    limit_alpha,
    merge_selected,
    select_subject,
    upper_limit,
)
from autohair_video.weights import Role, load_network

Done = tuple[FrameBatch, Matte]


class MattingPipeline:
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
        options: MattingOptions | None = None,
        segmenter: str | Path | None = None,
        matter: str | Path | None = None,
    ) -> None:
        self.tier = tier
        self.watch: StageClock = untimed
        self.device = choose_device(device)
        self.options = options or MattingOptions.for_tier(tier)
        self._networks: list[nn.Module] = []
        # how many frames of a size the memory has room for, where a batch once was too large
        self._most_frames: dict[tuple[int, int], int] = {}
        self.segment = Segmenter(self._network("segmenter", segmenter), self.options.segment)
        self.segment_still = self.segment.at(self.options.still_segment)
        tiles = self.options.tiles
        if self.options.temporal.mode == "off":
            tiles = replace(tiles, reuse=False)
        self.solve = TiledMattingNet(self._network("matting", matter), tiles)
        self.solve_still = self.solve.at(self.options.still_tiles)

    def _network(self, role: Role, own: str | Path | None) -> nn.Module:
        network = load_network(own or f"{role}-{self.tier}", role=role)
        network = network.to(self.device, working_dtype(self.device)).to(memory_format=torch.channels_last)
        if self.device.type == "cpu" and can_fuse():
            fuse_convolutions(network)
        self._networks.append(network)
        return network

    def fingerprint(self) -> str:
        """A digest of all that decides a matte: weights, options, and the kind of device."""
        kind = self.device.type, working_dtype(self.device)
        digest = hashlib.sha256(f"{self.options} {kind}".encode())
        for network in self._networks:
            for tensor in network.state_dict().values():
                digest.update(tensor.float().cpu().numpy().tobytes())
        return digest.hexdigest()

    def frames(
        self,
        batches: Iterable[FrameBatch],
        *,
        trimaps: Iterable[Tensor] | None = None,
        guide: SubjectPrompt | None = None,
        carry: CarriedState | None = None,
    ) -> Iterator[tuple[FrameBatch, Matte]]:
        """Matte a clip: consecutive frames in time order.

        Args:
            batches: the frames, on any device.
            trimaps: the clip's own trimaps, (N, 1, H, W) uint8 of 0, 128 and 255, as many in all as there
                are frames; without them, they are made.
            guide: which of the bodies is the subject, and what is forced in or out.
            carry: where the batches are a part of a clip, what the part before it left; when they are
                used up, it holds what this one leaves.

        Yields:
            The frames on the pipeline's device, and their matte; with look-ahead some frames later than
            they went in. Where the device's memory was too small for a batch, it comes back in parts.

        Raises:
            DeviceError: a single frame needs more memory than the device has.
            InputError: there are fewer trimaps than frames.
            OptionError: there are trimaps, and ``guide`` names a subject.
        """
        state = carry.state if carry else None
        guide = SubjectPrompt() if guide is None else guide.to(self.device)
        given = None if trimaps is None else (one for some in trimaps for one in torch.split(some, 1))
        before, options = _picture_of(state), self.options.temporal
        # the CPU finds the flow of the next frames while the networks are at these
        parts = (part for batch in batches for part in self._fitting(batch))
        in_turn = preprocess_batches(parts, before, options, device=self.device, watch=self.watch)
        with closing(prefetch(in_turn, depth=1)) as prepared:
            for frames in prepared:
                trimap = None if given is None else _next_trimaps(given, len(frames.batch))
                done, state = self._step(frames, state or ClipState(), guide, trimap)
                yield from done
        if state is not None:
            done, state = self.flush(state, guide=guide)
            yield from done
        if carry is not None:
            carry.state = state

    def step(
        self,
        batch: FrameBatch,
        state: ClipState | None,
        *,
        guide: SubjectPrompt | None = None,
        trimap: Tensor | None = None,
    ) -> tuple[list[Done], ClipState]:
        """One batch of a clip.

        Args:
            batch: the frames that follow those of the last step, on any device.
            state: what the last step gave back; None at the start of a clip.
            guide: as for `frames`, on the MattingPipeline's device.
            trimap: (N, 1, H, W) uint8 of 0, 128 and 255, or None.

        Returns:
            The frames that are done, and the state for the next step. Without look-ahead the batch
            itself is done; with it the last frames wait in the state.

        Raises:
            DeviceError: a single frame needs more memory than the device has.
            OptionError: there is a trimap, and ``guide`` names a subject.
        """
        state, done = state or ClipState(), []
        given = None if trimap is None else iter(torch.split(trimap, 1))
        before, options = _picture_of(state), self.options.temporal
        for frames in preprocess(batch, before, options, device=self.device, watch=self.watch):
            known = None if given is None else _next_trimaps(given, len(frames.batch))
            ready, state = self._step(frames, state, guide or SubjectPrompt(), known)
            done += ready
        return done, state

    def _step(
        self, frames: PreprocessedBatch, state: ClipState, guide: SubjectPrompt, trimap: Tensor | None
    ) -> tuple[list[Done], ClipState]:
        batch = frames.batch
        _check_choice(guide, trimap)
        try:
            state = self._solve_batch(frames, state, guide, trimap)
        except torch.OutOfMemoryError as exc:
            if len(batch) == 1:
                raise out_of_memory_error(self.device, batch.format.width, batch.format.height) from exc
            self._most_frames[_size_of(batch)] = len(batch) - len(batch) // 2
        else:
            return self._ready(state, guide, self.options.temporal.frames_ahead)
        parts = (None, None) if trimap is None else trimap.tensor_split([len(batch) // 2])
        done: list[Done] = []
        for half, part in zip(batch.halves(), parts, strict=True):
            ready, state = self.step(half, state, guide=guide, trimap=part)
            done += ready
        return done, state

    def _fitting(self, batch: FrameBatch) -> Iterator[FrameBatch]:
        """The batch, in parts if the memory has proved too small for as many frames."""
        if len(batch) <= self._most_frames.get(_size_of(batch), len(batch)):
            yield batch
            return
        for half in batch.halves():
            yield from self._fitting(half)

    def flush(self, state: ClipState, *, guide: SubjectPrompt | None = None) -> tuple[list[Done], ClipState]:
        """The frames that still wait when a clip or a part of it has ended, and the state without them."""
        return self._ready(state, guide or SubjectPrompt(), 0)

    def _ready(self, state: ClipState, guide: SubjectPrompt, prefetch: int) -> tuple[list[Done], ClipState]:
        """The frames that ``prefetch`` others follow, as one batch, and the state without them."""
        count = max(0, len(state.waiting) - prefetch)
        if not count:
            return [], state
        with self.watch("temporal"):
            waiting = self._linked(state.waiting)
            steadied = partial(self._steadied, waiting)
            alpha = torch.cat(on_each_core(steadied, range(count), self.device))
        frames = waiting[:count]
        with self.watch("edges"):
            others = [frame.others for frame in frames if frame.others is not None]
            alpha, raw_alpha = self._finish(alpha, guide, torch.cat(others) if others else None)
        batch = join_frames([frame.batch for frame in frames])
        matte = Matte(
            alpha,
            batch.pts,
            batch.durations,
            batch.time_base,
            trimap=torch.cat([frame.solved.trimap for frame in frames]),
            raw_alpha=raw_alpha,
            notices=tuple(line for frame in frames for line in frame.notices),
        )
        return [(batch, matte)], replace(state, waiting=waiting[count:])

    def _linked(self, waiting: tuple[PendingFrame, ...]) -> tuple[PendingFrame, ...]:
        """The same frames, each linked with the one after it, if frames wait for later ones at all."""
        if not self.options.temporal.frames_ahead:
            return waiting
        fresh = [n for n, (here, _) in enumerate(pairwise(waiting)) if here.later is None]

        def link(n: int) -> PendingFrame:
            here, later = waiting[n : n + 2]
            return replace(here, later=correspond_with_later(here.solved, later.solved))

        linked = dict(zip(fresh, on_each_core(link, fresh, self.device), strict=True))
        return tuple(linked.get(n, frame) for n, frame in enumerate(waiting))

    def _steadied(self, waiting: tuple[PendingFrame, ...], n: int) -> Tensor:
        """Alpha of the ``n``-th of them, steadied by those that it looks ahead to."""
        window = waiting[n : n + self.options.temporal.frames_ahead + 1]
        solved, links = [frame.solved for frame in window], [frame.later for frame in window[:-1]]
        return average_with_later(solved, links, self.options.temporal)

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
        rgb = as_rgb(image).to(self.device)
        known = None if trimap is None else as_trimap(trimap, rgb).to(self.device)
        return self.still(rgb, known).alpha[0, 0].cpu()

    def still(self, rgb: Tensor, trimap: Tensor | None = None, guide: SubjectPrompt | None = None) -> Matte:
        """Matte of one picture: (1, 3, H, W) float RGB in 0..1, (1, 1, H, W) uint8 trimap or None.

        Raises:
            OptionError: there is a trimap, and ``guide`` names a subject.
        """
        rgb = rgb.to(self.device)
        pictures = (rgb * 255).round().to(torch.uint8)
        guide = SubjectPrompt() if guide is None else guide.to(self.device)
        _check_choice(guide, trimap)
        if trimap is not None:
            known = trimap.to(self.device)
            alpha = self.solve_still.follow(pictures, known)[0]
            alpha, raw_alpha = self._finish(alpha, guide, None)
            return Matte.of_still(alpha, trimap=known, raw_alpha=raw_alpha)
        kept = self._kept(self.segment_still(rgb), pictures, (Fraction(guide.subject.at_s),), guide, None)
        drawn = self._draw(kept.seen, (None,), pictures, None)
        alpha, known, _ = self._close(self.solve_still, pictures, drawn, drawn, (), kept.seen)
        alpha, raw_alpha = self._finish(alpha, guide, kept.others)
        return Matte.of_still(alpha, trimap=known, raw_alpha=raw_alpha, notices=kept.notices)

    def _solve_batch(
        self, frames: PreprocessedBatch, state: ClipState, guide: SubjectPrompt, given: Tensor | None
    ) -> ClipState:
        """The state after these frames, which wait in it."""
        options, watch, last = self.options.temporal, self.watch, state.last
        batch, pictures, motions = frames.batch, frames.pictures, frames.motions
        kept: SelectedProbability | None = None
        if given is None:
            state, kept = self._look(frames, state, guide)
            with watch("trimap"):
                drawn = self._draw(kept.seen, motions, pictures, state.drawn)
                trimap = self._grown(drawn, motions, last)
            alpha, trimap, tiles = self._close(self.solve, pictures, drawn, trimap, state.tiles, kept.seen)
            state = replace(state, drawn=drawn[-1:])
        else:
            trimap = given.to(self.device)
            with watch("matte"):
                alpha, tiles = self.solve.follow(pictures, trimap, state.tiles)
        with watch("temporal"):
            frames_solved = smooth_alphas(last, motions, pictures, alpha, trimap, options)
        waiting = [
            PendingFrame(
                batch.frame(n),
                solved,
                kept.others[n : n + 1] if kept and kept.others is not None else None,
                kept.notices if kept and n == 0 else (),
            )
            for n, solved in enumerate(frames_solved)
        ]
        left = tuple(tile.for_next() for tile in tiles if tile.tile.frame == len(batch) - 1)
        return replace(state, last=frames_solved[-1], tiles=left, waiting=(*state.waiting, *waiting))

    def _look(
        self, frames: PreprocessedBatch, state: ClipState, guide: SubjectPrompt
    ) -> tuple[ClipState, SelectedProbability]:
        """What the segmenter sees of the subject, steadied, and the state with it."""
        batch, pictures = frames.batch, frames.pictures
        turns, unseen = self._turns(frames.motions, state)
        with self.watch("segment"):
            chosen = [pictures[n : n + 1] for n, turn in enumerate(turns) if turn]
            looked = iter(torch.split(self.segment(torch.cat(chosen).float() / 255), 1) if chosen else ())
        seen, means = state.seen, []
        with self.watch("temporal"):
            for motion, turn in zip(frames.motions, turns, strict=True):
                now = next(looked) if turn else None
                seen = smooth_probability(seen, motion, now, self.options.temporal)
                means.append(seen.value)
        with self.watch("subject"):
            times_s = [pts * batch.time_base for pts in batch.pts]
            kept = self._kept(torch.cat(means), pictures, times_s, guide, state.subject)
        return replace(state, seen=seen, unseen=unseen, subject=kept.state), kept

    def _turns(self, motions: tuple[Motion | None, ...], state: ClipState) -> tuple[list[bool], int]:
        """Which frames the segmenter looks at, and how many there are after the last of these."""
        every, turns, unseen = self.options.segment.every, [], state.unseen
        if every == 1:
            return [True] * len(motions), 0
        for calm in is_low_motion(motions, state.last.alpha if state.last else None):
            unseen += 1
            turn = unseen >= every or not calm
            unseen = 0 if turn else unseen
            turns.append(turn)
        return turns, unseen

    def _draw(
        self, seen: Tensor, motions: tuple[Motion | None, ...], pictures: Tensor, before: Tensor | None
    ) -> Tensor:
        """Trimaps (N, 1, H, W) of what was seen; ``before`` is the last one of the batch before."""
        size, follows = (pictures.shape[2], pictures.shape[3]), [motion is not None for motion in motions]
        return draw_trimaps(seen, size=size, options=self.options.trimap, before=before, follows=follows)

    def _grown(self, drawn: Tensor, motions: tuple[Motion | None, ...], last: InferredAlpha | None) -> Tensor:
        """Trimaps with what the band had grown by before the batch, up to the first cut."""
        if not self.options.trimap.max_band_expansions or last is None:
            return drawn
        cut = motions.index(None) if None in motions else len(motions)
        shot = [keep_expansion(drawn[n : n + 1], last.trimap, last.mean.value) for n in range(cut)]
        return torch.cat([*shot, drawn[cut:]])

    def _close(
        self,
        solver: TiledMattingNet,
        pictures: Tensor,
        drawn: Tensor,
        trimap: Tensor,
        tiles: tuple[CachedTile, ...],
        seen: Tensor,
    ) -> tuple[Tensor, Tensor, tuple[CachedTile, ...]]:
        """The closed loop: alpha, the trimap grown until alpha is settled at its rim, and the tiles."""
        guess = encode_alpha_prior(seen[:, :1], (pictures.shape[2], pictures.shape[3]))
        with self.watch("matte"):
            alpha, tiles = solver.follow(pictures, trimap, tiles, guess)
        for _ in range(self.options.trimap.max_band_expansions):
            grown = expand_band(alpha, trimap, drawn)
            if torch.equal(grown, trimap):
                break
            trimap = grown
            with self.watch("matte"):
                alpha, tiles = solver.follow(pictures, trimap, tiles, guess)
        return alpha, trimap, tiles

    def _kept(
        self,
        seen: Tensor,
        pictures: Tensor,
        times_s: Sequence[Fraction],
        guide: SubjectPrompt,
        state: SubjectState | None,
    ) -> SelectedProbability:
        kept = SelectedProbability(seen)
        if guide.subject.choice != "all":
            kept = select_subject(seen, pictures, times_s, guide, state)
        return kept._replace(seen=merge_selected(kept.seen, guide.keep))

    def _finish(
        self, alpha: Tensor, guide: SubjectPrompt, others: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Alpha with what the user and the choice of a subject force, and `Matte.raw_alpha`.

        The former has the edge controls.
        """
        high = upper_limit(guide.drop, others, (alpha.shape[2], alpha.shape[3]))
        raw_alpha = limit_alpha(alpha, guide.keep, high)
        edged = adjust_matte(raw_alpha, self.options.edges)
        return edged, None if edged is raw_alpha else raw_alpha


def _size_of(batch: FrameBatch) -> tuple[int, int]:
    return batch.format.width, batch.format.height


def _picture_of(state: ClipState | None) -> Tensor | None:
    return state.last.picture if state and state.last else None


def _next_trimaps(given: Iterator[Tensor], count: int) -> Tensor:
    """The next ``count`` of a clip's own trimaps, which come one by one."""
    some = list(islice(given, count))
    if len(some) < count:
        raise InputError("the clip goes on after the last trimap: give one for each frame")
    return torch.cat(some)


def _check_choice(guide: SubjectPrompt, trimap: Tensor | None) -> None:
    if trimap is not None and guide.subject.choice != "all":
        raise OptionError("a trimap of one's own says who is kept: leave it out, or the subject and the mask")
