"""The checks of a verification and their result."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Check:
    """One line: what was expected and what was found. ``passed`` is None where it cannot be determined."""

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
    """All checks of one output."""

    source: str
    output: str
    preset: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(check.passed is not False for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The failed checks."""
        return tuple(check for check in self.checks if check.passed is False)

    def as_dict(self) -> dict[str, Any]:
        """What a JSON file holds."""
        return {"passed": self.passed, **asdict(self)}
