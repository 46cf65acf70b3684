"""Progress of long preparations, as lines on standard error."""

from __future__ import annotations

import sys
import time

_EVERY_S = 10.0


class Progress:
    """Counts finished items and prints now and then how many, how fast and how long it will take."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._began = self._printed = time.monotonic()

    def advance(self, name: str) -> None:
        """One item more is done; ``name`` says which."""
        self._done += 1
        now = time.monotonic()
        if now - self._printed < _EVERY_S and self._done < self._total:
            return
        self._printed = now
        each = (now - self._began) / self._done
        left = each * (self._total - self._done) / 60
        line = f"{self._what} {self._done}/{self._total} ({name}), {each:.2f} s each, {left:.0f} min left"
        print(line, file=sys.stderr, flush=True)
