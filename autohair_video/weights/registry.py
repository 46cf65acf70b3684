"""Which weights there are: the shipped ones and those that a user has added, each with its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, cast, get_args

from autohair_video.errors import WeightsError
from autohair_video.options import Tier
from autohair_video.weights.detect import Role

MANIFEST: Final = "manifest.json"
_PACKAGE: Final = Path(__file__).resolve().parents[1]
# Roles as manifests in users' caches name them since before the renaming.
_OLD_ROLES: Final = {"matter": "matting"}


@dataclass(frozen=True)
class WeightsEntry:
    """One line of a manifest. ``settings`` says how the weights were trained; ``tier`` may be None."""

    name: str
    file: str
    role: Role
    architecture: str
    sha256: str
    bytes: int
    licence: str
    data: str
    tier: Tier | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    folder: Path = Path()

    @property
    def path(self) -> Path:
        """Where the file lies."""
        return self.folder / self.file


def shipped_folder() -> Path:
    """The default weights: inside an installed package, or beside it in a source checkout."""
    installed = _PACKAGE / "default_weights"
    return installed if installed.is_dir() else _PACKAGE.parent / "weights"


def cache_folder() -> Path:
    """Where added weights are kept: ``AUTOHAIR_CACHE``, else the user's cache folder."""
    if given := os.environ.get("AUTOHAIR_CACHE"):
        return Path(given) / "weights"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "autohair-video" / "weights"


def entries() -> tuple[WeightsEntry, ...]:
    """All registered weights, the shipped ones first."""
    return (*read_manifest(shipped_folder()), *read_manifest(cache_folder()))


def find(name: str) -> WeightsEntry | None:
    """The registered weights of that name; ``segmenter-best`` and the like go through `for_tier`."""
    known = {entry.name: entry for entry in reversed(entries())}
    role, _, tier = name.partition("-")
    role = _OLD_ROLES.get(role, role)
    if name not in known and role in get_args(Role) and tier in get_args(Tier):
        return for_tier(cast(Role, role), cast(Tier, tier))
    return known.get(name)


def for_tier(role: Role, tier: Tier) -> WeightsEntry | None:
    """The shipped weights of a tier; where ``best`` has none of its own, those of ``fast``.

    The caller sees from the entry's ``tier`` which it got.
    """
    mine = {entry.tier: entry for entry in read_manifest(shipped_folder()) if entry.role == role}
    return mine.get(tier) or mine.get("fast")


def check_file(entry: WeightsEntry) -> None:
    """Compares size and SHA-256 of the file with the manifest's.

    Raises:
        WeightsError: the file is missing, cut short or altered.
    """
    if not entry.path.is_file():
        raise WeightsError(f"the weights {entry.name} are missing: there is no {entry.path}")
    if (size := entry.path.stat().st_size) != entry.bytes:
        raise WeightsError(f"{entry.path} has {size} bytes where {entry.bytes} are due: fetch it again")
    if (found := sha256_of(entry.path)) != entry.sha256:
        raise WeightsError(
            f"{entry.path} was altered: its SHA-256 is {found[:12]}..., not {entry.sha256[:12]}..."
        )


def sha256_of(path: Path) -> str:
    """The file's SHA-256, hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_manifest(folder: Path) -> tuple[WeightsEntry, ...]:
    """The entries of a folder's manifest; none where there is no manifest.

    Raises:
        WeightsError: the manifest is damaged.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return ()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return tuple(_entry(line, folder) for line in content["weights"])
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise WeightsError(f"{path} is damaged: {exc}") from exc


def _entry(line: dict[str, Any], folder: Path) -> WeightsEntry:
    role = _OLD_ROLES.get(line["role"], line["role"])
    return WeightsEntry(**{**line, "role": role}, folder=folder)


def write_manifest(folder: Path, kept: tuple[WeightsEntry, ...]) -> None:
    """Replaces a folder's manifest."""
    names = [f.name for f in fields(WeightsEntry) if f.name != "folder"]
    lines = [{name: asdict(entry)[name] for name in names} for entry in kept]
    aside = folder / f"{MANIFEST}.new"
    aside.write_text(json.dumps({"weights": lines}, indent=2) + "\n", encoding="utf-8")
    aside.replace(folder / MANIFEST)


def register(
    path: Path,
    *,
    name: str,
    role: Role,
    architecture: str,
    licence: str,
    data: str,
    tier: Tier | None = None,
    settings: Mapping[str, Any] | None = None,
) -> WeightsEntry:
    """Enters a file into the manifest of its folder, in place of an entry of the same name."""
    entry = WeightsEntry(
        name=name,
        file=path.name,
        role=role,
        architecture=architecture,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        licence=licence,
        data=data,
        tier=tier,
        settings=dict(settings or {}),
        folder=path.parent,
    )
    others = tuple(e for e in read_manifest(path.parent) if e.name != name)
    write_manifest(path.parent, (*others, entry))
    return entry
