"""Runs all benchmarks of a job: end to end, stage by stage, and paired with another program."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

from autohair_video.bench.clip import SIZES, BenchClip, check_source, prepare
from autohair_video.bench.competitor import CompetitorTime, parse_command, time_competitor
from autohair_video.bench.end_to_end import time_codec_baseline, time_end_to_end
from autohair_video.bench.report import BenchResult, as_json, describe_machine
from autohair_video.bench.stages import time_encoder, time_matting
from autohair_video.errors import OptionError
from autohair_video.matting.pipeline import MattingPipeline
from autohair_video.media.atomic_output import check_output, write_text
from autohair_video.media.reader import ClipReader
from autohair_video.runtime.devices import choose_device

Size = Literal["360p", "720p", "1080p", "4k"]


@dataclass(frozen=True)
class BenchOptions:
    """What is timed.

    ``clip``: the clip, or None for a generated one. ``size``: the size to which it is scaled; None keeps
    the clip's, or generates 720p. ``frames``: number of frames timed, from the clip's start. ``against``:
    another program's command, with ``{clip}`` for its input and ``{out}`` for its output. ``pairs``: how
    often both programs run.
    """

    clip: Path | None = None
    size: Size | None = None
    frames: int = 100
    background: str = "#00b140"
    against: str | None = None
    pairs: int = 3

    def __post_init__(self) -> None:
        if self.size is not None and self.size not in SIZES:
            raise OptionError(f"unknown size {self.size!r}: use {', '.join(SIZES)}")
        if self.frames < 1:
            raise OptionError(f"{self.frames} frames cannot be timed: use 1 or more")
        if self.pairs < 1:
            raise OptionError(f"{self.pairs} pairs cannot be timed: use 1 or more")
        if self.against is not None:
            parse_command(self.against)
            if self.frames < 2:
                raise OptionError("--against needs at least two frames: the first one is the start-up")


def run_bench(
    options: BenchOptions,
    load: Callable[[], MattingPipeline],
    *,
    device: str = "auto",
    json_path: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> BenchResult:
    """Times a whole job, the codec baseline, each stage, and another program if one is named.

    Args:
        options: what is timed.
        load: loads the networks on ``device``; it runs in other processes, so it must pickle.
        device: where the networks run.
        json_path: where the figures are written as JSON; overwritten.
        progress: called with the name of each step.

    Raises:
        OptionError: the other program's command is wrong.
        InputError: the clip cannot be read.
        JobError: the other program failed.
        OutputError: the JSON file cannot be written.
    """
    check_source(options.clip)
    if json_path is not None:
        check_output(json_path, overwrite=True)
    machine = describe_machine(choose_device(device))
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        progress("preparing the clip")
        clip = prepare(work, options.clip, options.size, options.frames, copied=options.against is not None)
        out = work / "out.mp4"
        with _fresh_process() as process:
            progress("the whole job")
            job = process.submit(time_end_to_end, clip, out, options.background, load).result()
            progress("codec baseline")
            baseline = process.submit(time_codec_baseline, clip, work / "baseline.mp4").result()
            progress("stage by stage")
            stages = process.submit(time_matting, clip, options.background, load).result()
            stages += process.submit(time_encoder, out, work / "again.mp4").result()
        other = None
        if options.against is not None:
            other = _compare_with(clip, work, options.against, options, load, progress)
    bench = BenchResult(clip, machine, job, baseline, stages, other)
    if json_path is not None:
        write_text(json_path, as_json(bench))
    return bench


def _compare_with(
    clip: BenchClip,
    work: Path,
    command: str,
    options: BenchOptions,
    load: Callable[[], MattingPipeline],
    progress: Callable[[str], None],
) -> CompetitorTime:
    """Both programs as commands, from their start to their end."""

    def ours(path: Path) -> None:
        job = replace(clip, path=path)
        with _fresh_process() as process:
            out = work / "ours.mp4"
            process.submit(time_end_to_end, job, out, options.background, load, warm=False).result()

    progress("both programs")
    (work / "first").mkdir()
    first = prepare(work / "first", clip.path, None, 1, copied=True)
    with ClipReader(clip.path, batch_size=1) as reader:
        frames = sum(len(batch) for batch in reader)
    return time_competitor(
        command,
        (first.path, clip.path),
        work / "theirs.mp4",
        ours,
        frames=frames,
        pairs=options.pairs,
    )


def _fresh_process() -> ProcessPoolExecutor:
    # Ctrl-C reaches it too; the caller reports it
    quietly = (signal.SIGINT, signal.SIG_DFL)
    return ProcessPoolExecutor(
        1, mp_context=get_context("spawn"), initializer=signal.signal, initargs=quietly
    )
