"""The README's picture of the live page, made by the tool itself with the sample clip as camera.

Run from anywhere: ``python samples/figures/make_live_pictures.py``; needs the extras ``live`` and
``test`` and Chromium; writes samples/readme/live.jpg.
"""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import Browser, sync_playwright

from autohair_video import MattingPipeline
from autohair_video.live.session import LiveSession
from autohair_video.live.settings import LiveOptions
from autohair_video.live.web.server import Server
from autohair_video.media.camera import Camera

HERE = Path(__file__).resolve().parents[1]
SETTLED_MS = 10_000  # by then the quality has found its level


def shot(browser: Browser, url: str, width: int, scheme: str) -> NDArray[np.uint8]:
    """The page at a width in CSS pixels, light or dark, as (780, W, 3) BGR."""
    page = browser.new_page(viewport={"width": width, "height": 780}, color_scheme=scheme)
    page.goto(url)
    page.wait_for_timeout(SETTLED_MS)
    data = page.screenshot()
    page.close()
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def main() -> None:
    """Serve the sample on the beach, and lay the page at a desk beside the page on a telephone."""
    options = LiveOptions(backgrounds=(str(HERE / "beach.jpg"),))
    camera = Camera(str(HERE / "portrait.mp4"), width=640, height=360, rate=30)
    live = LiveSession(camera, lambda tier: MattingPipeline(tier=tier), options)
    with closing(Server(live, "127.0.0.1:0")) as server, camera, live, sync_playwright() as playwright:
        program = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        shots = [shot(browser, server.url, 980, "light"), shot(browser, server.url, 360, "dark")]
    both = cv2.resize(np.hstack(shots), None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(HERE / "readme" / "live.jpg"), both, [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()
