"""Request handlers of the page in the browser."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Final

import cv2
from anyio.to_thread import run_sync
from PIL import Image, UnidentifiedImageError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from autohair_video.errors import AutohairError
from autohair_video.live.overlay import status_line
from autohair_video.live.session import LiveSession, RenderedFrame
from autohair_video.live.settings import TIERS, VIEWS, Settings
from autohair_video.media.image import read_image

MAX_UPLOAD_BYTES: Final = 20_000_000
_MAX_UPLOADS: Final = 50
_MAX_PIXELS: Final = 50_000_000
# MPO is a JPEG with further images appended, as many phones write it; Pillow opens it as JPEG.
_KINDS: Final = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}
_OPENED: Final = ("JPEG", "PNG", "WEBP")
_MAX_SETTINGS_BYTES: Final = 10_000
_COLOUR: Final = re.compile("#[0-9a-f]{6}", re.IGNORECASE)
_SETTABLE: Final[Mapping[str, tuple[type, ...]]] = {
    "background": (int, str),
    "view": (str,),
    "band": (int, float),
    "smoothing": (bool,),
    "frozen": (bool,),
    "tier": (str,),
}
_POLL_S: Final = 1.0
_JPEG_QUALITY: Final = 85
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob:; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class FrameFeed:
    """The newest frame as JPEG, from the render thread to any number of browsers.

    ``_newest`` is one tuple, replaced by the render thread alone; ``_loop``, ``_arrived`` and ``_jpeg`` are
    written on the event loop alone.
    """

    def __init__(self, live: LiveSession) -> None:
        self._live = live
        self._newest: tuple[int, RenderedFrame] | None = None
        self._jpeg: tuple[int, bytes] = (0, b"")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._arrived: asyncio.Event | None = None

    def put(self, frame: RenderedFrame) -> None:
        """Store a frame; called on the render thread."""
        number = 1 if self._newest is None else self._newest[0] + 1
        self._newest = (number, frame)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    async def after(self, number: int) -> tuple[int, bytes] | None:
        """The newest frame as JPEG, other than frame ``number``; None if none arrives within a second."""
        self._loop = asyncio.get_running_loop()
        if self._newest is None or self._newest[0] == number:
            self._arrived = self._arrived or asyncio.Event()
            try:
                await asyncio.wait_for(self._arrived.wait(), _POLL_S)
            except asyncio.TimeoutError:
                return None
        if self._newest is None or self._newest[0] == number:
            return None
        newest, frame = self._newest
        if self._jpeg[0] != newest:
            self._jpeg = (newest, await run_sync(_as_jpeg, frame))
        self._live.displayed(frame)
        return self._jpeg

    def _wake(self) -> None:
        if self._arrived is not None:
            self._arrived.set()
            self._arrived = None


def _as_jpeg(frame: RenderedFrame) -> bytes:
    return cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes()


class Handlers:
    """The handlers of all routes."""

    def __init__(self, live: LiveSession, feed: FrameFeed, folder: Path) -> None:
        self._live, self._feed, self._folder = live, feed, folder
        self._files: dict[str, Path] = {}
        self._uploads = 0

    def routes(self) -> list[Route]:
        """All routes of the page."""
        return [
            *(Route(path, _asset(name, kind)) for path, name, kind in _ASSETS),
            Route("/frame.jpg", self.frame),
            Route("/stream.mjpg", self.stream),
            Route("/state", self.state),
            Route("/settings", self.settings, methods=["POST"]),
            Route("/background", self.background, methods=["POST"]),
            Route("/snapshot", self.snapshot, methods=["POST"]),
            Route("/record", self.record, methods=["POST"]),
            Route("/files/{name}", self.file),
        ]

    async def frame(self, request: Request) -> Response:
        """The frame after the one whose number is given, as soon as it arrives."""
        after = request.query_params.get("after", "0")
        found = await self._feed.after(int(after) if after.isdecimal() else 0)
        if found is None:
            return Response(status_code=204, headers=HEADERS)
        headers = {**HEADERS, "X-Number": str(found[0])}
        return Response(found[1], media_type="image/jpeg", headers=headers)

    async def stream(self, request: Request) -> Response:
        """All frames as MJPEG, for players and for OBS."""
        kind = "multipart/x-mixed-replace; boundary=frame"
        return StreamingResponse(self._parts(), media_type=kind, headers=HEADERS)

    async def _parts(self) -> AsyncIterator[bytes]:
        number = 0
        yield b"--frame\r\n"
        while not self._live.has_ended:
            found = await self._feed.after(number)
            if found is not None:
                number, jpeg = found
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n".encode()
                # browsers show a part when the next boundary has arrived
                yield head + jpeg + b"\r\n--frame\r\n"

    async def state(self, request: Request) -> Response:
        """Settings and status."""
        return self._state()

    def _state(self) -> Response:
        store, status = self._live.settings, self._live.status()
        settings, backgrounds = store.current, store.backgrounds
        names = [_label(name) for name in backgrounds]
        if settings.background not in backgrounds:
            names.append(_label(settings.background))
        number = [*backgrounds, settings.background].index(settings.background)
        content = {
            "background": number,
            "backgrounds": names,
            "views": VIEWS,
            "view": settings.view,
            "band": settings.band,
            "smoothing": settings.smoothing,
            "frozen": settings.frozen,
            "tier": settings.tier,
            "tiers": TIERS,
            "line": status_line(status, settings),
            "recorded_s": status.recorded_s,
            "camera_fault": status.camera_fault,
            "notice": status.notice,
            "files": list(self._files),
            "largest_upload": MAX_UPLOAD_BYTES,
        }
        return JSONResponse(content, headers=HEADERS)

    async def settings(self, request: Request) -> Response:
        """Change settings: a JSON object with any of background, view, band, smoothing, frozen, tier."""
        try:
            wanted = json.loads(await _body(request, _MAX_SETTINGS_BYTES, "these settings"))
            changes = _parse_changes(wanted, self._live.settings.backgrounds)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as exc:
            raise HTTPException(422, "These settings are invalid.") from exc
        self._live.settings.change(lambda before: replace(before, **changes))
        return self._state()

    async def background(self, request: Request) -> Response:
        """Use the request body, an image, as the background."""
        data = await _body(request, MAX_UPLOAD_BYTES, "this image")
        if self._uploads >= _MAX_UPLOADS:
            raise HTTPException(413, f"{_MAX_UPLOADS} images were uploaded: restart the program for more.")
        path = self._folder / f"image {self._uploads + 1}{_image_extension(data)}"
        self._uploads += 1
        await run_sync(_save_image, path, data)
        self._live.settings.add_background(str(path))
        self._live.settings.change(lambda before: replace(before, background=str(path)))
        return self._state()

    async def snapshot(self, request: Request) -> Response:
        """Write a snapshot and offer it for download."""
        self._list(await run_sync(self._live.snapshot))
        return self._state()

    async def record(self, request: Request) -> Response:
        """Start a recording, or finish it and offer it for download."""
        self._list(await run_sync(self._live.recorder.toggle))
        return self._state()

    async def file(self, request: Request) -> Response:
        """A file that this page has written."""
        path = self._files.get(request.path_params["name"])
        if path is None or not path.is_file():
            raise HTTPException(404, "There is no such file.")
        return FileResponse(path, filename=path.name, headers=HEADERS)

    def _list(self, path: Path | None) -> None:
        if path is not None:
            self._files[path.name] = path


_ASSETS: Final = (
    ("/", "page.html", "text/html"),
    ("/page.css", "page.css", "text/css"),
    ("/page.js", "page.js", "text/javascript"),
)


def _asset(name: str, kind: str) -> Any:
    data = resources.files("autohair_video.live.web").joinpath("page").joinpath(name).read_bytes()

    async def answer(request: Request) -> Response:
        return Response(data, media_type=kind, headers=HEADERS)

    return answer


async def http_error_response(request: Request, exc: Exception) -> Response:
    """The response to a refused request, as plain text."""
    text, code = (exc.detail, exc.status_code) if isinstance(exc, HTTPException) else (str(exc), 500)
    return PlainTextResponse(text, status_code=code, headers=HEADERS)


async def app_error_response(request: Request, exc: Exception) -> Response:
    """The response to an error of the session, as plain text."""
    return PlainTextResponse(str(exc), status_code=422, headers=HEADERS)


async def _body(request: Request, limit: int, what: str) -> bytes:
    """The request's body, read up to the limit."""
    too_large = HTTPException(413, f"{what.capitalize()} is too large: {limit / 1e6:g} MB is the most.")
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > limit:
        raise too_large
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > limit:
            raise too_large
    return bytes(data)


def _parse_changes(wanted: Any, backgrounds: tuple[str, ...]) -> dict[str, Any]:
    """Changes of `Settings` from the browser: a background is an index of the list, or a colour.

    Raises:
        AttributeError, KeyError, TypeError, ValueError: it is invalid.
    """
    changes: dict[str, Any] = {}
    for name, value in wanted.items():
        if name not in _SETTABLE or type(value) not in _SETTABLE[name]:
            raise TypeError(name)
        changes[name] = value
    chosen = changes.get("background", "#000000")
    if isinstance(chosen, str) and not _COLOUR.fullmatch(chosen):
        raise ValueError(chosen)
    if isinstance(chosen, int):
        changes["background"] = dict(enumerate(backgrounds))[chosen]
    Settings("blur", **{k: v for k, v in changes.items() if k != "background"})
    return changes


def _image_extension(data: bytes) -> str:
    """File extension of an image by its content."""
    refusal = HTTPException(415, "This is no JPEG, PNG or WebP image that can be read.")
    try:
        with Image.open(io.BytesIO(data), formats=_OPENED) as image:
            kind, (width, height) = image.format, image.size
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as exc:
        raise refusal from exc
    if width * height > _MAX_PIXELS:
        raise HTTPException(413, f"This image has {width}x{height} pixels: too many for a background.")
    return _KINDS[kind or ""]


def _save_image(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    try:
        read_image(path)
    except AutohairError as exc:
        path.unlink()
        raise HTTPException(415, "This is no JPEG, PNG or WebP image that can be read.") from exc


def _label(background: str) -> str:
    return background if background.startswith("#") else Path(background).stem
