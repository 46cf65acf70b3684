"""How fast a clip is matted, stage by stage.

The stages run one after the other here, so that each can be timed; a real job overlaps decoding,
matting and encoding.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from rich.table import Table

from autohair_video.media.presets import codec_format, preset_named
from autohair_video.media.reader import ClipReader
from autohair_video.media.writer import ClipWriter
from autohair_video.outputs import composite, open_scene
from autohair_video.pipeline import Matter
from autohair_video.timing import Stopwatch, Watch

T = TypeVar("T")
_WARM_UP_BATCHES = 1


@dataclass(frozen=True)
class Timing:
    """Seconds spent in each stage over ``frames`` frames of a clip."""

    clip: Path
    size: tuple[int, int]
    frames: int
    seconds: dict[str, float]

    @property
    def fps(self) -> float:
        """Frames per second with all stages one after the other."""
        return self.frames / sum(self.seconds.values())


def time_stages(
    clip: Path, matter: Matter, *, background: str = "#00b140", frames: int = 60, batch_size: int = 4
) -> Timing:
    """Decode, matte, composite and encode a clip's first frames, and time each stage.

    The first batch warms up and does not count. The encoded clip is thrown away.

    Raises:
        InputError: the clip cannot be read, or has no frames after the first batch.
    """
    preset, watch = preset_named("h264"), Stopwatch(matter.device)
    matter.watch = watch
    counted = 0
    with tempfile.TemporaryDirectory() as folder, ClipReader(clip, batch_size=batch_size) as reader:
        target = codec_format(preset, reader.format)
        batches = islice(_watched(reader, watch, "decode"), _WARM_UP_BATCHES + -(-frames // batch_size))
        with (
            closing(open_scene(background, target)) as scene,
            ClipWriter(Path(folder) / "out.mp4", preset, target, reader.time_base) as writer,
        ):
            for i, (batch, matte) in enumerate(matter.frames(batches)):
                with watch("foreground, composite"):
                    result = composite(batch, matte, scene, target)
                with watch("encode"):
                    writer.write(result)
                counted += len(batch)
                if i + 1 == _WARM_UP_BATCHES:
                    watch.seconds.clear()
                    counted = 0
        size = (reader.format.width, reader.format.height)
    return Timing(clip, size, counted, dict(watch.seconds))


def as_table(timing: Timing) -> Table:
    """Milliseconds a frame and share of each stage, for a rich console."""
    width, height = timing.size
    table = Table(title=f"{timing.clip.name}, {width}x{height}, {timing.frames} frames")
    for column in ("stage", "ms/frame", "share"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    whole = sum(timing.seconds.values())
    for stage, seconds in timing.seconds.items():
        table.add_row(stage, f"{1000 * seconds / timing.frames:.1f}", f"{seconds / whole:.0%}")
    table.add_section()
    table.add_row("all, in turn", f"{1000 * whole / timing.frames:.1f}", f"{timing.fps:.2f} fps")
    return table


def _watched(items: Iterable[T], watch: Watch, stage: str) -> Iterator[T]:
    waiting = iter(items)
    while True:
        with watch(stage):
            item = next(waiting, None)
        if item is None:
            return
        yield item
