"""Cameras: the newest picture, and what is said when there is none or none that is any good."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from autohair_video import InputError
from autohair_video.media import camera as cameras
from autohair_video.media.camera import Camera, CameraFrame
from tests.helpers.clips import luma_of, make_clip

PATIENCE_S = 60


class Webcam(ThreadingHTTPServer):
    """A network camera: sends what ``picture`` gives as MJPEG until it is unplugged."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pictures)
        self.size, self.level, self.noise, self.plugged = (64, 48), 120, 30, True
        self.url = f"http://127.0.0.1:{self.server_port}/"

    def picture(self) -> bytes:
        shape = (self.size[1], self.size[0], 3)
        noise = np.random.default_rng().integers(0, self.noise + 1, shape)
        return cv2.imencode(".jpg", (self.level + noise).astype(np.uint8))[1].tobytes()


class _Pictures(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        camera = self.server
        assert isinstance(camera, Webcam)
        if not camera.plugged:
            self.send_error(503)
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=b")
        self.end_headers()
        pause = threading.Event()
        try:
            while camera.plugged:
                data = camera.picture()
                head = f"--b\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                pause.wait(0.01)
        except OSError:
            return

    def log_message(self, format: str, *arguments: object) -> None:
        return


@pytest.fixture
def webcam() -> Iterator[Webcam]:
    with Webcam() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.plugged = False
        running.shutdown()
        thread.join()


def _camera(source: str | Path) -> Camera:
    return Camera(str(source), width=64, height=48, rate=30)


def _shot(camera: Camera) -> CameraFrame:
    shot = camera.newest(PATIENCE_S)
    assert shot is not None, camera.fault
    return shot


def _trouble(camera: Camera, text: str) -> None:
    """Wait for a line about the camera, while taking its pictures."""
    end_s = time.monotonic() + PATIENCE_S
    while text not in (camera.fault or ""):
        camera.newest(0.02)
        assert time.monotonic() < end_s, camera.fault


def _until(condition: Callable[[], bool], what: str) -> None:
    """Wait for what the camera's thread does, with a deadline."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end_s, f"in vain: {what}"


def test_a_file_loops_at_its_own_rate(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", pts=range(6))
    with _camera(clip) as camera:
        shots = [_shot(camera)]
        while shots[-1].number < 14:
            shots.append(_shot(camera))
    for shot in shots:
        bar = shot.image[30:46, 40:60].mean()
        assert abs(bar - luma_of((shot.number - 1) % 6)) < 12
    seconds, pictures = shots[-1].taken_s - shots[0].taken_s, shots[-1].number - shots[0].number
    assert seconds > 0.7 * pictures / 25


def test_only_the_newest_image_is_queued(webcam: Webcam) -> None:
    with _camera(webcam.url) as camera:
        first = _shot(camera)
        end_s = time.monotonic() + PATIENCE_S
        while camera.frames_read < first.number + 20:
            assert time.monotonic() < end_s
        assert _shot(camera).number >= first.number + 20


def test_a_file_that_is_missing_or_no_video_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match="does not exist"):
        _camera(tmp_path / "missing.mp4")
    with pytest.raises(InputError, match="not a video"):
        _camera(tmp_path / "text.mp4")


def test_an_absent_camera_is_reported_and_retried() -> None:
    with _camera("/dev/video63") as camera:
        _trouble(camera, "there is no camera /dev/video63")
        assert camera.newest(0) is None


def test_a_device_that_is_no_camera_or_busy_is_reported() -> None:
    with _camera("/dev/null") as camera:
        _trouble(camera, "camera /dev/null is used by another program, or is none")


def test_a_static_file_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "_FAULT_AFTER_S", 0.0)
    clip = make_clip(tmp_path / "still.mp4", pts=range(1))
    with _camera(clip) as camera:
        for _ in range(6):
            _shot(camera)
            assert camera.fault is None


def test_a_camera_reconnects_after_it_was_unplugged(webcam: Webcam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "FIRST_PAUSE_S", 0.02)
    with _camera(webcam.url) as camera:
        _shot(camera)
        webcam.plugged = False
        _trouble(camera, "unplugged")
        _trouble(camera, "cannot be reached")
        webcam.plugged = True
        number = _shot(camera).number
        assert _shot(camera).number > number
        assert camera.fault is None


def test_images_may_change_size(webcam: Webcam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "FIRST_PAUSE_S", 0.02)
    with _camera(webcam.url) as camera:
        assert _shot(camera).image.shape == (48, 64, 3)
        webcam.plugged = False
        _trouble(camera, "unplugged")
        webcam.size, webcam.plugged = (128, 96), True
        _until(lambda: _shot(camera).image.shape == (96, 128, 3), "images of the new size")


def test_black_and_frozen_images_are_reported_until_they_end(
    webcam: Webcam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cameras, "_FAULT_AFTER_S", 0.1)
    with _camera(webcam.url) as camera:
        _shot(camera)
        webcam.level, webcam.noise = 0, 3
        _trouble(camera, "black images")
        webcam.level, webcam.noise = 90, 0
        _trouble(camera, "same image")
        webcam.noise = 30
        _until(lambda: _shot(camera) is not None and camera.fault is None, "the end of the fault")
