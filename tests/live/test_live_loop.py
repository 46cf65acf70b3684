"""A session without anyone watching: recordings in editors' formats, and outlets that are missing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from autohair_video import (
    AutohairError,
    MattingPipeline,
    OptionError,
    OutputError,
    TrimapOptions,
    WeightsError,
)
from autohair_video.cli import run
from autohair_video.compositing.render import BackgroundPlanes, open_background_planes
from autohair_video.frames import FrameFormat
from autohair_video.live import compositor
from autohair_video.live.quality import levels_for
from autohair_video.live.run import LiveSinks, run_live
from autohair_video.live.session import LiveSession, RenderedFrame
from autohair_video.live.settings import LiveOptions, live_matting_options
from autohair_video.live.virtual_camera import VirtualCamera, setup_hint
from autohair_video.media.camera import Camera
from tests.helpers.options import HARD, never
from tests.helpers.xvfb import until

SAMPLE = Path(__file__).parents[2] / "samples" / "portrait.mp4"
FIXED = replace(live_matting_options(), trimap=TrimapOptions(mode="fixed", erosion=0, size=0))


@pytest.fixture(scope="module")
def matter() -> MattingPipeline:
    return MattingPipeline(device="cpu", options=HARD)


def _session(matter: MattingPipeline, options: LiveOptions, does: Callable[[LiveSession], None]) -> None:
    camera = Camera(str(SAMPLE), width=options.width, height=options.height, rate=options.rate)
    with camera, LiveSession(camera, lambda _: matter, options) as live:
        until(lambda: live.check_ended() or live.status().fps > 0, "pictures")
        does(live)


@pytest.mark.parametrize(
    ("preset", "codec", "pixels"),
    [
        ("prores4444", "prores", "yuva444p12le"),
        ("h264-matte", "h264", "yuv420p"),
        ("h264", "h264", "yuv420p"),
    ],
)
def test_recording_presets(
    matter: MattingPipeline, tmp_path: Path, preset: str, codec: str, pixels: str
) -> None:
    def does(live: LiveSession) -> None:
        live.recorder.toggle()
        until(lambda: (live.status().recorded_s or 0) >= 2, "two seconds of recording")
        path = live.recorder.toggle()
        assert path is not None
        with av.open(str(path)) as clip:
            context = clip.streams.video[0].codec_context
            assert (context.name, context.pix_fmt) == (codec, pixels)
            assert (context.width, context.height) == (160, 90)
            assert sum(1 for _ in clip.decode(video=0)) > 1

    _session(matter, LiveOptions(160, 90, folder=tmp_path, preset=preset, matting=FIXED), does)
    assert len(list(tmp_path.iterdir())) == 1


def test_recording_is_finalized_when_session_ends(matter: MattingPipeline, tmp_path: Path) -> None:
    def does(live: LiveSession) -> None:
        live.recorder.toggle()
        until(lambda: (live.status().recorded_s or 0) >= 2, "two seconds of recording")

    _session(matter, LiveOptions(160, 90, folder=tmp_path, matting=FIXED), does)
    (path,) = tmp_path.iterdir()
    with av.open(str(path)) as clip:
        assert sum(1 for _ in clip.decode(video=0)) > 1


def test_unreadable_background_is_reported_and_previous_kept(matter: MattingPipeline, tmp_path: Path) -> None:
    def does(live: LiveSession) -> None:
        live.settings.change(lambda s: replace(s, background=str(tmp_path / "gone.jpg")))
        until(lambda: "gone.jpg" in (live.status().notice or ""), "a notice")
        until(lambda: live.settings.current.background == "#ff0000", "the old background")

    _session(matter, LiveOptions(160, 90, backgrounds=("#ff0000",), matting=FIXED), does)


def test_tier_switch_and_failed_tier_switch(matter: MattingPipeline) -> None:
    loaded: list[str] = []

    def load(tier: str) -> MattingPipeline:
        loaded.append(tier)
        if loaded.count(tier) > 1:
            raise WeightsError("its weights are gone")
        return matter

    camera = Camera(str(SAMPLE), width=160, height=90, rate=30)
    with camera, LiveSession(camera, load, LiveOptions(160, 90, matting=FIXED, adapt=False)) as live:
        assert live.status().qualities == len(levels_for("fast"))
        live.settings.change(lambda s: replace(s, tier="best"))
        best = len(levels_for("best"))
        until(lambda: live.check_ended() or live.status().qualities == best, "the best tier")
        number = live.stats().frames
        until(lambda: live.check_ended() or live.stats().frames > number, "pictures of that tier")
        live.settings.change(lambda s: replace(s, tier="fast"))
        until(lambda: "gone" in (live.status().notice or ""), "a notice")
        until(lambda: live.settings.current.tier == "best", "the tier before")
    assert loaded == ["fast", "best", "fast"]


def test_concurrent_snapshots_get_distinct_names(matter: MattingPipeline, tmp_path: Path) -> None:
    def does(live: LiveSession) -> None:
        threads = [threading.Thread(target=live.snapshot) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    _session(matter, LiveOptions(160, 90, folder=tmp_path, matting=FIXED), does)
    assert len(list(tmp_path.iterdir())) == 4


def test_snapshot_before_first_frame_is_reported(matter: MattingPipeline) -> None:
    camera = Camera(str(SAMPLE), width=160, height=90, rate=30)
    live = LiveSession(camera, lambda _: matter, LiveOptions(160, 90, matting=FIXED))
    assert live.snapshot() is None
    assert live.status().notice == "there is no frame yet"


def test_viewer_error_ends_session(matter: MattingPipeline) -> None:
    def fails(_: RenderedFrame) -> None:
        raise OutputError("the camera accepts no more frames")

    camera = Camera(str(SAMPLE), width=160, height=90, rate=30)
    live = LiveSession(camera, lambda _: matter, LiveOptions(160, 90, matting=FIXED))
    live.viewers.append(fails)
    with camera, live, pytest.raises(OutputError, match="no more frames"):
        until(live.check_ended, "the error")


def test_background_chosen_while_another_fails_to_open_is_kept(
    matter: MattingPipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening, chosen = threading.Event(), threading.Event()

    def slowly(spec: str, fmt: FrameFormat, *, origin: Fraction) -> BackgroundPlanes:
        if "gone.jpg" in spec:
            opening.set()
            assert chosen.wait(20)
        return open_background_planes(spec, fmt, origin=origin)

    def does(live: LiveSession) -> None:
        live.settings.change(lambda s: replace(s, background=str(tmp_path / "gone.jpg")))
        assert opening.wait(20)
        live.settings.change(lambda s: replace(s, background="#0000ff"))
        chosen.set()
        until(lambda: "gone.jpg" in (live.status().notice or ""), "a notice")
        shown = live.stats().frames
        until(lambda: live.stats().frames > shown + 2, "more pictures")
        assert live.settings.current.background == "#0000ff"

    monkeypatch.setattr(compositor, "open_background_planes", slowly)
    _session(matter, LiveOptions(160, 90, backgrounds=("#ff0000",), matting=FIXED), does)


def test_missing_virtual_camera_error_names_setup(matter: MattingPipeline) -> None:
    camera = Camera(str(SAMPLE), width=160, height=90, rate=30)
    live = LiveSession(camera, lambda _: matter, LiveOptions(160, 90, matting=FIXED))
    if Path("/dev/video0").exists():
        pytest.skip("there may be a virtual camera here")
    with pytest.raises(AutohairError, match=r"v4l2loopback|OBS|pip install"):
        VirtualCamera(live)
    assert "modprobe v4l2loopback" in setup_hint("linux")
    assert "OBS" in setup_hint("darwin")
    assert "OBS" in setup_hint("win32")


def test_run_without_sink_or_duration_is_refused() -> None:
    with pytest.raises(OptionError, match="nothing"):
        run_live(
            str(SAMPLE),
            load=lambda _: never(),
            options=LiveOptions(),
            sinks=LiveSinks(window=False),
            report=print,
        )


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("--camera missing.mp4", 1, "missing.mp4 does not exist"),
        ("--size 640", 2, "WIDTHxHEIGHT"),
        ("--size 641x360", 2, "even"),
        ("--fps 0", 2, "give 1 to 240"),
        ("--tier huge", 2, "unknown tier"),
        ("--format gif2", 2, "unknown format"),
        ("--format png-sequence", 2, "record as a video"),
        ("--bg greenish", 2, "no colour and no file"),
        ("--serve 8000", 2, "HOST:PORT"),
        ("--no-window", 2, "nothing shows"),
    ],
)
def test_invalid_call_is_one_error_line(
    capfd: pytest.CaptureFixture[str], call: str, code: int, text: str
) -> None:
    camera = [] if "--camera" in call else ["--camera", str(SAMPLE)]
    # a page needs no screen
    shown = [] if "--serve" in call or "--no-window" in call else ["--serve", "127.0.0.1:0"]
    assert run(["live", "--device", "cpu", *camera, *shown, *call.split()]) == code
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert text in err
    assert "fault of this program" not in err
