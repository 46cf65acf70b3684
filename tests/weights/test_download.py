"""Weights added from files and from a real server on this machine's loopback."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from autohair_video.errors import OptionError, WeightsError
from autohair_video.models.dim import MobileDIM
from autohair_video.weights import add, entries, load_network
from autohair_video.weights.build import load


class Server(ThreadingHTTPServer):
    """Serves ``content``; the first ``breaks`` answers end after half of what is due."""

    content = b""
    breaks = 0
    resumes = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.ranges: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_port}/dim%20mobile.safetensors"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        if "gone" in self.path:
            self.send_error(404)
            return
        begin = int(re.findall(r"\d+", wanted)[0]) if wanted and self.server.resumes else 0
        body = self.server.content[begin:]
        if begin and not body:
            self.send_error(416)
            return
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AUTOHAIR_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("AUTOHAIR_OFFLINE", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "dim.safetensors"
    save_file({k: v.half() for k, v in MobileDIM().state_dict().items()}, path)
    return path


@pytest.fixture
def server(weights: Path) -> Iterator[Server]:
    with Server() as running:
        running.content = weights.read_bytes()
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_download_is_cached_and_loads_by_name(server: Server, weights: Path, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    entry = add(server.url, sha256=digest(weights).upper(), progress=lambda *now: seen.append(now))
    assert entry.name == "dim-mobile"
    assert entry.path.parent == cache
    assert entry.path.read_bytes() == weights.read_bytes()
    assert seen[-1] == (len(server.content), len(server.content))
    assert load(entry.name).keys() == MobileDIM().state_dict().keys()
    assert [e.architecture for e in entries() if e.name == entry.name] == ["mobile-dim"]
    again = add(server.url, sha256=digest(weights), offline=True)
    assert again == entry
    assert len(server.ranges) == 1


def test_a_broken_download_goes_on_where_it_stopped(server: Server, weights: Path) -> None:
    server.breaks = 1
    with pytest.raises(WeightsError, match="call again to resume"):
        add(server.url, sha256=digest(weights))
    assert [e for e in entries() if e.name == "dim-mobile"] == []
    entry = add(server.url, sha256=digest(weights))
    assert server.ranges == [None, f"bytes={len(server.content) // 2}-"]
    assert entry.path.read_bytes() == server.content


def test_a_server_that_cannot_resume_starts_again(server: Server, weights: Path) -> None:
    server.breaks, server.resumes = 1, False
    with pytest.raises(WeightsError):
        add(server.url, sha256=digest(weights))
    assert add(server.url, sha256=digest(weights)).path.read_bytes() == server.content


def test_a_download_that_was_complete_but_not_yet_registered(
    server: Server, weights: Path, cache: Path
) -> None:
    cache.mkdir(parents=True)
    (cache / "dim-mobile.safetensors.part").write_bytes(server.content)
    assert add(server.url, sha256=digest(weights)).path.read_bytes() == server.content


def test_a_wrong_hash_leaves_nothing_behind(server: Server, cache: Path) -> None:
    with pytest.raises(WeightsError, match="altered"):
        add(server.url, sha256="0" * 64)
    assert list(cache.iterdir()) == []
    assert [e for e in entries() if e.folder == cache] == []


def test_a_missing_page_and_a_dead_server(server: Server, weights: Path, cache: Path) -> None:
    with pytest.raises(WeightsError, match=r"gone\.pth \(HTTP 404\)"):
        add(server.url.replace("dim%20mobile.safetensors", "gone.pth"), sha256=digest(weights))
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError, match="cannot download") as caught:
        add(server.url, sha256=digest(weights))
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_offline_by_option_and_by_variable(
    server: Server, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match="offline"):
        add(server.url, sha256=digest(weights), offline=True)
    monkeypatch.setenv("AUTOHAIR_OFFLINE", "1")
    with pytest.raises(WeightsError, match="offline"):
        add(server.url, sha256=digest(weights))
    assert server.ranges == []


def test_a_folder_is_no_weights_file(weights: Path, cache: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder: name the weights file in it"):
        add(weights.parent, name="w")
    assert list(cache.glob("*")) == []


def test_a_url_needs_its_hash(server: Server) -> None:
    with pytest.raises(OptionError, match="--sha256"):
        add(server.url)
    with pytest.raises(OptionError, match="64 hexadecimal digits"):
        add(server.url, sha256="abc")
    assert server.ranges == []


def test_a_file_is_copied_and_found_again_by_its_hash(weights: Path, cache: Path) -> None:
    entry = add(weights, name="mine")
    assert entry.path == cache / "mine.safetensors"
    assert add(weights, name="mine") == entry
    assert type(load_network("mine")) is MobileDIM
    with pytest.raises(WeightsError, match="not of dim-vgg16-skip"):
        add(weights, name="other", architecture="dim-vgg16-skip")
    assert {path.name for path in cache.iterdir()} == {"mine.safetensors", "manifest.json"}


def test_a_skip_network_once_named_is_known_by_its_hash(tmp_path: Path) -> None:
    from autohair_video.models.dim import DeepImageMatting

    path = tmp_path / "v1.5.pth"
    torch.save({"state_dict": DeepImageMatting(refine=False).half().state_dict()}, path)
    assert add(path, architecture="dim-vgg16-skip").architecture == "dim-vgg16-skip"
    network = load_network(path)
    assert isinstance(network, DeepImageMatting)
    assert network.skip


def test_damaged_files_are_not_added(tmp_path: Path, cache: Path) -> None:
    state = MobileDIM().state_dict()
    bad = tmp_path / "bad.safetensors"
    save_file({**state, "alpha.bias": torch.full((4,), float("nan"))}, bad)
    with pytest.raises(WeightsError, match=r"bad\.safetensors is damaged: alpha\.bias"):
        add(bad)
    save_file({**state, "alpha.bias": torch.zeros(5)}, bad)
    with pytest.raises(WeightsError, match=r"alpha\.bias has shape"):
        add(bad)
    with pytest.raises(WeightsError, match="no weights file"):
        add(tmp_path / "absent.pth")
    assert list(cache.iterdir()) == []


def test_a_name_is_not_taken_twice(tmp_path: Path, weights: Path) -> None:
    add(weights, name="mine")
    other = tmp_path / "mine.safetensors"
    save_file({k: v + 1 for k, v in MobileDIM().state_dict().items()}, other)
    with pytest.raises(OptionError, match="taken"):
        add(other)


@pytest.mark.parametrize("name", ["../mine", "a/b", ".hidden", "-n", "two words"])
def test_a_name_stays_in_the_cache(weights: Path, cache: Path, name: str) -> None:
    with pytest.raises(OptionError, match="no name for weights"):
        add(weights, name=name)
    assert not cache.exists()


def test_a_url_without_a_files_name_needs_one(server: Server, weights: Path) -> None:
    bare = server.url.rsplit("/", 1)[0] + "/"
    with pytest.raises(OptionError, match="--name"):
        add(bare, sha256=digest(weights))
    assert server.ranges == []
