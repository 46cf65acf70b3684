"""Jobs that resume after an interruption: state on disk, kept parts, outputs of uninterrupted jobs."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, count
from pathlib import Path
from threading import Event
from typing import Any

import av
import numpy as np
import pytest
import torch

from autohair_video import (
    MattingPipeline,
    OptionError,
    OutputError,
    Progress,
    StoppedError,
    TemporalOptions,
    process,
)
from autohair_video.jobs.checkpoint import (
    JobCheckpoint,
    Segment,
    finalize_was_interrupted,
    remove_stale,
)
from autohair_video.jobs.progress import OnProgress
from autohair_video.jobs.runner import BATCH_FRAMES
from autohair_video.matting.state import CarriedState
from autohair_video.media import ClipReader
from autohair_video.media.alpha_reader import stored_frames
from autohair_video.media.atomic_output import partial_path
from tests.helpers.clips import make_clip, sound_packets, timeline
from tests.helpers.options import HARD, NEVER, QUICK


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_segmented_matting_equals_one_pass(tmp_path: Path) -> None:
    pipeline = MattingPipeline(device="cpu", options=QUICK)
    with ClipReader(make_clip(tmp_path / "a.mp4", pts=range(6)), batch_size=2) as reader:
        batches = list(reader)
    whole = torch.cat([matte.alpha for _, matte in pipeline.frames(batches)])
    folder = JobCheckpoint(tmp_path / "o.mov", {})
    alphas = []
    for index, batch in enumerate(batches):
        resume_state = folder.load_state()
        alphas += [matte.alpha for _, matte in pipeline.frames([batch], resume_state=resume_state)]
        folder.commit(Segment(index, len(batch), 0, ()), resume_state)
        # as another process finds it
        folder = JobCheckpoint(tmp_path / "o.mov", {})
    assert torch.equal(torch.cat(alphas), whole)


def test_only_committed_segments_are_resumed(tmp_path: Path) -> None:
    folder = JobCheckpoint(tmp_path / "o.%03d.png", {"preset": "png"})
    for index in range(2):
        name = folder.file(index, 0, tmp_path / "o.%03d.png")
        for number in (1, 2):
            (name.with_name(name.name % number)).touch()
        folder.commit(Segment(index, 2, 9, (name.name,)), CarriedState())
    (folder.path / "00002-0-00001.png").touch()
    (folder.path / ".00002-0.1234.part").mkdir()
    (folder.path / "00002.json.part").touch()
    again = JobCheckpoint(tmp_path / "o.%03d.png", {"preset": "png"})
    assert [part.index for part in again.done] == [0, 1]
    assert [file.name for file in again.files(0)] == ["00000-0-%05d.png", "00001-0-%05d.png"]
    stills = [f"0000{part}-0-0000{number}.png" for part in (0, 1) for number in (1, 2)]
    assert _files(folder.path) == sorted(["job.json", "00000.json", "00001.json", "00001.state", *stills])
    again.remove()
    assert _files(tmp_path) == []


def test_checkpoint_of_another_job_is_refused(tmp_path: Path) -> None:
    folder = JobCheckpoint(tmp_path / "o.mov", {"preset": "prores", "size": (1, 2)})
    folder.commit(Segment(0, 2, 9, ()), CarriedState())
    with pytest.raises(OutputError, match=r"another size: call it as before, or delete"):
        JobCheckpoint(tmp_path / "o.mov", {"preset": "prores", "size": (1, 3)})
    (folder.path / "00000.json").write_text("{")
    with pytest.raises(OutputError, match=r"o\.mov\.resume.*delete it"):
        JobCheckpoint(tmp_path / "o.mov", {"preset": "prores", "size": (1, 2)})


def test_loading_state_never_unpickles_code(tmp_path: Path) -> None:
    folder = JobCheckpoint(tmp_path / "o.mov", {})
    folder.commit(Segment(0, 2, 9, ()), CarriedState())
    torch.save(np.float64, folder.path / "00000.state")
    with pytest.raises(OutputError, match="to start again"):
        JobCheckpoint(tmp_path / "o.mov", {}).load_state()


def test_only_remove_stale_deletes_what_a_finished_job_left(tmp_path: Path) -> None:
    left = tmp_path / ".o.mov.resume"
    left.mkdir()
    assert not finalize_was_interrupted(tmp_path / "o.mov")
    assert left.is_dir()
    remove_stale(tmp_path / "o.mov")
    assert not left.exists()
    JobCheckpoint(tmp_path / "o.mov", {}).mark_joined()
    assert finalize_was_interrupted(tmp_path / "o.mov")


# Whole jobs

UNEVEN_MS = tuple(accumulate((33, 34, 50, 16, 117, 33, 100) * 4, initial=0))
# 8 frames: whole batches, and some of them
PART_S = 0.4


# no frames ahead, so that a batch that went in has come out
CAUSAL = replace(HARD, temporal=TemporalOptions(mode="causal"))


@pytest.fixture(scope="module")
def pipeline() -> MattingPipeline:
    return MattingPipeline(device="cpu", options=CAUSAL)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "a.mp4", pts=UNEVEN_MS, time_base=Fraction(1, 1000), last=40, sound="aac")


def _stopping(after: int) -> tuple[Event, OnProgress]:
    """An event, and what sets it when so many batches are done."""
    stop, batches = Event(), count(1)

    def seen(progress: Progress) -> None:
        if next(batches) >= after:
            stop.set()

    return stop, seen


def _decoded(path: Path) -> list[tuple[int, bytes]]:
    """The pts and samples of every frame."""
    with av.open(str(path)) as container:
        return [
            (frame.pts, b"".join(bytes(memoryview(plane)) for plane in frame.planes))
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("name", "background"), [("o.mp4", "red"), ("o.mkv", "red"), ("o.mov", None), ("o.webm", None)]
)
def test_resume_after_two_stops_equals_one_run(
    tmp_path: Path, pipeline: MattingPipeline, clip: Path, name: str, background: str | None
) -> None:
    asked: dict[str, Any] = {
        "background": background,
        "pipeline": pipeline,
        "resume": True,
        "segment_s": PART_S,
    }
    process(clip, tmp_path / f"whole_{name}", matte=tmp_path / "w.%02d.png", **asked)
    asked["matte"] = tmp_path / "m.%02d.png"
    for done, frames in ((0, 12), (8, 12), (8, 24)):
        stop, seen = _stopping((frames - done) // BATCH_FRAMES["cpu"])
        with pytest.raises(
            StoppedError, match=f"after {frames} of 29 frames; kept so far: .*same call resumes"
        ):
            process(clip, tmp_path / name, stop=stop, on_progress=seen, **asked)
        kept = timeline(partial_path(tmp_path / name))
        assert len(kept) == frames
        assert [begin for begin, _ in kept] == [begin for begin, _ in timeline(clip)[:frames]]
        if name == "o.mp4":
            assert kept == timeline(clip)[:frames]
    report = process(clip, tmp_path / name, **asked)
    assert report.frames == len(UNEVEN_MS)
    stills = [f"{part}.{number:02}.png" for part in "mw" for number in range(1, report.frames + 1)]
    assert _files(tmp_path) == sorted(["a.mp4", name, f"whole_{name}", *stills])
    assert _decoded(tmp_path / name) == _decoded(tmp_path / f"whole_{name}")
    if background is None:
        alphas = ([f.alpha for f in stored_frames(tmp_path / n)] for n in (name, f"whole_{name}"))
        for a, b in zip(*alphas, strict=True):
            assert a is not None
            assert b is not None
            assert torch.equal(a, b)
    assert sound_packets(tmp_path / name) == sound_packets(tmp_path / f"whole_{name}")
    assert timeline(tmp_path / name) == timeline(tmp_path / f"whole_{name}")
    for number in range(1, report.frames + 1):
        ours, whole = (tmp_path / f"{part}.{number:02}.png" for part in "mw")
        assert ours.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(("name", "codec_tag"), [("o.mp4", "avc1"), ("o.mov", "ap4h"), ("o.webm", None)])
def test_concatenated_segments_equal_one_encode(
    tmp_path: Path, pipeline: MattingPipeline, clip: Path, name: str, codec_tag: str | None
) -> None:
    asked: dict[str, Any] = {"background": "red" if name == "o.mp4" else None, "pipeline": pipeline}
    process(clip, tmp_path / name, resume=True, segment_s=PART_S, **asked)
    process(clip, tmp_path / f"plain_{name}", **asked)
    assert timeline(tmp_path / name) == timeline(tmp_path / f"plain_{name}")
    assert sound_packets(tmp_path / name) == sound_packets(tmp_path / f"plain_{name}")
    facts = []
    for path in (tmp_path / name, tmp_path / f"plain_{name}"):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert codec_tag in (None, stream.codec_context.codec_tag)
            facts.append(
                (stream.duration, stream.average_rate, stream.metadata, stream.codec_context.pix_fmt)
            )
    assert facts[0] == facts[1]


# What Python does with files, as its audit hooks call it.
FILE_EVENTS = (
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.scandir",
    "os.listdir",
    "os.link",
)
KILLS = 10


def _asked(folder: Path) -> dict[str, Any]:
    """A job in four parts, with a clip and numbered stills as its outputs."""
    output, matte = folder / "o.mkv", folder / "m.%02d.png"
    return {"output": output, "matte": matte, "background": "red", "resume": True, "segment_s": PART_S}


def _die_at(event: int, clip: Path, folder: Path, events: Any) -> None:
    """Runs the job in a process of its own, which is killed at one of the things that it does.

    These are batches that are done, and whatever it does with files in ``folder``; ``events`` receives
    their number. No event is number 0.
    """
    happened = count(1)

    def happens(_: object = None) -> None:
        if next(happened) == event:
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(name: str, args: tuple[Any, ...]) -> None:
        if name in FILE_EVENTS and str(folder) in str(args[0]):
            happens()

    pipeline = MattingPipeline(device="cpu", options=CAUSAL)
    sys.addaudithook(watch)
    process(clip, pipeline=pipeline, on_progress=happens, **_asked(folder))
    events.put(next(happened) - 1)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_resume_after_sigkill_equals_one_run(tmp_path: Path, clip: Path) -> None:
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["autohair_video.jobs.runner", __name__])
    events, chance = processes.SimpleQueue(), random.Random(5)
    whole, again = tmp_path / "whole", tmp_path / "again"

    def is_killed(event: int, folder: Path) -> bool:
        job = processes.Process(target=_die_at, args=(event, clip, folder, events))
        job.start()
        job.join()
        assert job.exitcode in (0, -signal.SIGKILL), event
        return job.exitcode != 0

    def is_done() -> bool:
        return (again / "o.mkv").exists() and not (again / "o.mkv.resume").exists()

    for folder in (whole, again):
        folder.mkdir()
    assert not is_killed(0, whole)
    total, kills = events.get(), 0
    while kills < KILLS or not is_done():
        if is_done():
            # the job went through, and the next one starts from the beginning
            for file in again.iterdir():
                file.unlink()
        if is_killed(chance.randint(1, total) if kills < KILLS else 0, again):
            kills += 1
            if not is_done():
                continue
            with pytest.raises(OutputError, match="exists"):
                process(clip, pipeline=NEVER, **_asked(again))
        _assert_same_outputs(again, whole)


def _assert_same_outputs(ours: Path, given: Path) -> None:
    names = sorted(["o.mkv", *(f"m.{number:02}.png" for number in range(1, len(UNEVEN_MS) + 1))])
    assert _files(ours) == _files(given) == names
    assert _decoded(ours / "o.mkv") == _decoded(given / "o.mkv")
    assert sound_packets(ours / "o.mkv") == sound_packets(given / "o.mkv")
    for name in names:
        assert name == "o.mkv" or (ours / name).read_bytes() == (given / name).read_bytes()


def test_formats_that_cannot_be_concatenated_are_not_resumable(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(OptionError, match=r"o\.gif: gif cannot be joined"):
        process(clip, tmp_path / "o.gif", pipeline=NEVER, resume=True)
    assert _files(tmp_path) == ["a.mp4"]


def test_resume_refuses_a_changed_input(tmp_path: Path, pipeline: MattingPipeline, clip: Path) -> None:
    stop, seen = _stopping(1)
    with pytest.raises(StoppedError):
        process(clip, matte=tmp_path / "m.mkv", pipeline=pipeline, resume=True, stop=stop, on_progress=seen)
    make_clip(clip, pts=range(9))
    with pytest.raises(OutputError, match=r"another content of the input.*: call it as before"):
        process(clip, matte=tmp_path / "m.mkv", pipeline=pipeline, resume=True)
