"""A virtual camera for other programs, through pyvirtualcam."""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import Any, Final

from autohair_video.errors import OptionError, OutputError
from autohair_video.live.session import LiveSession, RenderedFrame

_SETUP: Final = MappingProxyType(
    {
        "linux": "sudo apt install v4l2loopback-dkms && sudo modprobe v4l2loopback exclusive_caps=1 "
        "card_label=autohair-video",
        "darwin": "install OBS 30 or newer, and start and stop its virtual camera once",
        "win32": "install OBS, which brings a virtual camera with it",
    }
)


class VirtualCamera:
    """Sends the composites of a session to a virtual camera, whatever view is chosen.

    Raises:
        OptionError: pyvirtualcam is not installed.
        OutputError: the system has no free virtual camera.
    """

    def __init__(self, live: LiveSession) -> None:
        try:
            import pyvirtualcam
        except ImportError as exc:
            raise OptionError(
                "a virtual camera needs pyvirtualcam: pip install 'autohair-video[live]'"
            ) from exc
        self._live, o = live, live.options
        try:
            self._camera: Any = pyvirtualcam.Camera(
                width=o.width, height=o.height, fps=o.rate, fmt=pyvirtualcam.PixelFormat.BGR
            )
        except RuntimeError as exc:
            raise OutputError(
                f"no virtual camera: {setup_hint()} (once); or close the program that uses it"
            ) from exc
        self.name = str(self._camera.device)
        live.needs_composite = True
        live.viewers.append(self._send)

    def close(self) -> None:
        """Release the virtual camera."""
        self._camera.close()

    def _send(self, frame: RenderedFrame) -> None:
        if frame.composite is None:
            return
        try:
            self._camera.send(frame.composite)
        except RuntimeError as exc:
            raise OutputError(f"virtual camera {self.name} accepts no more frames: {exc}") from exc
        self._live.displayed(frame)


def setup_hint(platform: str = sys.platform) -> str:
    """How to set up a virtual camera on a platform."""
    return _SETUP.get(platform, _SETUP["linux"])
