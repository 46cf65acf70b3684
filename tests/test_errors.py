"""The error tree: the drawing in its docstring is the hierarchy of the classes."""

from __future__ import annotations

import inspect
import re

from autohair_video import errors


def _drawn() -> dict[str, str]:
    """Each class in the drawing and the one it is drawn under."""
    parents: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"([ │├└─]*)(\w+Error)\b", line)
        if match:
            depth, name = len(match[1]), match[2]
            path = [(d, n) for d, n in path if d < depth]
            if path:
                parents[name] = path[-1][1]
            path.append((depth, name))
    return parents


def test_the_drawn_tree_is_the_class_hierarchy() -> None:
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    classes.remove(errors.AutohairError)
    assert _drawn() == {c.__name__: c.__base__.__name__ for c in classes if c.__base__}
