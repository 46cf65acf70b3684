"""The lines of a verification, and what they add up to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One line: what was expected and what was found. ``passed`` is None where nothing can be said."""

    name: str
    passed: bool | None
    expected: str
    found: str

    @classmethod
    def equal(cls, name: str, expected: object, found: object) -> Check:
        """Passed if both are the same."""
        return cls(name, expected == found, str(expected), str(found))


@dataclass(frozen=True)
class Verification:
    """All that was looked at in one output."""

    source: str
    output: str
    preset: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.passed is not False for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """What is wrong."""
        return tuple(check for check in self.checks if check.passed is False)

    def as_dict(self) -> dict[str, Any]:
        """What a JSON file holds."""
        return {"passed": self.passed, **asdict(self)}
