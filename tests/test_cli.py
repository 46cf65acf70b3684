"""The command line: exit codes, one line for each error, nothing left behind, and what is printed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from autohair_video.cli import run
from autohair_video.jobs.runner import BATCH_FRAMES
from autohair_video.weights import register, shipped_folder
from tests.helpers.clips import damage_packets, make_clip, make_sound, picture, sound_packets, timeline

ROOT = Path(__file__).parents[1]
HARD = ("--trimap", "fixed:0,0", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a clip, a picture and files of many faults; weights are cached beside it."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("AUTOHAIR_CACHE", str(tmp_path / "cache"))
    make_clip(Path("a.mp4"), pts=range(3), sound="aac")
    make_sound(Path("sound.m4a"))
    cv2.imwrite("p.png", picture(0, 64, 48))
    Path("empty.mp4").touch()
    Path("text.mp4").write_text("not a video\n" * 50)
    Path("text.jpg").write_text("not a picture\n" * 50)
    for name in ("cut.png", "cut.tif"):
        data = cv2.imencode(name[3:], picture(0, 64, 48))[1].tobytes()
        Path(name).write_bytes(data[: len(data) // 2])
    Path("there.mp4").write_text("older")
    return work


@pytest.fixture
def altered(folder: Path) -> str:
    """The name of registered weights of which one byte has changed since."""
    cache = folder.parent / "cache" / "weights"
    cache.mkdir(parents=True)
    file = cache / "altered.safetensors"
    shutil.copyfile(next(shipped_folder().glob("deeplab*.safetensors")), file)
    register(
        file,
        name="altered",
        role="segmenter",
        architecture="deeplabv3plus",
        licence="Apache-2.0",
        data="none",
    )
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    return "altered"


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Bad input


@pytest.mark.parametrize(
    ("call", "code", "text"),
    [
        ("missing.mp4", 1, "clip missing.mp4 does not exist"),
        ("missing.png", 1, "image missing.png does not exist"),
        ("text.mp4", 1, "text.mp4 is not a video"),
        ("text.jpg", 1, "text.jpg is not an image"),
        ("cut.png", 1, "cut.png is cut short"),
        ("cut.tif", 1, "cut.tif is not an image"),
        ("sound.m4a", 1, "sound.m4a holds sound but no video"),
        ("empty.mp4", 1, "empty.mp4 is empty"),
        (". --matte m.mkv", 2, ".png: m.mkv has no image extension"),
        ("../none/*.mp4 -o o.mov", 1, "../none/*.mp4 matches no file"),
        ("shot.####.png -o o.mov", 1, "shot.%04d.png: no file has such a name"),
        ("a.mp4 --bg missing.jpg", 1, "missing.jpg does not exist"),
        ("a.mp4 --bg text.jpg", 1, "text.jpg is not an image"),
        ("a.mp4 --bg sound.m4a", 1, "sound.m4a holds sound"),
        ("a.mp4 --subject who", 2, "unknown subject 'who': use all, largest, a count, point:X,Y"),
        ("a.mp4 --subject point:1", 2, "unknown subject 'point:1'"),
        ("a.mp4 --subject 0", 2, "at least one person"),
        ("a.mp4 --subject point:700,20", 2, "place 700,20 lies outside the 64x48 frame"),
        ("a.mp4 --subject point:3,4@inf", 2, "numbers from 0 up"),
        ("a.mp4 --subject point:3,4@9", 2, "time 9 s lies past the clip's end at 0.12 s: name an earlier"),
        ("a.mp4 --mask p.png@9", 2, "time 9 s lies past the clip's end at 0.12 s"),
        ("a.mp4 --subject box:3,4,5,6@.1 --end .1", 2, "time 0.1 s lies past the end at 0.1 s"),
        ("a.mp4 --subject point:3,4@.04 --start .08", 2, "time 0.04 s lies before the start at 0.08 s"),
        ("a.mp4 --subject largest --trimap file:t.%03d.png", 2, "your own trimaps say who is kept"),
        ("a.mp4 --subject largest --mask p.png", 2, "--mask is a choice of the subject"),
        ("a.mp4 --mask missing.png@1", 1, "missing.png does not exist"),
        ("a.mp4 --keep text.jpg", 1, "text.jpg is not an image"),
        ("a.mp4 --feather -2", 2, "feather -2.0 is not between 0 and 100 px"),
        ("a.mp4 --despill red", 2, "unknown despill 'red': use green, blue or off"),
        ("a.mp4 --light-wrap 2", 2, "light wrap 2.0 is not between 0 and 1"),
        ("a.mp4 --bg greenish", 2, "background 'greenish' is no colour and no file"),
        ("a.mp4 --bg #12345", 2, "background '#12345' is no colour and no file"),
        ("a.mp4 -o nowhere/o.mov", 1, "output folder nowhere"),
        ("a.mp4 -o p.png/o.mov", 1, "output folder p.png"),
        ("a.mp4 -o /proc/o.mov", 1, "cannot write to /proc"),
        ("p.png -o /proc/o.png", 1, "cannot write to /proc"),
        ("a.mp4 --bg red -o there.mp4", 1, "there.mp4 exists"),
        ("a.mp4 --bg red -o a.mp4 --overwrite", 1, "a.mp4 is the input itself"),
        ("a.mp4 -o o.mp4", 2, "or give a background"),
        ("a.mp4 --format vp8", 2, "unknown format 'vp8'"),
        ("a.mp4 --for vegas", 2, "unknown purpose 'vegas'"),
        ("a.mp4 --for nuke -o o.webm", 2, "for nuke is written to"),
        ("a.mp4 --format png -o o.png", 2, "name.%05d.png"),
        ("a.mp4 --premultiplied -o o.webm", 2, "straight by definition"),
        ("a.mp4 -o o.mov -o o.mov", 2, "two outputs have one name"),
        ("a.mp4 --format cineform --bg red", 2, "no composite format: leave out the background"),
        ("a.mp4 --format ffv1-matte", 2, "is a matte's: name its file as the matte"),
        ("a.mp4 --format h264", 2, "needs a background"),
        ("a.mp4 --matte m.png", 2, "m.png"),
        ("a.mp4 --trimap file:p.png", 2, "not the one image"),
        ("a.mp4 --trimap wide", 2, "unknown trimap 'wide'"),
        ("a.mp4 --trimap fixed:1", 2, "fixed:EROSION,SIZE or file:PATH"),
        ("a.mp4 --temporal never", 2, "unknown temporal mode 'never'"),
        ("a.mp4 --tier medium", 2, "unknown tier 'medium'"),
        ("a.mp4 --device tpu", 2, "unknown device 'tpu'"),
        ("a.mp4 --start 9", 1, "no frame between"),
        ("a.mp4 --start soon", 2, "--start"),
        ("a.mp4 --start nan", 2, "start nan s is no time in a clip"),
        ("a.mp4 --end inf", 2, "end inf s is no time in a clip"),
        ("a.mp4 --resume --segment-s 0", 2, "segments of 0.0 s cannot be made: give more than 0"),
        ("a.mp4 --segmenter none.safetensors", 1, "none.safetensors"),
        ("a.mp4 --matting-net segmenter-fast", 1, "not of a matting network"),
        ("a.mp4 --nosuch", 2, "--nosuch"),
        ("a.mp4 -o {nam}.mov", 2, "{nam}.mov: {nam} stands for nothing; {name} is"),
        ("a.mp4 b.mp4 -o o.mov", 2, "a.mp4 and b.mp4 would both be written to o.mov: put {name}"),
        ("a.mp4 --rate fast", 2, "rate 'fast'"),
        ("--quiet", 2, "INPUT"),
        ("p.png --start 1", 2, "p.png is a still image"),
        ("p.png -o o.jpg", 2, "no alpha"),
        ("evaluate missing", 1, "missing is not a folder"),
        ("evaluate .", 1, "no items"),
        ("evaluate . --json nowhere/f.json", 1, "output folder nowhere"),
        ("evaluate . --sheet nowhere/s.png", 1, "output folder nowhere"),
        ("evaluate", 2, "Missing argument"),
        ("compare missing.png --engines dim --segmenter missing.safetensors", 1, "missing.png"),
        ("compare text.mp4 --engines dim --segmenter missing.safetensors", 1, "text.mp4 is not a video"),
        ("compare p.png --engines magic", 2, "unknown engine 'magic'"),
        ("bench missing.mp4", 1, "missing.mp4"),
        ("bench a.mp4 --size 8k", 2, "unknown size '8k'"),
        ("bench a.mp4 --frames 0", 2, "0 frames"),
        ("bench a.mp4 --json nowhere/f.json", 1, "output folder nowhere"),
        ("bench a.mp4 --against true", 2, "{clip}"),
        ("bench a.mp4 --against nosuch{clip}", 2, "no program 'nosuch{clip}'"),
        ("weights", 2, "Missing command"),
        ("weights add missing.pth", 1, "missing.pth"),
        ("weights add https://example.com/w.pth", 2, "--sha256"),
        ("train matting", 2, "--"),
        ("prob a.mp4", 2, "there is no clip prob: for the command write probe"),
    ],
)
def test_wrong_calls_print_one_line_and_leave_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str], call: str, code: int, text: str
) -> None:
    before = _contents(folder)
    assert run(call.split()) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("autohair-video: ")
    assert err.count("\n") == 1
    assert text in err
    assert "fault of this program" not in err
    assert _contents(folder) == before


def test_altered_weights_are_refused(folder: Path, altered: str, capfd: pytest.CaptureFixture[str]) -> None:
    before = _contents(folder)
    assert run(["a.mp4", "--segmenter", altered]) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert "was altered" in err
    assert _contents(folder) == before
    assert run(["weights", "verify"]) == 1
    out, err = capfd.readouterr()
    assert "altered" in err
    assert out.count(": ok") == 2
    (folder.parent / "cache" / "weights" / "altered.safetensors").unlink()
    assert run(["a.mp4", "--segmenter", altered]) == 1
    assert "are missing" in capfd.readouterr().err


def test_debug_prints_the_traceback_and_keeps_the_exit_code(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["a.mp4", "--debug", "--bg", "greenish"]) == 2
    err = capfd.readouterr().err
    assert err.startswith("Traceback")
    assert "OptionError: background 'greenish'" in err
    assert run(["weights", "add", "missing.pth", "--debug"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_debug_shows_the_traceback_of_each_failed_job(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call = ["empty.mp4", "a.mp4", "--bg", "red", "--output-dir", "out", *HARD]
    assert run([*call, "--debug"]) == 1
    err = capfd.readouterr().err
    assert "job of empty.mp4 failed\nTraceback" in err
    assert "InputError: empty.mp4 is empty" in err
    assert run([*call, "--overwrite"]) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_verbose_logs_until_the_end_of_the_call(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--verbose", "a.mp4", "--bg", "red", *HARD]) == 0
    assert "autohair_video.jobs.runner: a.mp4: " in capfd.readouterr().err
    assert run(["a.mp4", "--bg", "red", "--overwrite", *HARD]) == 0
    assert capfd.readouterr().err == ""


def test_doctor_describes_the_installation(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["torch"]["device"] in ("cpu", "cuda", "mps")
    assert found["packages"]["av"] == av.__version__
    assert "prores_ks" in found["encoders"]["available"]
    assert set(found["weights"].values()) == {"ok"}
    assert run(["doctor"]) == 0
    assert "prores_ks" in capfd.readouterr().out


def test_doctor_fails_with_altered_weights(
    folder: Path, altered: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", "--json"]) == 1
    assert "was altered" in json.loads(capfd.readouterr().out)["weights"][altered]


def test_former_option_names_still_work(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["p.png", "-o", "o.png", "--rounds", "9", *HARD]) == 2
    note, error = capfd.readouterr().err.splitlines()
    assert note == "note: --rounds is now --band-expansions"
    assert "band expansions 9 is not between 0 and 8" in error


def _interrupt_after_a_batch(monkeypatch: pytest.MonkeyPatch, signals: list[signal.Signals]) -> None:
    from autohair_video.jobs import runner as stream

    class Interrupting(stream.Progress):
        def __init__(self, frames: int, expected: int | None) -> None:
            for number in signals:
                signal.raise_signal(number)
            super().__init__(frames, expected)

    monkeypatch.setattr(stream, "Progress", Interrupting)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_partial_outputs(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    make_clip(Path("b.mp4"), pts=range(40), sound="aac")
    _interrupt_after_a_batch(monkeypatch, [number])
    before = _contents(folder)
    assert run(["b.mp4", "a.mp4", "--bg", "red", *HARD]) == 130
    frames = BATCH_FRAMES["cpu"]
    line = f"autohair-video: stopped after {frames} of 40 frames; kept so far: b_red.partial.mp4\n"
    assert capfd.readouterr() == ("", line)
    assert set(_contents(folder)) - set(before) == {"b_red.partial.mp4"}
    assert timeline(Path("b_red.partial.mp4")) == timeline(Path("b.mp4"))[:frames]
    # no longer than the picture but for the packet that spans its end
    assert 0 < sound_packets(Path("b_red.partial.mp4"))[-1][0] < frames / 25


def test_second_ctrl_c_stops_immediately_and_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    _interrupt_after_a_batch(monkeypatch, [signal.SIGINT] * 2)
    before = _contents(folder)
    assert run(["a.mp4", "--bg", "red", *HARD]) == 130
    assert capfd.readouterr() == ("", "autohair-video: interrupted\n")
    assert _contents(folder) == before


FULL = """
import resource, sys
from autohair_video.cli import run
from autohair_video.jobs.runner import BATCH_FRAMES
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), -1))
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("name", "limit", "kept"),
    [
        ("o.mp4", "60000", []),
        ("o.mkv", "60000", ["o.partial.mkv"]),
    ],
)
def test_full_disk_is_reported_in_one_line(folder: Path, name: str, limit: str, kept: list[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (12, 96, 128, 3), np.uint8)
    for number, pixels in enumerate(noise):
        cv2.imwrite(f"n.{number}.png", pixels)
    before = _contents(folder)
    call = ["n.#.png", "--bg", "n.%d.png", "-o", name, *HARD]
    done = subprocess.run(
        [sys.executable, "-c", FULL, limit, *call], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"autohair-video: cannot finish {name}")
    assert "File too large" in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(_contents(folder)) - set(before) == set(kept)
    for path in kept:
        assert 0 < len(timeline(Path(path))) < 12


# Good input


def test_outputs_are_printed_on_stdout(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["a.mp4", "--bg", "#00ff00", "--matte", "m.mkv", "--temporal", "off", *HARD]) == 0
    # not a terminal: the outputs on stdout, and no bar
    assert capfd.readouterr() == ("a_00ff00.mp4\nm.mkv\n", "")
    assert timeline(Path("a_00ff00.mp4")) == timeline(Path("a.mp4"))
    assert run(["a.mp4", "--bg", "#00ff00", "--overwrite", "--quiet", *HARD]) == 0
    assert capfd.readouterr() == ("", "")


def test_options_may_come_first_and_names_may_look_like_anything(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copyfile("p.png", "--debug.png")
    shutil.copyfile("p.png", "evaluate.png")
    assert run([*HARD, "-o", "one.png", "evaluate.png"]) == 0
    assert run([*HARD, "-o", "two.png", "--", "--debug.png"]) == 0
    assert run(["matte", "p.png", "-o", "three.png", *HARD]) == 0
    assert capfd.readouterr().out.split() == ["one.png", "two.png", "three.png"]


def test_notices_go_to_stderr(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cv2.imwrite("t.png", np.tile(np.arange(64, dtype=np.uint8) * 4, (48, 1)))
    call = ["p.png", "--trimap", "file:t.png", "-o", "o.png", "--device", "cpu"]
    assert run([*call, "--tier", "best"]) == 0
    out, err = capfd.readouterr()
    assert out == "o.png\n"
    assert [line.startswith("note: ") for line in err.splitlines()].count(False) == 0
    assert "t.png has greys" in err
    assert run([*call, "--overwrite", "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("resume", [[], ["--resume"]])
def test_truncated_clip_fails_its_job(
    folder: Path, capfd: pytest.CaptureFixture[str], resume: list[str]
) -> None:
    clip = make_clip(Path("b.mp4"), size=(160, 120), pts=range(20))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    before = _contents(folder)
    assert run(["b.mp4", "--matte", "m.mkv", *resume, *HARD]) == 1
    end_s = float(sum(timeline(clip)[-1]))
    line = f"b.mp4 breaks off at {end_s:.2f} s of 0.80 s; kept so far: m.partial.mkv\n"
    assert capfd.readouterr() == ("", f"autohair-video: {line}")
    assert set(_contents(folder)) - set(before) == {"m.partial.mkv"}
    assert len(timeline(Path("m.partial.mkv"))) == len(timeline(clip)) < 20


def test_damaged_clip_fails_only_its_own_job(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    damage_packets(make_clip(Path("b.mp4"), size=(160, 120), pts=range(30), options={"g": "5"}), [12])
    before = _contents(folder)
    call = ["b.mp4", "a.mp4", "--bg", "red", "-o", "{name}.mkv", "--matte", "{name}_m.mkv", *HARD]
    assert run(call) == 1
    out, err = capfd.readouterr()
    assert out == "a.mkv\na_m.mkv\n"
    failed, summary = err.splitlines()
    assert failed.startswith("failed: b.mp4 is damaged: near 0.")
    assert failed.endswith("its frames end at 1.20 s; kept so far: b.partial.mkv, b_m.partial.mkv")
    assert summary == "1 done, 0 skipped, 1 failed"
    names = {"a.mkv", "a_m.mkv", "b.partial.mkv", "b_m.partial.mkv"}
    assert set(_contents(folder)) - set(before) == names
    assert len(timeline(Path("b.partial.mkv"))) == len(timeline(Path("b.mp4"))) > 20


@pytest.mark.parametrize(
    ("options", "idle"),
    [
        ("--trimap file:t.png --rounds 1 --segment-every 3", ["--band-expansions", "--segment-every"]),
        ("--temporal causal --lookahead 4", ["--lookahead"]),
        ("--lookahead 4", []),
    ],
)
def test_ineffective_cli_options_are_reported(
    folder: Path, capfd: pytest.CaptureFixture[str], options: str, idle: list[str]
) -> None:
    cv2.imwrite("t.png", np.full((48, 64), 128, np.uint8))
    assert run(["p.png", "-o", "o.png", "--device", "cpu", *options.split()]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines if "has no effect" in line] == idle


def test_ineffective_options_are_reported_before_the_job(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(Path("b.mp4"), size=(160, 120), pts=range(20))
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 2 // 3])
    call = ["b.mp4", "--matte", "m.mkv", "--linear", "--temporal", "causal", "--lookahead", "3", *HARD]
    assert run(call) == 1
    notes = capfd.readouterr().err.splitlines()
    assert notes[:2] == [
        "note: --lookahead has no effect with --temporal causal",
        "note: despill and linear light have no effect: no colours are written",
    ]
    assert notes[2].startswith("autohair-video: b.mp4 breaks off")


def test_verify_expects_what_the_job_was_asked_for(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    green = np.zeros((3, 48, 64, 3), np.uint8) + np.array((90, 230, 60), np.uint8)
    for number, pixels in enumerate(green):
        cv2.imwrite(f"g.{number}.png", pixels)
        cv2.imwrite(f"t.{number}.png", np.full((48, 64), 255, np.uint8))
    call = ["g.#.png", "--trimap", "file:t.%d.png", "-o", "o.mov", "--device", "cpu", "--despill", "green"]
    assert run([*call, "--verify"]) == 0
    assert "verified: o.mov" in capfd.readouterr().err
    assert run(["verify", "g.%d.png", "o.mov", "--despill", "green"]) == 0
    assert run(["verify", "g.%d.png", "o.mov"]) == 1
    assert "opaque pixels" in capfd.readouterr().out


def test_verify_of_a_job_that_keeps_interlaced_frames(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # lines of two fields that differ, which deinterlacing changes
    lines = np.where(np.arange(48)[:, None, None] % 2, 250, 10).astype(np.uint8)
    with av.open("i.mkv", "w") as output:
        stream: Any = output.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 64, 48, "yuv420p", 8_000_000
        stream.codec_context.flags |= av.codec.context.Flags.interlaced_dct
        for _ in range(4):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.tile(lines, (1, 64, 3)))))
        output.mux(stream.encode(None))
    for number in range(4):
        cv2.imwrite(f"t.{number}.png", np.full((48, 64), 255, np.uint8))
    call = ["i.mkv", "--trimap", "file:t.%d.png", "-o", "o.mov", "--device", "cpu", "--no-deinterlace"]
    assert run([*call, "--verify"]) == 0
    assert "verified: o.mov" in capfd.readouterr().err
    assert run(["verify", "i.mkv", "o.mov"]) == 1


def test_bench_live_names_the_options_that_it_cannot_honour(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = ["--temporal", "off", "--segment-every", "3", "--lookahead", "3", "--frames", "5"]
    assert run(["bench", "--live", "--size", "360p", *options]) == 2
    assert run(["bench", "--live", *options]) == 2
    lines = capfd.readouterr().err.splitlines()
    ignored = [line.split()[1] for line in lines if "has no effect with --live" in line]
    assert ignored == ["--lookahead", "--frames"]


def test_verify_says_what_it_cannot_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["p.png", "--verify", *HARD]) == 0
    assert capfd.readouterr().err.startswith("not verified: p.png: only clips")
    with Path("a.mp4").open() as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert run(["-", "--bg", "red", "--verify", *HARD]) == 0
    assert capfd.readouterr().err.startswith("not verified: stdin: a pipe")


def test_size_change_is_a_note(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    parts = [make_clip(Path(f"{w}.ts"), size=(w, 48), container={}) for w in (64, 96)]
    Path("b.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    before = _contents(folder)
    assert run(["b.ts", "--bg", "red", *HARD]) == 0
    out, err = capfd.readouterr()
    assert out == "b_red.mp4\n"
    assert err.startswith("note: b.ts changes from 64x48 to 96x48 at 0.")
    assert err.count("\n") == 1
    assert set(_contents(folder)) - set(before) == {"b_red.mp4"}
    assert timeline(Path("b_red.mp4")) == _from_zero(timeline(Path("b.ts")))


def _from_zero(times: list[tuple[Fraction, Fraction]]) -> list[tuple[Fraction, Fraction]]:
    return [(begin - times[0][0], length) for begin, length in times]


# Several inputs


def test_batch_loads_networks_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from autohair_video.matting import loading, pipeline

    loaded = []

    class Counted(pipeline.MattingPipeline):
        def __init__(self, **options: Any) -> None:
            loaded.append(options)
            super().__init__(**options)

    monkeypatch.setattr(loading, "MattingPipeline", Counted)
    shots = folder / "shots"
    shots.mkdir()
    make_clip(shots / "b.mov", pts=range(2))
    make_clip(shots / "c.mkv", pts=range(2))
    (shots / "notes.txt").write_text("not footage")
    call = ["a.mp4", "p.png", "empty.mp4", "shots", "shots/*.mov", "--bg", "red", *HARD]
    assert run([*call, "--output-dir", "out/red"]) == 1
    out, err = capfd.readouterr()
    names = ["a_red.mp4", "p_red.png", "b_red.mp4", "c_red.mp4"]
    assert out.split() == [f"out/red/{name}" for name in names]
    assert err == "failed: empty.mp4 is empty (0 bytes)\n4 done, 0 skipped, 1 failed\n"
    assert sorted(_contents(folder / "out" / "red")) == sorted(names)
    assert len(loaded) == 1
    assert run([*call, "--output-dir", "out/red", "--skip-existing"]) == 1
    assert "0 done, 4 skipped, 1 failed" in capfd.readouterr().err
    assert len(loaded) == 1


def test_clip_from_stdin(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with Path("a.mp4").open() as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert run(["-", "--bg", "red", *HARD]) == 0
    assert capfd.readouterr() == ("stdin_red.mp4\n", "")
    assert timeline(Path("stdin_red.mp4")) == timeline(Path("a.mp4"))
    assert sound_packets(Path("stdin_red.mp4")) == sound_packets(Path("a.mp4"))
    with Path("empty.mp4").open() as pipe:
        monkeypatch.setattr(sys, "stdin", pipe)
        assert run(["-", "--bg", "red", *HARD]) == 1
    assert capfd.readouterr().err == "autohair-video: nothing came on standard input\n"


def test_image_sequence_has_a_frame_rate(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for number in (7, 8, 9):
        cv2.imwrite(f"s.{number:03}.png", picture(number, 64, 48))
    assert run(["s.###.png", "--rate", "29.97", "--bg", "red", *HARD]) == 0
    assert capfd.readouterr().out == "s_red.mp4\n"
    frame = Fraction(1001, 30000)
    assert timeline(Path("s_red.mp4")) == [(i * frame, frame) for i in range(3)]
    call = ["s.###.png", "--matte", "s.%03d.png", "--overwrite", *HARD]
    assert run(call) == 1
    assert "is the input itself" in capfd.readouterr().err


def test_dry_run_prints_an_estimate_and_writes_nothing(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = _contents(folder)
    call = ["a.mp4", "p.png", "empty.mp4", "--bg", "red", "--output-dir", "out", "--dry-run", *HARD]
    assert run(call) == 1
    out, err = capfd.readouterr()
    assert err == "failed: empty.mp4 is empty (0 bytes)\n"
    lines = out.splitlines()
    assert lines[0] == "a.mp4: 3 frames of 64x48, 8 bit, h264, 25 a second"
    assert lines[1].startswith("  -> out/a_red.mp4: h264, about ")
    assert "frames a second" in lines[2]
    assert "of memory" in lines[3]
    assert lines[4:] == ["p.png: a still image", "  -> out/p_red.png: png"]
    assert _contents(folder) == before


def test_output_name_template(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_clip(Path("b.mp4"), pts=range(2))
    call = ["a.mp4", "b.mp4", "--bg", "red", "-o", "{name}_on_red.mkv", "--matte", "{name}.%02d.png"]
    assert run([*call, "--output-dir", "out", "--quiet", *HARD]) == 0
    assert capfd.readouterr() == ("", "")
    stills = [f"a.0{n}.png" for n in (1, 2, 3)] + ["b.01.png", "b.02.png"]
    assert sorted(_contents(folder / "out")) == sorted(["a_on_red.mkv", "b_on_red.mkv", *stills])


def test_batch_is_checked_before_the_first_job(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    shutil.copyfile("a.mp4", "a.mov")
    before = _contents(folder)
    assert run(["a.mp4", "a.mov", "--output-dir", "out"]) == 2
    assert "a.mp4 and a.mov would both be written to a_cutout.mov" in capfd.readouterr().err
    assert run(["a.mp4", "a.mov", "--matte", "{name}.mkv", "--matting-net", "none.pth"]) == 2
    assert run(["a.mp4", "text.mp4", "--output-dir", "out", "--matting-net", "none.pth"]) == 1
    assert capfd.readouterr().err.count("none.pth") == 1
    (folder / "out").rmdir()
    assert _contents(folder) == before


def test_formats_command_lists_presets(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["formats"]) == 0
    out = capfd.readouterr().out
    for text in ("prores4444", "yuva444p10le", "premultiplied", "after-effects", "name.%05d.exr"):
        assert text in out
    assert run(["formats", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capfd.readouterr().out)}
    assert (rows["exr"]["alpha"], rows["vp9-alpha"]["alpha"]) == ("premultiplied, linear", "straight")
    assert rows["h265"]["alpha"] == "none"


def test_several_outputs_in_one_pass(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outputs = ["a.mov", "b.webm", "f.mov", "m.mp4", "t.mkv"]
    extras = ["--foreground", "f.mov", "--matte", "m.mp4", "--trimap-out", "t.mkv"]
    assert run(["a.mp4", "-o", "a.mov", "-o", "b.webm", *extras, *HARD]) == 0
    out, err = capfd.readouterr()
    assert sorted(out.split()) == outputs
    assert err.count("\n") == 1
    times = timeline(Path("a.mp4"))
    assert all(len(timeline(Path(name))) == len(times) for name in outputs)
    assert timeline(Path("a.mov")) == timeline(Path("f.mov")) == times
    assert run(["a.mp4", "--for", "nuke", *HARD]) == 0
    assert len(list(folder.glob("a_cutout.*.exr"))) == len(times)
    assert run(["p.png", "-o", "o.png", "--foreground", "f.png", "--trimap-out", "t.png", *HARD]) == 0
    colours, trimap = cv2.imread("f.png", cv2.IMREAD_UNCHANGED), cv2.imread("t.png", cv2.IMREAD_UNCHANGED)
    assert (cv2.imread("o.png", cv2.IMREAD_UNCHANGED)[:, :, :3] == colours).all()
    assert set(np.unique(trimap)) <= {0, 128, 255}


def test_verify_premultiplied_linear(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = np.where(np.arange(64) < 40, 255, 0).astype(np.uint8) * np.ones((48, 1), np.uint8)
    for number in (1, 2, 3):
        cv2.imwrite(f"t.{number}.png", given)
    asked = ["--premultiplied", "--linear", "--feather", "6", "--trimap", "file:t.%d.png", "--device", "cpu"]
    assert run(["a.mp4", "-o", "o.mov", *asked, "--verify"]) == 0
    assert "verified: o.mov" in capfd.readouterr().err
    assert run(["verify", "a.mp4", "o.mov", "--premultiplied", "--linear"]) == 0
    assert "premultiplied, by" in capfd.readouterr().out
    assert run(["verify", "a.mp4", "o.mov"]) == 1


def test_evaluate_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    items = folder / "items"
    items.mkdir()
    image, alpha = picture(0, 64, 48), np.zeros((48, 64), np.uint8)
    alpha[:, 32:] = 255
    trimap = np.where(np.abs(np.arange(64) - 32) < 8, 128, alpha).astype(np.uint8)
    for part, pixels in (("image", image), ("alpha", alpha), ("trimap", trimap)):
        cv2.imwrite(str(items / f"one_{part}.png"), pixels)
    call = ["evaluate", "items", "--json", "f.json", "--sheet", "s.png", "--device", "cpu"]
    assert run(call) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert {"one", "mean", "SAD", "MSE"} <= set(out.split())
    figures: dict[str, Any] = json.loads(Path("f.json").read_text())
    assert figures["region"] == "unknown"
    assert cv2.imread("s.png") is not None
    assert run([*call, "--region", "whole"]) == 0
    assert json.loads(Path("f.json").read_text())["region"] == "whole"


def test_compare_command(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    call = ["compare", "p.png", "--engines", "dim", "--trimap", "fixed:1,2", "--trimap", "adaptive"]
    assert run([*call, "--device", "cpu"]) == 0
    assert capfd.readouterr().out == "p_compared.png\n"
    assert cv2.imread("p_compared.png") is not None


def test_bench_against_another_program(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make_clip(Path("long.mp4"), pts=range(12))
    # some work for each frame, so that start-up time can be separated
    Path("other.py").write_text(
        "import av, hashlib, sys\n"
        "for frame in av.open(sys.argv[1]).decode(video=0):\n"
        "    hashlib.pbkdf2_hmac('sha256', b'', b'', 400_000)\n"
    )
    other = f"{sys.executable} other.py {{clip}}"
    call = [
        "bench",
        "long.mp4",
        "--frames",
        "8",
        "--json",
        "b.json",
        "--against",
        other,
        "--pairs",
        "2",
        "--size",
        "360p",
    ]
    assert run([*call, *HARD]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert {"decode", "upload", "segment", "trimap", "encode", "fps", "baseline:"} <= set(out.split())
    figures: dict[str, Any] = json.loads(Path("b.json").read_text())
    assert (figures["clip"]["width"], figures["clip"]["height"]) == (480, 360)
    assert figures["job"]["frames"] == figures["codec_baseline"]["frames"] == 8
    against = figures["against"]
    assert (against["frames"], len(against["pairs"]), len(against["ratios"])) == (8, 2, 2)
    assert min(against["ratios"]) <= against["ratio"] <= max(against["ratios"])
    assert min(against["startup"].values()) > 0
    net_s = sorted(pair["theirs_s"] - against["startup"]["theirs_s"] for pair in against["pairs"])
    assert against["theirs_fps"] == pytest.approx(7 / (sum(net_s) / 2))


def test_weights_commands(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = next(shipped_folder().glob("deeplab*.safetensors"))
    assert run(["weights", "add", str(source), "--name", "mine"]) == 0
    assert "mine: segmenter, deeplabv3plus" in capfd.readouterr().out
    assert run(["weights", "list"]) == 0
    rows = capfd.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows if "mine" in row] == ["mine"]
    assert run(["weights", "verify"]) == 0
    assert "mine: ok" in capfd.readouterr().out
    assert run(["p.png", "--segmenter", "mine", *HARD]) == 0


def test_help_lists_options_and_commands(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    for text in (
        "INPUT... [OPTIONS]",
        "--bg",
        "--matte",
        "--debug",
        "evaluate",
        "compare",
        "weights",
        "train",
    ):
        assert text in out
    assert run([]) == 2
    assert capfd.readouterr().out == out
    for command in ("matte", "evaluate", "compare", "bench", "weights", "train"):
        assert run([command, "-h"]) == 0
        assert f"autohair-video {command}" in capfd.readouterr().out


def test_version_option(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capfd.readouterr().out.strip()


def test_help_does_not_import_torch() -> None:
    code = (
        "import sys; from autohair_video.cli import run; run(['--help']);"
        "sys.exit(any(name in sys.modules for name in ('torch', 'av', 'cv2')))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0


def test_python_dash_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "autohair_video", "missing.mp4"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "autohair-video: clip missing.mp4 does not exist\n"
