"""Adds weights from a file or URL: fetched, verified, checked to load, and only then registered."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from autohair_video.errors import OptionError, WeightsError
from autohair_video.weights.build import build
from autohair_video.weights.checkpoint import read_state
from autohair_video.weights.detect import Architecture, detect_architecture
from autohair_video.weights.registry import (
    WeightsEntry,
    cache_folder,
    check_file,
    entries,
    register,
    sha256_of,
)

Progress = Callable[[int, int | None], None]
"""Bytes received and bytes in total; None if the server does not report it."""

_BLOCK_BYTES: Final = 1 << 18
# Longest wait for the server's next bytes.
_TIMEOUT_S: Final = 30


def add(
    source: str | Path,
    *,
    sha256: str | None = None,
    name: str | None = None,
    architecture: str | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> WeightsEntry:
    """Copies or downloads weights into the user's cache and registers them there.

    An interrupted download is kept, and resumed by the next call. A file that turns out to be altered,
    damaged, unsafe or of an unknown network is removed.

    Args:
        source: a file, or an http(s) URL.
        sha256: the file's SHA-256 in hexadecimal; required for a URL.
        name: the name to load it by; the file's name without its extension by default.
        architecture: names the network where its tensors are ambiguous ("dim-vgg16-skip").
        offline: refuse to download; by default true if the variable ``AUTOHAIR_OFFLINE`` is set.
        progress: called with the bytes received and in total while downloading.

    Raises:
        OptionError: the SHA-256 is missing or malformed, or the name is taken or not usable as a file name.
        WeightsError: the file cannot be fetched or verified, or its network is unknown.
    """
    url = str(source) if str(source).startswith(("http://", "https://")) else None
    digest = _checked_digest(sha256, required=url is not None)
    given = Path(unquote(urlsplit(url).path) if url else source)
    name = _checked_name(name or re.sub(r"[^\w.-]+", "-", given.stem))
    if url is None:
        digest = digest or _digest_of(given)
    if known := next((entry for entry in entries() if entry.name == name), None):
        if digest == known.sha256 and architecture in (None, known.architecture):
            check_file(known)
            return known
        raise OptionError(f"the name {name!r} is taken by {known.path}: give another by --name")
    part = _new_part(f"{name}{given.suffix.lower()}")
    if url is None:
        _copy(given, part)
    elif bool(os.environ.get("AUTOHAIR_OFFLINE")) if offline is None else offline:
        raise WeightsError(
            f"offline: {url} must not be fetched: leave out --offline and AUTOHAIR_OFFLINE, or give its file"
        )
    else:
        download(url, part, progress=progress)
    try:
        network = _verified(part, str(source), digest, architecture)
        target = part.replace(part.with_suffix(""))
    finally:
        part.unlink(missing_ok=True)
    return register(
        target,
        name=name,
        role=network.role,
        architecture=network.name,
        licence="as its source says",
        data="as its source says",
        settings={"source": str(source)},
    )


def download(url: str, part: Path, *, progress: Progress | None = None) -> None:
    """Download ``url`` into ``part``, resuming after the bytes that are there already.

    Own code instead of pooch or httpx, as neither resumes a partial file; see ARCHITECTURE.md, "Decisions".

    Raises:
        WeightsError: the server cannot be reached or the connection is lost; the bytes received are kept.
    """
    have = part.stat().st_size if part.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
            _receive(response, part, have, progress)
    except urllib.error.HTTPError as exc:
        # 416 Range Not Satisfiable: the part is complete.
        if not (exc.code == 416 and have):
            raise WeightsError(f"cannot download {url} (HTTP {exc.code})") from exc
    except (OSError, http.client.HTTPException) as exc:
        reason = getattr(exc, "reason", exc)
        raise WeightsError(f"cannot download {url} ({reason}); call again to resume") from exc


def _receive(response: Any, part: Path, have: int, progress: Progress | None) -> None:
    resumed = response.status == 206
    have = have if resumed else 0
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    with part.open("ab" if resumed else "wb") as file:
        while block := response.read(_BLOCK_BYTES):
            file.write(block)
            have += len(block)
            if progress is not None:
                progress(have, total)
    if total is not None and have < total:
        raise OSError(f"the connection was lost after {have} of {total} bytes")


def _new_part(file: str) -> Path:
    """The path of a cached file while it is incomplete or unverified."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise WeightsError(
            f"cannot make the folder {folder} ({exc.strerror}): name another by AUTOHAIR_CACHE"
        ) from exc
    return folder / f"{file}.part"


def _digest_of(given: Path) -> str:
    if given.is_dir():
        raise WeightsError(f"{given} is a folder: name the weights file in it")
    if not given.is_file():
        raise WeightsError(f"there is no weights file {given}")
    return sha256_of(given)


def _copy(given: Path, part: Path) -> None:
    try:
        shutil.copyfile(given, part)
    except OSError as exc:
        with suppress(OSError):
            part.unlink()
        raise WeightsError(f"cannot copy {given} to {part.parent} ({exc.strerror})") from exc


def _verified(part: Path, source: str, digest: str | None, architecture: str | None) -> Architecture:
    """The network of a fetched file, after checking its SHA-256 and that its tensors load."""
    found = sha256_of(part)
    if digest and found != digest:
        raise WeightsError(
            f"{source} has SHA-256 {found}, not {digest}: it was altered, or the SHA-256 is another file's"
        )
    try:
        state = read_state(part)
        network = detect_architecture(state)
        network = network.named(architecture) if architecture else network
        build(network, state)
    except WeightsError as exc:
        raise WeightsError(str(exc).replace(str(part), source)) from exc
    return network


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise OptionError(f"{name!r} is no name for weights: use letters, digits, dots, - and _ by --name")
    return name


def _checked_digest(sha256: str | None, *, required: bool) -> str | None:
    if sha256 is None:
        if required:
            raise OptionError("weights from a URL need their SHA-256: give it by --sha256")
        return None
    if not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise OptionError(f"{sha256!r} is no SHA-256: 64 hexadecimal digits are due")
    return sha256.lower()
