"""The folder of a job that can be resumed: state saved and loaded, parts that count, other jobs refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clips import make_clip
from matters import QUICK

from autohair_video import Matter, OutputError
from autohair_video.media import ClipReader
from autohair_video.pipeline import Carry
from autohair_video.resume import Part, WorkFolder


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_clip_in_parts_is_the_clip_at_once(tmp_path: Path) -> None:
    matter = Matter(device="cpu", options=QUICK)
    with ClipReader(make_clip(tmp_path / "a.mp4", pts=range(6)), batch_size=2) as reader:
        batches = list(reader)
    whole = torch.cat([matte.alpha for _, matte in matter.frames(batches)])
    folder = WorkFolder(tmp_path / "o.mov", {})
    alphas = []
    for index, batch in enumerate(batches):
        carry = folder.carry()
        alphas += [matte.alpha for _, matte in matter.frames([batch], carry=carry)]
        folder.commit(Part(index, len(batch), 0, ()), carry)
        # as another process finds it
        folder = WorkFolder(tmp_path / "o.mov", {})
    assert torch.equal(torch.cat(alphas), whole)


def test_only_parts_that_are_whole_count(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "o.%03d.png", {"preset": "png"})
    for index in range(2):
        name = folder.file(index, 0, tmp_path / "o.%03d.png")
        for number in (1, 2):
            (name.with_name(name.name % number)).touch()
        folder.commit(Part(index, 2, 9, (name.name,)), Carry())
    (folder.path / "00002-0-00001.png").touch()
    (folder.path / ".00002-0.1234.part").mkdir()
    (folder.path / "00002.json.part").touch()
    again = WorkFolder(tmp_path / "o.%03d.png", {"preset": "png"})
    assert [part.index for part in again.done] == [0, 1]
    assert [file.name for file in again.files(0)] == ["00000-0-%05d.png", "00001-0-%05d.png"]
    stills = [f"0000{part}-0-0000{number}.png" for part in (0, 1) for number in (1, 2)]
    assert _files(folder.path) == sorted(["job.json", "00000.json", "00001.json", "00001.state", *stills])
    again.remove()
    assert _files(tmp_path) == []


def test_another_job_is_refused(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "o.mov", {"preset": "prores", "size": (1, 2)})
    folder.commit(Part(0, 2, 9, ()), Carry())
    with pytest.raises(OutputError, match=r"another size: call it as before, or delete"):
        WorkFolder(tmp_path / "o.mov", {"preset": "prores", "size": (1, 3)})
    (folder.path / "00000.json").write_text("{")
    with pytest.raises(OutputError, match=r"o\.mov\.resume.*delete it"):
        WorkFolder(tmp_path / "o.mov", {"preset": "prores", "size": (1, 2)})


def test_saved_state_runs_no_code(tmp_path: Path) -> None:
    folder = WorkFolder(tmp_path / "o.mov", {})
    folder.commit(Part(0, 2, 9, ()), Carry())
    torch.save(np.float64, folder.path / "00000.state")
    with pytest.raises(OutputError, match="to begin anew"):
        WorkFolder(tmp_path / "o.mov", {}).carry()
