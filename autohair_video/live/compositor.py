"""The background behind the subject, which the viewer may change at any time."""

from __future__ import annotations

import time
from fractions import Fraction

from autohair_video.compositing.render import BackgroundPlanes, composite, open_background_planes
from autohair_video.frames import FrameBatch
from autohair_video.live.pipeline import MattedFrame, frame_format


class LiveCompositor:
    """Composites frames over the chosen background; used by the render thread alone.

    ``background``: the one that is open.

    Raises:
        OptionError, InputError: the first background is unknown or cannot be read.
    """

    def __init__(self, width: int, height: int, background: str) -> None:
        self._format = frame_format(width, height)
        self._started_s = time.monotonic()
        self.background = background
        self._planes = self._open(background)

    def use(self, background: str) -> None:
        """Open another background; the present one stays if that fails.

        Raises:
            OptionError, InputError: it is unknown or cannot be read.
        """
        if background != self.background:
            planes = self._open(background)
            self._planes.close()
            self._planes, self.background = planes, background

    def composite(self, matted: MattedFrame) -> FrameBatch:
        """A frame over the background, in the format of its planes."""
        return composite(matted.frames, matted.matte, self._planes, matted.frames.format)

    def close(self) -> None:
        """Close the background."""
        self._planes.close()

    def _open(self, background: str) -> BackgroundPlanes:
        # a background clip starts when it is chosen
        origin = Fraction(time.monotonic() - self._started_s)
        return open_background_planes(background, self._format, origin=origin)
