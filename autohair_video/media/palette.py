"""Frames with alpha as GIFs hold them: 255 colours per frame, and a transparent one."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av import VideoFormat, VideoFrame
from av.filter import Graph

_PIXEL_FORMAT = "bgra"
# Alpha of 255 from which a pixel is opaque.
_THRESHOLD = 128


class Palette:
    """Finds 255 colours for each frame, frame by frame, so memory does not grow with the clip."""

    def __init__(self, width: int, height: int, time_base: Fraction) -> None:
        graph = Graph()
        source = graph.add_buffer(
            width=width, height=height, format=VideoFormat(_PIXEL_FORMAT), time_base=time_base
        )
        split = graph.add("split")
        generate = graph.add("palettegen", "stats_mode=single:reserve_transparent=1")
        use = graph.add("paletteuse", f"new=1:dither=sierra2_4a:alpha_threshold={_THRESHOLD}")
        sink = graph.add("buffersink")
        source.link_to(split)
        split.link_to(use, 0, 0)
        split.link_to(generate, 1, 0)
        generate.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        self._graph = graph

    def push(self, frame: VideoFrame | None) -> Iterator[VideoFrame]:
        """Takes a frame, or None to flush; yields the frames that are ready."""
        self._graph.push(frame)
        while True:
            try:
                done = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if not isinstance(done, VideoFrame):
                raise TypeError(f"the palette filter returned {type(done).__name__}")
            yield done
