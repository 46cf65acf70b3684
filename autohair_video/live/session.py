"""A session: threads read the camera, look, solve and draw, and whoever shows takes the newest picture.

camera thread -> Newest -> looking thread -> solving thread -> drawing thread -> each viewer

Each of them is at one picture, and hands it on when the next thread is done with the one before.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Final

import torch

from autohair_video.compositing.render import BackgroundPlanes, composite, open_background_planes
from autohair_video.errors import AutohairError
from autohair_video.frames import FrameBatch
from autohair_video.live.overlay import draw_view
from autohair_video.live.pipeline import (
    LivePipeline,
    MattedFrame,
    SegmentedFrame,
    frame_format,
    scale_and_crop,
    to_bgr,
    to_frame_batch,
)
from autohair_video.live.quality import AdaptiveQuality, levels_for
from autohair_video.live.recording import Recording, recording_preset, write_snapshot
from autohair_video.live.settings import LiveOptions, Settings, next_item
from autohair_video.live.stats import SessionStats, SessionStatus
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.camera import BgrImage, Camera, CameraFrame
from autohair_video.options import Tier
from autohair_video.runtime.thread_pools import threads_on

_PATIENCE_S: Final = 0.1
_COUNTED_PICTURES: Final = 30
_KEPT_LATENCIES: Final = 100_000
# After so long without a picture the rate is nought, and so long a notice stands.
_STALE_S: Final = 2.0
_NOTICE_S: Final = 5.0


@dataclass(frozen=True)
class RenderedFrame:
    """One picture of the camera as it is shown; ``composite`` is there where someone needs it besides."""

    picture: BgrImage
    composite: BgrImage | None
    shot: CameraFrame


class LiveSession:
    """A session, from ``with`` to its end; its public methods may be called from any thread.

    ``viewers`` get every picture on the drawing thread, and must not keep it waiting.
    ``needs_composite``: viewers want the composite whatever view is chosen.

    Args:
        camera: gives the pictures.
        load: makes the networks of a tier; called here, and again when the viewer chooses another tier.
        options: how to begin.

    Raises:
        OptionError: the recording preset or the first background is unknown.
        InputError: the first background cannot be read.
        WeightsError, DeviceError: the networks cannot be loaded.
    """

    def __init__(self, camera: Camera, load: Callable[[Tier], MattingPipeline], options: LiveOptions) -> None:
        self.options, self.preset = options, recording_preset(options.preset)
        self.viewers: list[Callable[[RenderedFrame], None]] = []
        self.needs_composite = False
        self._camera, self._load = camera, load
        self._settings = Settings(options.backgrounds[0], tier=options.tier)
        self._use(options.tier)
        self._backgrounds = options.backgrounds
        self._began_s = time.monotonic()
        self._scene = self._open(self._settings.background)
        self._behind = self._settings.background
        self._matted: MattedFrame | None = None
        self._recording: Recording | None = None
        self._pace = _Pace()
        self._last_displayed = 0
        self._notice = ("", 0.0)
        self._lock, self._keeping = threading.Lock(), threading.Lock()
        self._quit = threading.Event()
        self._error: BaseException | None = None
        self._looking, self._solving, self._drawing = (_Step(n) for n in ("looking", "solving", "drawing"))

    def __enter__(self) -> LiveSession:
        self._looking.hand(self._run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.quit()
        for step in (self._looking, self._solving, self._drawing):
            step.close()
        self._scene.close()
        with self._keeping:
            recording = self._end_recording()
            if recording is not None:
                recording.finish()

    @property
    def settings(self) -> Settings:
        """What is chosen now."""
        return self._settings

    @property
    def backgrounds(self) -> tuple[str, ...]:
        """The backgrounds to go through."""
        return self._backgrounds

    def change(self, change: Callable[[Settings], Settings]) -> None:
        """Choose anew: ``change`` makes the new settings of the present ones."""
        with self._lock:
            self._settings = change(self._settings)

    def next_background(self) -> None:
        """Go to the next background, round and round."""
        with self._lock:
            name = next_item(self._backgrounds, self._settings.background)
            self._settings = replace(self._settings, background=name)

    def add_background(self, background: str) -> None:
        """Add a background to those to go through."""
        with self._lock:
            if background not in self._backgrounds:
                self._backgrounds = (*self._backgrounds, background)

    def figures(self) -> SessionStatus:
        """How the session does now."""
        now_s = time.monotonic()
        recording, (notice, until_s) = self._recording, self._notice
        return SessionStatus(
            fps=self._pace.fps(now_s),
            latency_s=self._pace.latency_s(),
            dropped=self._pace.dropped,
            quality=self._ladder.quality,
            qualities=len(self._ladder.levels),
            recorded_s=None if recording is None else recording.seconds,
            trouble=self._camera.fault,
            notice=notice if now_s < until_s else None,
        )

    def notify(self, notice: str) -> None:
        """Show one line for a while."""
        self._notice = (notice, time.monotonic() + _NOTICE_S)

    def displayed(self, shown: RenderedFrame) -> None:
        """Say that a picture can be seen now."""
        if shown.shot.number > self._last_displayed:
            self._last_displayed = shown.shot.number
            self._pace.latencies_s.append(time.monotonic() - shown.shot.taken_s)

    def measured(self, memory_bytes: Sequence[int] = ()) -> SessionStats:
        """What the session has come to so far; memory is the caller's to watch."""
        pace, ladder = self._pace, self._ladder
        return SessionStats(
            seconds=pace.seconds,
            pictures=pace.matted,
            dropped=pace.dropped,
            latencies_s=tuple(pace.latencies_s),
            quality=ladder.quality,
            qualities=len(ladder.levels),
            memory_bytes=tuple(memory_bytes),
        )

    def snapshot(self) -> Path | None:
        """Write the last picture with alpha to the folder; its path, or None if there is no picture yet.

        Raises:
            OutputError: the folder cannot be written to.
        """
        matted = self._matted
        if matted is None:
            self.notify("there is no picture yet")
            return None
        with self._keeping:
            path = write_snapshot(self.options.folder, matted)
        self.notify(f"saved {path.name}")
        return path

    def toggle_recording(self) -> Path | None:
        """Begin a clip, or end the one being recorded; its path once it is whole.

        Raises:
            OutputError: the clip cannot be written.
        """
        o = self.options
        with self._keeping:
            ending = self._end_recording()
            if ending is None:
                self._recording = Recording(
                    o.folder, self.preset, width=o.width, height=o.height, rate=o.rate
                )
                return None
            path = ending.finish()
        self.notify(f"saved {path.name}" if path else "nothing was recorded")
        return path

    def _end_recording(self, which: Recording | None = None) -> Recording | None:
        """Take the recording out of the session, or only ``which``; whoever gets it ends it."""
        with self._lock:
            if which is not None and which is not self._recording:
                return None
            recording, self._recording = self._recording, None
            return recording

    def quit(self) -> None:
        """End the session soon."""
        self._quit.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for the session's end, so long at most."""
        self._quit.wait(timeout_s)

    @property
    def has_ended(self) -> bool:
        """Whether the session has ended or is about to."""
        return self._quit.is_set()

    def is_over(self) -> bool:
        """`has_ended`, for whoever waits for it.

        Raises:
            BaseException: whatever matting or drawing has failed with.
        """
        if self._error is not None:
            raise self._error
        return self._quit.is_set()

    def _run(self) -> None:
        try:
            rendered = self._settings
            while not self._quit.is_set():
                shot, settings = self._camera.newest(_PATIENCE_S), self._settings
                if settings.frozen and self._matted is not None:
                    self._pace.skip()
                    shot = None
                if settings.tier != self._tier:
                    self._solving.settle()
                    self._change_tier(settings.tier)
                if shot is not None:
                    self._advance(shot, settings)
                elif settings != rendered and self._matted is not None:
                    self._solving.settle()
                    self._render_anew(self._matted, settings, rendered)
                else:
                    self._settle()
                    continue
                rendered = settings
            self._settle()
        except BaseException as exc:  # raised again by is_over
            self._error = exc

    def _settle(self) -> None:
        self._solving.settle()
        self._drawing.settle()

    def _advance(self, shot: CameraFrame, settings: Settings) -> None:
        began_s = time.monotonic()
        shot = replace(shot, picture=scale_and_crop(shot.picture, self.options.width, self.options.height))
        looked = self._live_matter.segment(shot.picture, settings, self._ladder.level)
        look_s = time.monotonic() - began_s
        self._solving.hand(lambda: self._finish(shot, looked, settings, look_s))

    def _finish(self, shot: CameraFrame, looked: SegmentedFrame, settings: Settings, look_s: float) -> None:
        began_s = time.monotonic()
        self._draw(self._solve(shot, looked), settings, new=True)
        ended_s = time.monotonic()
        self._pace.add(shot.number, ended_s)
        if self.options.adapt:
            # the slower of the two says how often pictures come
            self._ladder.observe(max(look_s, ended_s - began_s), ended_s)

    def _render_anew(self, matted: MattedFrame, settings: Settings, before: Settings) -> None:
        if _matte_of(settings) != _matte_of(before):
            self._live_matter.forget()
            looked = self._live_matter.segment(matted.picture, settings, self._ladder.level)
            matted = self._solve(matted.shot, looked)
        self._draw(matted, settings, new=False)

    def _draw(self, matted: MattedFrame, settings: Settings, *, new: bool) -> None:
        self._drawing.hand(lambda: self._show(matted, settings, new=new))

    def _solve(self, shot: CameraFrame, looked: SegmentedFrame) -> MattedFrame:
        matte = self._live_matter.solve(looked)
        time_ms = round(1000 * (shot.taken_s - self._began_s))
        frames = to_frame_batch(shot.picture, time_ms, duration_ms=round(1000 / self.options.rate))
        frames = frames.to(matte.alpha.device)
        self._matted = MattedFrame(shot, frames, matte)
        return self._matted

    def _show(self, matted: MattedFrame, settings: Settings, *, new: bool) -> None:
        with self._lock:
            recording = self._recording if new else None
        recorded = recording is not None and recording.preset.role == "composite"
        placed = None
        if recorded or self.needs_composite or settings.view in ("composite", "side"):
            placed = self._composite(matted, settings)
        if recording is not None:
            self._record(recording, matted, placed)
        picture = None if placed is None else to_bgr(placed)
        shown = RenderedFrame(draw_view(settings.view, matted, picture), picture, matted.shot)
        for viewer in self.viewers:
            viewer(shown)

    def _record(self, recording: Recording, matted: MattedFrame, placed: FrameBatch | None) -> None:
        try:
            recording.add(matted, placed)
        except AutohairError as exc:
            self.notify(str(exc))
            if self._end_recording(recording) is not None:
                recording.give_up()

    def _change_tier(self, tier: Tier) -> None:
        self.notify(f"loading the networks of tier {tier}")
        try:
            self._use(tier)
        except AutohairError as exc:
            self.notify(str(exc))
            self.change(lambda s: replace(s, tier=self._tier))

    def _use(self, tier: Tier) -> None:
        self._live_matter = LivePipeline(self._load(tier), self.options)
        self._tier, self._ladder = tier, AdaptiveQuality(self.options.rate, levels_for(tier))

    def _composite(self, matted: MattedFrame, settings: Settings) -> FrameBatch:
        if settings.background != self._behind:
            self._change_scene(settings.background)
        return composite(matted.frames, matted.matte, self._scene, matted.frames.format)

    def _change_scene(self, background: str) -> None:
        try:
            scene = self._open(background)
        except AutohairError as exc:
            self.notify(str(exc))
            # what was chosen meanwhile stays
            self.change(lambda s: replace(s, background=self._behind) if s.background == background else s)
            return
        self._scene.close()
        self._scene, self._behind = scene, background

    def _open(self, background: str) -> BackgroundPlanes:
        o, elapsed_s = self.options, time.monotonic() - self._began_s
        return open_background_planes(background, frame_format(o.width, o.height), origin=Fraction(elapsed_s))


def _matte_of(settings: Settings) -> tuple[object, ...]:
    """What of the settings changes the matte itself."""
    return settings.band, settings.smoothing, settings.tier


class _Step:
    """A thread that does one thing at a time; whoever hands it the next waits for the one before.

    Torch has half of the cores there: with all of them, the steps would be in each other's way.
    """

    def __init__(self, name: str) -> None:
        self._thread = threads_on(max(1, torch.get_num_threads() // 2), name=name)
        self._doing = Future[None]()
        self._doing.set_result(None)

    def hand(self, work: Callable[[], None]) -> None:
        """Begin ``work`` once the thread is free.

        Raises:
            BaseException: what the work before has failed with.
        """
        self.settle()
        self._doing = self._thread.submit(work)

    def settle(self) -> None:
        """Wait until the thread is free; raises as `hand`."""
        self._doing.result()

    def close(self) -> None:
        """End the thread when it is free."""
        self._thread.shutdown()


class _Pace:
    """Counts the pictures of a session."""

    def __init__(self) -> None:
        self.dropped = 0
        self.matted = 0
        self.latencies_s: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._times_s: deque[float] = deque(maxlen=_COUNTED_PICTURES)
        self._number: int | None = None
        self._first_s: float | None = None

    @property
    def seconds(self) -> float:
        """From the first picture to the last."""
        return 0.0 if self._first_s is None else self._times_s[-1] - self._first_s

    def add(self, number: int, now_s: float) -> None:
        """Count one picture, and those of the camera between it and the last as dropped."""
        if self._number is not None:
            self.dropped += max(0, number - self._number - 1)
        self._number = number
        self.matted += 1
        self._first_s = now_s if self._first_s is None else self._first_s
        self._times_s.append(now_s)

    def skip(self) -> None:
        """Count none of the pictures until the next."""
        self._number = None

    def fps(self, now_s: float) -> float:
        """Pictures per second; 0 where the last is long ago."""
        times_s = list(self._times_s)
        if len(times_s) < 2 or now_s - times_s[-1] > _STALE_S:
            return 0.0
        return (len(times_s) - 1) / max(1e-6, times_s[-1] - times_s[0])

    def latency_s(self) -> float | None:
        """Median time from camera to display."""
        latencies_s = list(self.latencies_s)[-_COUNTED_PICTURES:]
        return median(latencies_s) if latencies_s else None
