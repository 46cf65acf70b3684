"""Deinterlaces frame by frame, keeping times."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
from av import VideoFormat, VideoFrame
from av.filter import Graph

TimedImage = tuple[VideoFrame, int]


class Deinterlacer:
    """Passes frames through, and from the first interlaced one on through FFmpeg's bwdif.

    Each frame gives one frame of the same pts and packet duration: the field that comes first, with the
    lines between interpolated from its neighbours in space and time. Frames that are marked as
    progressive stay as they are.

    ``engaged``: whether an interlaced frame has been seen.
    """

    def __init__(self) -> None:
        self.engaged = False

    def __call__(self, frames: Iterator[TimedImage]) -> Iterator[TimedImage]:
        """The frames, each with its packet's duration."""
        graph: Graph | None = None
        waiting: deque[tuple[int | None, int]] = deque()
        for image, duration in frames:
            if graph is None and not image.interlaced_frame:
                yield image, duration
                continue
            if graph is None:
                graph, self.engaged = _graph(image), True
            waiting.append((image.pts, duration))
            graph.push(image)
            yield from _pulled(graph, waiting)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph, waiting)


def _graph(image: VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=image.width,
        height=image.height,
        format=VideoFormat(image.format.name),
        time_base=image.time_base,
    )
    filters = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    shape = graph.add("format", f"pix_fmts={image.format.name}")
    sink = graph.add("buffersink")
    source.link_to(filters)
    filters.link_to(shape)
    shape.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Graph, waiting: deque[tuple[int | None, int]]) -> Iterator[TimedImage]:
    while waiting:
        try:
            image = graph.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        if not isinstance(image, VideoFrame):
            raise TypeError(f"the deinterlacer returned {type(image).__name__}")
        # The filter counts in half ticks.
        image.pts, duration = waiting.popleft()
        yield image, duration
