"""All of the way of a frame on a device that is not the CPU, pretended where there is none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.fake_device import is_possible

ROOT = Path(__file__).parents[1]
Found = dict[str, dict[str, float]]


@pytest.fixture(scope="module")
def found() -> Found:
    """What `pretended` prints."""
    if not is_possible():
        pytest.skip("this torch lets no device be written in Python")
    program = ["-m", "tests.helpers.fake_device"]
    done = subprocess.run([sys.executable, *program], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    found: Found = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("case", ["fast", "best", "causal", "live"])
def test_no_stage_mixes_devices_or_gives_another_result(found: Found, case: str) -> None:
    assert found[case]["subject"] > 0.1
    assert found[case]["alpha"] < 1e-4
    assert found[case]["levels"] < 0.02


@pytest.mark.parametrize(("case", "most"), [("fast", 6), ("best", 10), ("causal", 8), ("live", 5)])
def test_a_batch_waits_for_the_device_a_few_times_however_many_frames_it_has(
    found: Found, case: str, most: int
) -> None:
    """Each wait empties the device's queue; a batch has three frames, of which none may wait by itself."""
    assert 0 < found[case]["waits"] <= most
