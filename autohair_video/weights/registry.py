"""The registered weights: those shipped and those a user has added, each with its SHA-256."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, cast, get_args

import platformdirs

from autohair_video.errors import WeightsError
from autohair_video.options import Tier
from autohair_video.runtime.atomic import atomic_write
from autohair_video.weights.detect import Role

MANIFEST: Final = "manifest.json"
_PACKAGE: Final = Path(__file__).resolve().parents[1]
# Roles as manifests in users' caches name them since before the renaming.
_OLD_ROLES: Final = {"matter": "matting"}


@dataclass(frozen=True)
class WeightsEntry:
    """One entry of a manifest. ``settings``: how the weights were trained, or their source."""

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
        """The weights file."""
        return self.folder / self.file


def shipped_folder() -> Path:
    """The default weights: inside an installed package, or beside it in a source checkout."""
    installed = _PACKAGE / "default_weights"
    return installed if installed.is_dir() else _PACKAGE.parent / "weights"


def cache_folder() -> Path:
    """The folder of added weights: in ``AUTOHAIR_CACHE``, else in the user's cache folder of the system."""
    if given := os.environ.get("AUTOHAIR_CACHE"):
        return Path(given) / "weights"
    return Path(platformdirs.user_cache_dir("autohair-video", appauthor=False, opinion=False)) / "weights"


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
    """Compare the size and SHA-256 of the file with the manifest.

    Raises:
        WeightsError: the file is missing, truncated or altered.
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
    """The file's SHA-256 in hexadecimal."""
    with path.open("rb") as file:
        if sys.version_info >= (3, 11):
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()


def read_manifest(folder: Path) -> tuple[WeightsEntry, ...]:
    """The entries of a folder's manifest; none if there is no manifest.

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
    """Replace a folder's manifest atomically."""
    names = [f.name for f in fields(WeightsEntry) if f.name != "folder"]
    lines = [{name: asdict(entry)[name] for name in names} for entry in kept]
    with atomic_write(folder / MANIFEST) as part:
        part.write_text(json.dumps({"weights": lines}, indent=2) + "\n", encoding="utf-8")


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
    """Add a file to the manifest of its folder, replacing an entry of the same name."""
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
