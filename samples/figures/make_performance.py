"""The README's performance section: its table, and the plot of cost against band and frame.

    python samples/figures/make_performance.py [--frames 100] [--sizes 360p 720p 1080p 4k] [--device auto]

writes the table between README.md's marks and samples/readme/cost.svg. On an idle machine of two cores
it takes some minutes. The table is what `autohair-video bench --size SIZE --frames N` prints, size by
size; the plot counts processor time, which other programs on the machine disturb little.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from cost_plot import Series, draw_plot

from autohair_video import FrameBatch, FrameFormat, MattingPipeline
from autohair_video.bench.clip import SIZES, talking_head
from autohair_video.bench.report import BenchResult
from autohair_video.bench.runner import BenchOptions, run_bench
from autohair_video.bench.stages import single_threaded_frames
from autohair_video.cli.app import settle
from autohair_video.media import from_rgb, round_planes
from autohair_video.runtime.profiling import StageTimer, untimed

HERE = Path(__file__).resolve().parents[1]
README = HERE.parent / "README.md"
MARKS = re.compile(r"(<!-- performance -->\n).*?(<!-- /performance -->)", re.DOTALL)

PERSONS_PX = (100, 220, 340, 500, 690)
FRAMES_PX = ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))
FIXED_PERSON_PX = 340


@dataclass(frozen=True)
class Cost:
    """Of one talking head: megapixels of the band and the frame, processor milliseconds a frame."""

    band_mpx: float
    frame_mpx: float
    matte_ms: float
    all_ms: float


def main() -> None:
    """Measure, and write both."""
    settle()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--device", default="auto")
    asked = parser.parse_args()
    if asked.sizes:
        text = table({size: _bench(size, asked.frames, asked.device) for size in asked.sizes}, asked.frames)
        README.write_text(MARKS.sub(rf"\g<1>{text}\g<2>", README.read_text("utf-8")), "utf-8")
    pipeline = MattingPipeline(device=asked.device)
    by_band = [cost(pipeline, (1280, 720), person_px) for person_px in PERSONS_PX]
    by_frame = [cost(pipeline, size, FIXED_PERSON_PX) for size in FRAMES_PX]
    (HERE / "readme" / "cost.svg").write_text(plot(by_band, by_frame), "utf-8")


def _bench(size: str, frames: int, device: str) -> BenchResult:
    print(size, flush=True)
    return run_bench(
        BenchOptions(size=size, frames=frames),
        partial(MattingPipeline, device=device),
        device=device,
        progress=print,
    )


def table(benches: Mapping[str, BenchResult], frames: int) -> str:
    """A Markdown table, a row for each size, and where it was measured."""
    m = next(iter(benches.values())).machine
    lines = [
        "| `--size` | whole job | processor time | decode and encode alone | peak memory |",
        "| --- | --- | --- | --- | --- |",
    ]
    for size, bench in benches.items():
        job, baseline = bench.job, bench.baseline
        memory = "" if job.peak_memory_bytes is None else f"{job.peak_memory_bytes / 1e6:.0f} MB"
        lines.append(
            f"| {size} ({bench.clip.width}x{bench.clip.height}) | {job.fps:.2f} fps "
            f"| {1000 * job.cpu_s / job.frames:.0f} ms/frame | {baseline.fps:.1f} fps | {memory} |"
        )
    where = f"{m['device_name']} ({m['device']}, {m['precision']}), {m['cpus']} cores, torch {m['torch']}"
    return "\n".join([*lines, "", f"{frames} frames each; {where}.", ""])


def cost(pipeline: MattingPipeline, size: tuple[int, int], person_px: int) -> Cost:
    """What matting four frames of a talking head costs; they are matted once before, to warm up."""
    watch = StageTimer(pipeline.device, clock=time.process_time)
    for measured in (untimed, watch):
        pipeline.watch = measured
        mattes = [matte for _, matte in single_threaded_frames(pipeline, _batches(size, person_px))]
    spent_s, frames = watch.take(), sum(len(matte) for matte in mattes)
    trimap = torch.cat([matte.trimap for matte in mattes if matte.trimap is not None])
    return Cost(
        float(((trimap > 0) & (trimap < 255)).sum()) / frames / 1e6,
        size[0] * size[1] / 1e6,
        1000 * spent_s["matte"] / frames,
        1000 * sum(spent_s.values()) / frames,
    )


def _batches(size: tuple[int, int], person_px: int) -> Iterator[FrameBatch]:
    fmt = FrameFormat(*size, matrix=1)
    images = [torch.from_numpy(p).permute(2, 0, 1) for p in talking_head(*size, 4, person_px=person_px)]
    for first in (0, 2):
        planes = round_planes(from_rgb(torch.stack(images[first : first + 2]), fmt), fmt)
        yield FrameBatch(planes, fmt, (first, first + 1), (1, 1), Fraction(1, 25))


def plot(by_band: Sequence[Cost], by_frame: Sequence[Cost]) -> str:
    """Both plots side by side, as SVG."""
    panels = []
    for costs, along, caption in (
        (by_band, "band_mpx", "unknown band in 1280x720, megapixels"),
        (by_frame, "frame_mpx", f"frame, megapixels; the person always {FIXED_PERSON_PX} px high"),
    ):
        x = [getattr(c, along) for c in costs]
        series = (
            Series("matte (tiles of the band)", "#d6336c", x, [c.matte_ms for c in costs]),
            Series("all of matting", "#1971c2", x, [c.all_ms for c in costs]),
        )
        panels.append((caption, series))
    return draw_plot(panels, unit="processor ms/frame")


if __name__ == "__main__":
    main()
