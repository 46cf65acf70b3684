"""Ctrl-C while the program is still loading."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.clips import make_clip

# Sends the signal of Ctrl-C at the moment when a module begins to be imported.
_INTERRUPTED_CALL = """
import os, signal, sys

wanted, *arguments = sys.argv[1:]

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
sys.argv = ["autohair-video", *arguments]
from autohair_video.cli import main
main()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
@pytest.mark.parametrize("module", ["typer", "autohair_video.cli.matte", "torch"])
def test_an_interrupt_during_start_up_is_one_line(tmp_path: Path, module: str) -> None:
    clip = make_clip(tmp_path / "a.mp4")
    call = [sys.executable, "-c", _INTERRUPTED_CALL, module, "probe", str(clip)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (130, "autohair-video: interrupted\n")
