"""Options from a file: they count as if typed, the command line wins, and faults are one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from autohair_video.cli import run
from autohair_video.media import ClipReader, to_rgb
from tests.helpers.clips import make_clip

# no person is in the clip, so that what lies behind is all that is seen
USUAL = """
bg = "#00ff00"
trimap = "fixed:0,0"
output = ["out.mp4"]
device = "cpu"
lookahead = 1
overwrite = true
"""


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return make_clip(tmp_path / "a.mp4", pts=range(2))


def _colour(path: str) -> list[int]:
    with ClipReader(path) as reader:
        rgb = torch.cat([to_rgb(batch) for batch in reader])
    return rgb.mean(dim=(0, 2, 3)).round().int().tolist()


def test_config_file_sets_defaults(clip: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Path("usual.toml").write_text(USUAL)
    assert run(["a.mp4", "--config", "usual.toml"]) == 0
    assert _colour("out.mp4") == [0, 1, 0]
    assert run(["--bg", "#0000ff", "a.mp4", "--config", "usual.toml"]) == 0
    assert _colour("out.mp4") == [0, 0, 1]
    assert run(["a.mp4", "--config", "usual.toml", "-o", "other.mp4"]) == 0
    assert capfd.readouterr().out.split() == ["out.mp4", "out.mp4", "other.mp4"]


@pytest.mark.parametrize(
    ("text", "code", "line"),
    [
        ('bgg = "red"', 2, "c.toml: 'bgg' is no option that can be set in a file"),
        ("lookahead = 1.7", 2, "Invalid value for '--lookahead'"),
        ("help = true", 2, "'help' is no option"),
        ('puts = "x"', 2, "'puts' is no option"),
        ('"" = "x"', 2, "'' is no option"),
        ("[blend]\nlinear = true", 2, "'blend' is no option"),
        ("choke = true", 2, "c.toml: choke is a text or a number, not True"),
        ('choke = "much"', 2, "Invalid value for '--choke'"),
        ('overwrite = "yes"', 2, "c.toml: overwrite is true or false, not 'yes'"),
        ('output = "o.mp4"', 2, "c.toml: output is a list: write ['o.mp4']"),
        ("output = []", 2, "c.toml: output is texts, not []"),
        ("bg =", 1, "c.toml is not TOML"),
        (None, 1, "cannot read c.toml: No such file"),
    ],
)
def test_wrong_config_file_prints_one_line(
    clip: Path, capfd: pytest.CaptureFixture[str], text: str | None, code: int, line: str
) -> None:
    if text is not None:
        Path("c.toml").write_text(text)
    assert run(["a.mp4", "--config", "c.toml"]) == code
    out, err = capfd.readouterr()
    assert line in err
    assert (out, err.count("\n")) == ("", 1)
