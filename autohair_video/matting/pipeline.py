"""The composed stages: frames in time order -> the same frames with their mattes."""

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
from autohair_video.matting.optical_flow import Motion, is_low_motion, scene_cuts
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
    """Mattes images and frames. It loads the networks once and holds no state between clips.

    Args:
        tier: ``fast`` or ``best``.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        options: of the stages; default: those of the tier.
        segmenter: weights file of the segmenter instead of the tier's.
        matting_net: weights file of the matting network instead of the tier's.

    Raises:
        WeightsError: weights are missing, altered or do not fit.
        DeviceError: the device does not exist.
    """

    def __init__(
        self,
        *,
        tier: Tier = "fast",
        device: str = "auto",
        options: MattingOptions | None = None,
        segmenter: str | Path | None = None,
        matting_net: str | Path | None = None,
    ) -> None:
        self.tier = tier
        self.watch: StageClock = untimed
        self.device = choose_device(device)
        self.options = options or MattingOptions.for_tier(tier)
        self._networks: list[nn.Module] = []
        # frames of a size that fit into memory, once a batch was too large
        self._max_frames: dict[tuple[int, int], int] = {}
        self.segment = Segmenter(self._network("segmenter", segmenter), self.options.segment)
        self.segment_still = self.segment.at(self.options.still_segment)
        tiles = self.options.tiles
        if self.options.temporal.mode == "off":
            tiles = replace(tiles, reuse=False)
        self.matting_net = TiledMattingNet(self._network("matting", matting_net), tiles)
        self.still_matting_net = self.matting_net.at(self.options.still_tiles)

    def _network(self, role: Role, own: str | Path | None) -> nn.Module:
        network = load_network(own or f"{role}-{self.tier}", role=role)
        network = network.to(self.device, working_dtype(self.device)).to(memory_format=torch.channels_last)
        if self.device.type == "cpu" and can_fuse():
            fuse_convolutions(network)
        self._networks.append(network)
        return network

    def fingerprint(self) -> str:
        """A digest of all inputs of a matte: weights, options, and the type of device."""
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
        prompt: SubjectPrompt | None = None,
        resume_state: CarriedState | None = None,
    ) -> Iterator[tuple[FrameBatch, Matte]]:
        """Matte a clip: consecutive frames in time order.

        Args:
            batches: the frames, on any device.
            trimaps: the user's trimaps, (N, 1, H, W) uint8 of 0, 128 and 255, one per frame in all;
                default: generated.
            prompt: which of the tracks is the subject, and garbage mattes.
            resume_state: where the batches are a segment of a clip, the state after the previous
                segment; updated in place when the batches are exhausted.

        Yields:
            The frames on the pipeline's device, and their matte, delayed by the look-ahead. Batches too
            large for the memory of the device are split.

        Raises:
            DeviceError: a single frame needs more memory than the device has.
            InputError: there are fewer trimaps than frames.
            OptionError: there are trimaps, and ``prompt`` names a subject.
        """
        state = resume_state.state if resume_state else None
        prompt = SubjectPrompt() if prompt is None else prompt.to(self.device)
        given = None if trimaps is None else (one for some in trimaps for one in torch.split(some, 1))
        before, options = _image_of(state), self.options.temporal
        # the CPU estimates flow of the next frames while the networks run on these
        pieces = (piece for batch in batches for piece in self._fitting(batch))
        preprocessed = preprocess_batches(pieces, before, options, device=self.device, watch=self.watch)
        with closing(prefetch(preprocessed, depth=1)) as prefetched:
            for frames in prefetched:
                trimap = None if given is None else _next_trimaps(given, len(frames.batch))
                done, state = self._step(frames, state or ClipState(), prompt, trimap)
                yield from done
        if state is not None:
            done, state = self.flush(state, prompt=prompt)
            yield from done
        if resume_state is not None:
            resume_state.state = state

    def step(
        self,
        batch: FrameBatch,
        state: ClipState | None,
        *,
        prompt: SubjectPrompt | None = None,
        trimap: Tensor | None = None,
    ) -> tuple[list[Done], ClipState]:
        """One batch of a clip.

        Args:
            batch: the frames that follow those of the last step, on any device.
            state: of the last step; None at the start of a clip.
            prompt: as for `frames`, on the pipeline's device.
            trimap: (N, 1, H, W) uint8 of 0, 128 and 255, or None.

        Returns:
            The finished frames, and the state for the next step. Without look-ahead these are the batch;
            with it the last frames are pending in the state.

        Raises:
            DeviceError: a single frame needs more memory than the device has.
            OptionError: there is a trimap, and ``prompt`` names a subject.
        """
        state, done = state or ClipState(), []
        given = None if trimap is None else iter(torch.split(trimap, 1))
        before, options = _image_of(state), self.options.temporal
        for frames in preprocess(batch, before, options, device=self.device, watch=self.watch):
            known = None if given is None else _next_trimaps(given, len(frames.batch))
            ready, state = self._step(frames, state, prompt or SubjectPrompt(), known)
            done += ready
        return done, state

    def _step(
        self, frames: PreprocessedBatch, state: ClipState, prompt: SubjectPrompt, trimap: Tensor | None
    ) -> tuple[list[Done], ClipState]:
        batch = frames.batch
        _check_prompt(prompt, trimap)
        try:
            state = self._infer_batch(frames, state, prompt, trimap)
        except torch.OutOfMemoryError as exc:
            if len(batch) == 1:
                raise out_of_memory_error(self.device, batch.format.width, batch.format.height) from exc
            self._max_frames[_size_of(batch)] = len(batch) - len(batch) // 2
        else:
            return self._release(state, prompt, self.options.temporal.frames_ahead)
        pieces = (None, None) if trimap is None else trimap.tensor_split([len(batch) // 2])
        done: list[Done] = []
        for half, piece in zip(batch.halves(), pieces, strict=True):
            ready, state = self.step(half, state, prompt=prompt, trimap=piece)
            done += ready
        return done, state

    def _fitting(self, batch: FrameBatch) -> Iterator[FrameBatch]:
        """The batch, split if as many frames once were too large for the memory."""
        if len(batch) <= self._max_frames.get(_size_of(batch), len(batch)):
            yield batch
            return
        for half in batch.halves():
            yield from self._fitting(half)

    def flush(self, state: ClipState, *, prompt: SubjectPrompt | None = None) -> tuple[list[Done], ClipState]:
        """The pending frames at the end of a clip or a segment, and the state without them."""
        return self._release(state, prompt or SubjectPrompt(), 0)

    def _release(
        self, state: ClipState, prompt: SubjectPrompt, look_ahead: int
    ) -> tuple[list[Done], ClipState]:
        """Pending frames with ``look_ahead`` frames after them, as one batch, and the state without them."""
        count = max(0, len(state.pending) - look_ahead)
        if not count:
            return [], state
        with self.watch("temporal"):
            pending = self._with_correspondences(state.pending)
            smoothed = partial(self._smoothed, pending)
            alpha = torch.cat(on_each_core(smoothed, range(count), self.device))
        frames = pending[:count]
        with self.watch("edges"):
            others = [frame.others for frame in frames if frame.others is not None]
            alpha, raw_alpha = self._finish(alpha, prompt, torch.cat(others) if others else None)
        batch = join_frames([frame.batch for frame in frames])
        matte = Matte(
            alpha,
            batch.pts,
            batch.durations,
            batch.time_base,
            trimap=torch.cat([frame.inferred.trimap for frame in frames]),
            raw_alpha=raw_alpha,
            notices=tuple(line for frame in frames for line in frame.notices),
        )
        return [(batch, matte)], replace(state, pending=pending[count:])

    def _with_correspondences(self, pending: tuple[PendingFrame, ...]) -> tuple[PendingFrame, ...]:
        """The same frames, each with its correspondence to the next one, if there is look-ahead."""
        if not self.options.temporal.frames_ahead:
            return pending
        unlinked = [n for n, (here, _) in enumerate(pairwise(pending)) if here.correspondence is None]

        def correspond(n: int) -> PendingFrame:
            here, later = pending[n : n + 2]
            return replace(here, correspondence=correspond_with_later(here.inferred, later.inferred))

        linked = dict(zip(unlinked, on_each_core(correspond, unlinked, self.device), strict=True))
        return tuple(linked.get(n, frame) for n, frame in enumerate(pending))

    def _smoothed(self, pending: tuple[PendingFrame, ...], n: int) -> Tensor:
        """Alpha of the ``n``-th pending frame, smoothed with its look-ahead."""
        window = pending[n : n + self.options.temporal.frames_ahead + 1]
        inferred, correspondences = (
            [frame.inferred for frame in window],
            [frame.correspondence for frame in window[:-1]],
        )
        return average_with_later(inferred, correspondences, self.options.temporal)

    def image(
        self, image: NDArray[np.uint8] | Tensor, trimap: NDArray[np.uint8] | Tensor | None = None
    ) -> Tensor:
        """Alpha of one image.

        Args:
            image: (H, W, 3) uint8 RGB array, or (3, H, W) float tensor in 0..1.
            trimap: (H, W) uint8 array or tensor of 0, 128 and 255; default: generated.

        Returns:
            (H, W) float32 alpha in 0..1 on the CPU.

        Raises:
            OptionError: image and trimap differ in size, or a shape is wrong.
        """
        rgb = as_rgb(image).to(self.device)
        known = None if trimap is None else as_trimap(trimap, rgb).to(self.device)
        return self.still(rgb, known).alpha[0, 0].cpu()

    def still(self, rgb: Tensor, trimap: Tensor | None = None, prompt: SubjectPrompt | None = None) -> Matte:
        """Matte of one image: (1, 3, H, W) float RGB in 0..1, (1, 1, H, W) uint8 trimap or None.

        Raises:
            OptionError: there is a trimap, and ``prompt`` names a subject.
        """
        rgb = rgb.to(self.device)
        images = (rgb * 255).round().to(torch.uint8)
        prompt = SubjectPrompt() if prompt is None else prompt.to(self.device)
        _check_prompt(prompt, trimap)
        if trimap is not None:
            known = trimap.to(self.device)
            alpha = self.still_matting_net.infer_sequence(images, known)[0]
            alpha, raw_alpha = self._finish(alpha, prompt, None)
            return Matte.of_still(alpha, trimap=known, raw_alpha=raw_alpha)
        selected = self._select(
            self.segment_still(rgb), images, (Fraction(prompt.subject.at_s),), prompt, None
        )
        initial = self._initial_trimaps(selected.probability, (None,), images, None)
        alpha, known, _ = self._infer_with_expansion(
            self.still_matting_net, images, initial, initial, (), selected.probability
        )
        alpha, raw_alpha = self._finish(alpha, prompt, selected.others)
        return Matte.of_still(alpha, trimap=known, raw_alpha=raw_alpha, notices=selected.notices)

    def _infer_batch(
        self, frames: PreprocessedBatch, state: ClipState, prompt: SubjectPrompt, given: Tensor | None
    ) -> ClipState:
        """The state after these frames, which are pending in it."""
        options, watch, last = self.options.temporal, self.watch, state.last
        batch, images, motions = frames.batch, frames.images, frames.motions
        selected: SelectedProbability | None = None
        if given is None:
            state, selected = self._segment(frames, state, prompt)
            with watch("trimap"):
                initial = self._initial_trimaps(selected.probability, motions, images, state.initial_trimap)
                trimap = self._keep_expansions(initial, motions, last)
            alpha, trimap, tiles = self._infer_with_expansion(
                self.matting_net, images, initial, trimap, state.tiles, selected.probability
            )
            state = replace(state, initial_trimap=initial[-1:])
        else:
            trimap = given.to(self.device)
            with watch("matte"):
                alpha, tiles = self.matting_net.infer_sequence(images, trimap, state.tiles)
        with watch("temporal"):
            inferred_frames = smooth_alphas(last, motions, images, alpha, trimap, options)
        pending = [
            PendingFrame(
                batch.frame(n),
                inferred,
                selected.others[n : n + 1] if selected and selected.others is not None else None,
                selected.notices if selected and n == 0 else (),
            )
            for n, inferred in enumerate(inferred_frames)
        ]
        cached = tuple(tile.for_next() for tile in tiles if tile.tile.frame == len(batch) - 1)
        return replace(state, last=inferred_frames[-1], tiles=cached, pending=(*state.pending, *pending))

    def _segment(
        self, frames: PreprocessedBatch, state: ClipState, prompt: SubjectPrompt
    ) -> tuple[ClipState, SelectedProbability]:
        """Smoothed probabilities of the subject, and the state with them."""
        batch, images = frames.batch, frames.images
        runs, since_segmented = self._segmentation_schedule(frames.motions, state)
        with self.watch("segment"):
            images_to_run = [images[n : n + 1] for n, run in enumerate(runs) if run]
            segmented = iter(
                torch.split(self.segment(torch.cat(images_to_run).float() / 255), 1) if images_to_run else ()
            )
        probability, means = state.probability, []
        with self.watch("temporal"):
            for motion, run in zip(frames.motions, runs, strict=True):
                now = next(segmented) if run else None
                probability = smooth_probability(probability, motion, now, self.options.temporal)
                means.append(probability.value)
        with self.watch("subject"):
            times_s = [pts * batch.time_base for pts in batch.pts]
            cuts = scene_cuts(frames.motions, self.options.temporal)
            selected = self._select(torch.cat(means), images, times_s, prompt, state.subject, cuts)
        return replace(
            state, probability=probability, since_segmented=since_segmented, subject=selected.state
        ), selected

    def _segmentation_schedule(
        self, motions: tuple[Motion | None, ...], state: ClipState
    ) -> tuple[list[bool], int]:
        """On which frames segmentation runs, and how many frames follow the last of them."""
        every, runs, since_segmented = self.options.segment.every, [], state.since_segmented
        if every == 1:
            return [True] * len(motions), 0
        for low_motion in is_low_motion(motions, state.last.alpha if state.last else None):
            since_segmented += 1
            run = since_segmented >= every or not low_motion
            since_segmented = 0 if run else since_segmented
            runs.append(run)
        return runs, since_segmented

    def _initial_trimaps(
        self, probability: Tensor, motions: tuple[Motion | None, ...], images: Tensor, before: Tensor | None
    ) -> Tensor:
        """Initial trimaps (N, 1, H, W); ``before`` is the last one of the previous batch."""
        size, has_previous = (images.shape[2], images.shape[3]), [motion is not None for motion in motions]
        return draw_trimaps(
            probability, size=size, options=self.options.trimap, before=before, has_previous=has_previous
        )

    def _keep_expansions(
        self, initial: Tensor, motions: tuple[Motion | None, ...], last: InferredAlpha | None
    ) -> Tensor:
        """Trimaps with the expansion of the frame before the batch kept, up to the first cut."""
        if not self.options.trimap.max_band_expansions or last is None:
            return initial
        cut = motions.index(None) if None in motions else len(motions)
        shot = [keep_expansion(initial[n : n + 1], last.trimap, last.mean.value) for n in range(cut)]
        return torch.cat([*shot, initial[cut:]])

    def _infer_with_expansion(
        self,
        network: TiledMattingNet,
        images: Tensor,
        initial: Tensor,
        trimap: Tensor,
        tiles: tuple[CachedTile, ...],
        probability: Tensor,
    ) -> tuple[Tensor, Tensor, tuple[CachedTile, ...]]:
        """Alpha, the trimap expanded until alpha is saturated at its boundary, and the tiles."""
        prior = encode_alpha_prior(probability[:, :1], (images.shape[2], images.shape[3]))
        with self.watch("matte"):
            alpha, tiles = network.infer_sequence(images, trimap, tiles, prior)
        for _ in range(self.options.trimap.max_band_expansions):
            expanded = expand_band(alpha, trimap, initial)
            if torch.equal(expanded, trimap):
                break
            trimap = expanded
            with self.watch("matte"):
                alpha, tiles = network.infer_sequence(images, trimap, tiles, prior)
        return alpha, trimap, tiles

    def _select(
        self,
        probability: Tensor,
        images: Tensor,
        times_s: Sequence[Fraction],
        prompt: SubjectPrompt,
        state: SubjectState | None,
        cuts: Sequence[bool] | None = None,
    ) -> SelectedProbability:
        selected = SelectedProbability(probability)
        if prompt.subject.choice != "all":
            selected = select_subject(probability, images, times_s, prompt, state, cuts)
        return selected._replace(probability=merge_selected(selected.probability, prompt.keep))

    def _finish(
        self, alpha: Tensor, prompt: SubjectPrompt, others: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Alpha within garbage mattes and subject selection, with edge controls; and `Matte.raw_alpha`."""
        limit = upper_limit(prompt.drop, others, (alpha.shape[2], alpha.shape[3]))
        raw_alpha = limit_alpha(alpha, prompt.keep, limit)
        adjusted = adjust_matte(raw_alpha, self.options.edges)
        return adjusted, None if adjusted is raw_alpha else raw_alpha


def _size_of(batch: FrameBatch) -> tuple[int, int]:
    return batch.format.width, batch.format.height


def _image_of(state: ClipState | None) -> Tensor | None:
    return state.last.image if state and state.last else None


def _next_trimaps(given: Iterator[Tensor], count: int) -> Tensor:
    """The next ``count`` of the user's trimaps."""
    some = list(islice(given, count))
    if len(some) < count:
        raise InputError("the clip has more frames than trimaps: give one for each frame")
    return torch.cat(some)


def _check_prompt(prompt: SubjectPrompt, trimap: Tensor | None) -> None:
    if trimap is not None and prompt.subject.choice != "all":
        raise OptionError(
            "a given trimap already selects the subject: leave out the trimap, or the subject and the mask"
        )
