"""A live session: three stages on threads of their own, from the camera to the viewers.

camera thread -> LatestSlot -> segment thread -> infer thread -> render thread -> every viewer

Each stage is at one frame, and hands it on once the next stage is done with the one before: a queue
between them would only add latency. A camera frame that arrives while the segment thread is busy
is dropped for the next one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple

import torch

from autohair_video.errors import AutohairError
from autohair_video.live.compositor import LiveCompositor
from autohair_video.live.overlay import draw_view
from autohair_video.live.pipeline import (
    LivePipeline,
    MattedFrame,
    SegmentedFrame,
    scale_and_crop,
    to_bgr,
    to_frame_batch,
)
from autohair_video.live.quality import AdaptiveQuality, levels_for
from autohair_video.live.recording import Recorder
from autohair_video.live.settings import LiveOptions, Settings, SettingsStore
from autohair_video.live.stats import FrameCounter, Notice, SessionStats, SessionStatus
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.camera import BgrImage, Camera, CameraFrame
from autohair_video.options import Tier
from autohair_video.runtime.queues import BackgroundWorker
from autohair_video.runtime.thread_pools import threads_on

_POLL_S: Final = 0.1


@dataclass(frozen=True)
class RenderedFrame:
    """A camera frame as it is shown: BGR, with the composite where a viewer needs it besides."""

    image: BgrImage
    composite: BgrImage | None
    camera_frame: CameraFrame


class _InferItem(NamedTuple):
    camera_frame: CameraFrame
    segmented: SegmentedFrame
    settings: Settings
    segment_s: float


class _RenderItem(NamedTuple):
    matted: MattedFrame
    settings: Settings
    is_new: bool


class LiveSession:
    """A session, from ``with`` to its end; its public methods may be called from any thread.

    ``settings``: the viewer's choices. ``recorder``: snapshots and recordings. ``viewers`` get every
    rendered frame on the render thread, and must not block it; they are added before the session starts, as
    is ``needs_composite``: whether viewers want the composite whatever view is chosen.

    Threads: ``_tier``, ``_quality`` and ``_pipeline`` are replaced by the segment thread, while the infer
    stage is idle; ``_matted`` by the stage that infers; ``_error`` is set once. Others only read these
    references.

    Args:
        camera: source of the frames.
        load: loads the networks of a tier; called here, and when the viewer chooses another tier.
        options: fixed options.

    Raises:
        OptionError: the recording preset or the first background is unknown.
        InputError: the first background cannot be read.
        WeightsError, DeviceError: the networks cannot be loaded.
    """

    def __init__(self, camera: Camera, load: Callable[[Tier], MattingPipeline], options: LiveOptions) -> None:
        self.options = options
        self.viewers: list[Callable[[RenderedFrame], None]] = []
        self.needs_composite = False
        self.settings = SettingsStore(options)
        self._notice = Notice()
        self.recorder = Recorder(options, self.notify)
        self._camera, self._load = camera, load
        self._started_s = time.monotonic()
        self._use_tier(options.tier)
        self._compositor = LiveCompositor(options.width, options.height, options.backgrounds[0])
        self._matted: MattedFrame | None = None
        self._counter = FrameCounter()
        self._quit = threading.Event()
        self._error: BaseException | None = None
        self._stages = ExitStack()

    def __enter__(self) -> LiveSession:
        # half of the cores each: on all of them the stages would slow each other down
        cores = max(1, torch.get_num_threads() // 2)
        self._infer_stage = BackgroundWorker(self._infer, depth=1, executor=threads_on(cores, name="infer"))
        self._render_stage = BackgroundWorker(
            self._render, depth=1, executor=threads_on(cores, name="render")
        )
        self._segment_stage = threads_on(cores, name="segment")
        self._stages.enter_context(self._render_stage)
        self._stages.enter_context(self._infer_stage)
        self._running = self._segment_stage.submit(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.quit()
        self._segment_stage.shutdown()
        # errors of the stages are those of `check_ended`; here they are only stopped
        self._stages.__exit__(InterruptedError, None, None)
        self._compositor.close()
        self.recorder.close()

    def status(self) -> SessionStatus:
        """The present state."""
        now_s, quality = time.monotonic(), self._quality
        return SessionStatus(
            fps=self._counter.fps(now_s),
            latency_s=self._counter.latency_s(),
            dropped=self._counter.dropped,
            quality=quality.quality,
            qualities=len(quality.levels),
            recorded_s=self.recorder.seconds,
            camera_fault=self._camera.fault,
            notice=self._notice.text(now_s),
        )

    def stats(self, memory_bytes: Sequence[int] = ()) -> SessionStats:
        """The figures so far; memory is sampled by the caller."""
        quality = self._quality
        return self._counter.stats(
            quality=quality.quality, qualities=len(quality.levels), memory_bytes=tuple(memory_bytes)
        )

    def notify(self, notice: str) -> None:
        """Show a message for some seconds."""
        self._notice.set(notice)

    def displayed(self, frame: RenderedFrame) -> None:
        """Record that a frame is visible now."""
        shot = frame.camera_frame
        self._counter.add_displayed(shot.number, shot.taken_s, time.monotonic())

    def snapshot(self) -> Path | None:
        """Write the last matted frame with alpha; its path, or None if there is no frame yet.

        Raises:
            OutputError: the folder cannot be written to.
        """
        return self.recorder.snapshot(self._matted)

    def quit(self) -> None:
        """End the session soon."""
        self._quit.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the session's end, at most ``timeout_s``."""
        self._quit.wait(timeout_s)

    @property
    def has_ended(self) -> bool:
        """Whether the session has ended or is about to."""
        return self._quit.is_set()

    def check_ended(self) -> bool:
        """`has_ended`, for the caller's main loop.

        Raises:
            BaseException: the error of a stage or a viewer.
        """
        if self._error is not None:
            raise self._error
        return self._quit.is_set()

    def _run(self) -> None:
        """The segment thread."""
        try:
            rendered = self.settings.current
            while not self._quit.is_set():
                rendered = self._step(rendered)
            self._flush()
        except BaseException as exc:  # raised again by check_ended
            self._error = exc

    def _step(self, rendered: Settings) -> Settings:
        """Take one camera frame, or re-render the last one if the settings changed; the settings used."""
        camera_frame, settings = self._camera.newest(_POLL_S), self.settings.current
        if settings.frozen and self._matted is not None:
            self._counter.pause()
            camera_frame = None
        if settings.tier != self._tier:
            self._infer_stage.flush()
            self._change_tier(settings.tier)
        if camera_frame is not None:
            self._segment(camera_frame, settings)
        elif settings != rendered and self._matted is not None:
            self._infer_stage.flush()
            self._render_again(self._matted, settings, rendered)
        else:
            self._flush()
            return rendered
        return settings

    def _flush(self) -> None:
        self._infer_stage.flush()
        self._render_stage.flush()

    def _segment(self, camera_frame: CameraFrame, settings: Settings) -> None:
        started_s = time.monotonic()
        image = scale_and_crop(camera_frame.image, self.options.width, self.options.height)
        camera_frame = replace(camera_frame, image=image)
        segmented = self._pipeline.segment(image, settings, self._quality.level, self._time_s(camera_frame))
        item = _InferItem(camera_frame, segmented, settings, time.monotonic() - started_s)
        self._infer_stage.flush()
        self._infer_stage.put(item)

    def _infer(self, item: _InferItem) -> None:
        """The infer thread."""
        started_s = time.monotonic()
        matted = self._matte(item.camera_frame, item.segmented)
        self._render_stage.flush()
        self._render_stage.put(_RenderItem(matted, item.settings, is_new=True))
        ended_s = time.monotonic()
        self._counter.add_matted(item.camera_frame.number, ended_s)
        if self.options.adapt:
            # the slower stage limits the frame rate
            self._quality.observe(max(item.segment_s, ended_s - started_s), ended_s)

    def _matte(self, camera_frame: CameraFrame, segmented: SegmentedFrame) -> MattedFrame:
        matte = self._pipeline.infer(segmented)
        time_ms = round(1000 * self._time_s(camera_frame))
        frames = to_frame_batch(camera_frame.image, time_ms, duration_ms=round(1000 / self.options.rate))
        self._matted = MattedFrame(camera_frame, frames.to(matte.alpha.device), matte)
        return self._matted

    def _render_again(self, matted: MattedFrame, settings: Settings, before: Settings) -> None:
        """Render the last frame with other settings, on the segment thread while the infer stage is idle."""
        if settings.matte_key != before.matte_key:
            self._pipeline.reset()
            time_s = self._time_s(matted.camera_frame)
            segmented = self._pipeline.segment(matted.image, settings, self._quality.level, time_s)
            matted = self._matte(matted.camera_frame, segmented)
        self._render_stage.flush()
        self._render_stage.put(_RenderItem(matted, settings, is_new=False))

    def _render(self, item: _RenderItem) -> None:
        """The render thread."""
        matted, settings = item.matted, item.settings
        records = item.is_new and self.recorder.needs_composite
        composite = None
        if records or self.needs_composite or settings.view in ("composite", "side"):
            self._use_background(settings.background)
            composite = self._compositor.composite(matted)
        if item.is_new:
            self.recorder.add(matted, composite)
        composite_bgr = None if composite is None else to_bgr(composite)
        view = draw_view(settings.view, matted, composite_bgr)
        rendered = RenderedFrame(view, composite_bgr, matted.camera_frame)
        for viewer in self.viewers:
            viewer(rendered)

    def _use_background(self, background: str) -> None:
        try:
            self._compositor.use(background)
        except AutohairError as exc:
            self.notify(str(exc))
            previous = self._compositor.background
            # a background that was chosen meanwhile stays
            self.settings.change(
                lambda s: replace(s, background=previous) if s.background == background else s
            )

    def _change_tier(self, tier: Tier) -> None:
        self.notify(f"loading the networks of tier {tier}")
        try:
            self._use_tier(tier)
        except AutohairError as exc:
            self.notify(str(exc))
            self.settings.change(lambda s: replace(s, tier=self._tier))

    def _use_tier(self, tier: Tier) -> None:
        self._pipeline = LivePipeline(self._load(tier), self.options)
        self._tier, self._quality = tier, AdaptiveQuality(self.options.rate, levels_for(tier))

    def _time_s(self, camera_frame: CameraFrame) -> Fraction:
        """Time of a frame in the session."""
        return Fraction(camera_frame.taken_s - self._started_s)
