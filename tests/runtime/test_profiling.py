"""Memory probes of the process."""

from __future__ import annotations

import numpy as np
import pytest

from autohair_video.runtime.profiling import peak_memory_bytes, resident_memory_bytes


def test_resident_and_peak_memory_grow_with_what_is_held() -> None:
    before = resident_memory_bytes()
    held = np.ones(100_000_000, np.uint8)
    during = resident_memory_bytes()
    assert during >= before + 0.9 * held.nbytes
    peak = peak_memory_bytes()
    if peak is None:
        pytest.skip("this system does not report a peak")
    assert peak >= during - 10_000_000, "the two probes read different counters"
    del held
    assert resident_memory_bytes() < during
    assert peak_memory_bytes() == pytest.approx(peak, rel=0.05)
