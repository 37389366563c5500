"""Where a checkpoint's files are found, and one line for everything that can go wrong on the way.

A server on this machine answers as the hub does, so errors, caches and downloads are huggingface_hub's own.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import huggingface_hub
import pytest
from huggingface_hub import constants

from llama4_explained import TINY, Llama4Config, UserError, hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REFUSALS = {  # the name of a repository -> status and code of the answer to everything that is asked about it
    "gated": (403, "GatedRepo"),
    "missing": (401, "RepoNotFound"),
    "expired-token": (401, ""),
}
FILES = {
    "config.json": json.dumps(TINY.to_hf_dict()).encode(),
    "model.safetensors.index.json": b"{}",
    "model-00001-of-00002.safetensors": b"first",
    "model-00002-of-00002.safetensors": b"second",
    "tokenizer.json": b"{}",
    "tokenizer.model": b"pieces",
    "chat_template.jinja": b"template",
    "README.md": b"",
    "pytorch_model.bin": b"",
    "original/params.json": b"{}",
    "original/consolidated.safetensors": b"all of it once more",
}
WANTED = {name for name in FILES if "/" not in name and not name.endswith((".md", ".bin"))}


class Hub(BaseHTTPRequestHandler):
    """Has one good repository, org/good with one branch, main; others are refused in the way that their name says."""

    fetched: ClassVar[list[str]] = []
    forbidden: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        self.answer(*self.find())

    def do_HEAD(self) -> None:
        self.answer(*self.find())

    def find(self) -> tuple[int, str, bytes]:
        """Status, error code and body for what is asked."""
        parts = self.path.split("?")[0].removeprefix("/api/models").strip("/").split("/")
        _, repository, kind, revision = parts[:4]
        name = "/".join(parts[4:])
        if repository in REFUSALS:
            return *REFUSALS[repository], b""
        if revision not in ("main", COMMIT):
            return 404, "RevisionNotFound", b""
        if kind == "revision":
            return 200, "", json.dumps({"id": "org/good", "sha": COMMIT}).encode()
        if kind == "tree":
            tree = [{"type": "file", "path": path, "size": len(FILES[path]), "oid": etag(path)} for path in FILES]
            return 200, "", json.dumps(tree).encode()
        if name not in FILES:
            return 404, "EntryNotFound", b""
        if self.command == "GET":
            if name in self.forbidden:
                return 403, "", b""
            self.fetched.append(name)
        return 200, "", FILES[name]

    def answer(self, status: int, code: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(self.path.encode()).hexdigest()}"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Keeps quiet."""


def etag(path: str) -> str:
    return hashlib.sha1(path.encode()).hexdigest()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def online(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.fetched.clear()
    Hub.forbidden.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        connect(monkeypatch, server.server_port)
        yield Hub
        server.shutdown()
    huggingface_hub.close_session()


def connect(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    address = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()


def complaints(source: str, revision: str | None = None) -> set[str]:
    """What is said when one file is asked for, and when all are."""
    lines = set()
    for ask in (lambda: hub.local_file(source, "config.json", revision), lambda: hub.local_folder(source, revision)):
        with pytest.raises(UserError) as raised:
            ask()
        lines.add(str(raised.value))
    assert not any("\n" in line for line in lines)
    return lines


@pytest.mark.parametrize("as_path", [str, Path])
def test_a_folder_is_taken_as_it_is(tmp_path: Path, as_path: type):
    (tmp_path / "config.json").write_text("{}")
    assert hub.local_folder(as_path(tmp_path)) == tmp_path
    assert hub.local_file(as_path(tmp_path), "config.json") == tmp_path / "config.json"
    with pytest.raises(UserError, match=r"has no tokenizer.json: is it a checkpoint folder"):
        hub.local_file(as_path(tmp_path), "tokenizer.json")


def test_a_folder_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "scout").mkdir()
    assert hub.local_folder("~/scout") == tmp_path / "scout"


def test_a_file_is_no_folder(tmp_path: Path):
    (tmp_path / "model.safetensors").touch()
    assert complaints(str(tmp_path / "model.safetensors")) == {
        f"{tmp_path / 'model.safetensors'} is a file: give the checkpoint's folder"
    }


@pytest.mark.parametrize("source", ["./scout", "../scout", "/nowhere/scout", "~/nowhere/scout", "a/b/c", "C:\\scout"])
def test_a_path_that_leads_nowhere(source: str):
    assert complaints(source) == {f"there is no folder {source}; a hub id has the form organisation/name"}


def test_a_path_object_is_never_a_hub_id():
    with pytest.raises(UserError, match="there is no folder scout"):
        hub.local_folder(Path("scout"))


@pytest.mark.parametrize("source", ["no spaces/allowed", "org/two--dashes", "", "org/"])
def test_a_name_that_cannot_be_a_hub_id(source: str, cache: Path):
    assert complaints(source) == {f"{source!r} is neither a folder nor a hub id, which has the form organisation/name"}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("gated", "gated: ask for access at https://huggingface.co/org/gated, then log in with `hf auth login`"),
        ("missing", "neither a folder here nor a repository on the hub that you may read: check the name"),
        ("expired-token", "the hub refuses it with status 401: log in anew with `hf auth login`, or check HF_TOKEN"),
    ],
)
def test_a_repository_that_the_hub_does_not_give(online: type[Hub], name: str, remedy: str):
    (line,) = complaints(f"org/{name}")
    assert f"org/{name}" in line and remedy in line


def test_a_revision_that_is_not_there(online: type[Hub]):
    assert complaints("org/good", "v9") == {
        "org/good has no revision 'v9' on the hub: give a branch, a tag or a commit"
    }


def test_a_file_that_is_not_there(online: type[Hub]):
    with pytest.raises(UserError, match=r"org/good has no nothing.json on the hub: is it a Llama 4 checkpoint\?"):
        hub.local_file("org/good", "nothing.json")


def test_a_download_fetches_what_is_needed_and_later_runs_offline(online: type[Hub], monkeypatch: pytest.MonkeyPatch):
    folder = hub.local_folder("org/good", COMMIT)
    assert {path.name for path in folder.iterdir()} == WANTED == set(online.fetched)
    assert hub.local_folder("org/good") == folder  # the branch
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert hub.local_folder("org/good") == folder
    assert hub.local_file("org/good", "config.json").read_bytes() == FILES["config.json"]
    assert Llama4Config.from_pretrained("org/good") == TINY
    assert len(online.fetched) == len(WANTED)


def test_an_interrupted_download_goes_on_where_it_was(online: type[Hub]):
    online.forbidden.add("model-00002-of-00002.safetensors")
    with pytest.raises(UserError, match="org/good: the hub refuses it with status 403: log in anew"):
        hub.local_folder("org/good")
    assert "model-00001-of-00002.safetensors" in online.fetched
    online.forbidden.clear()
    folder = hub.local_folder("org/good")
    assert {path.name for path in folder.iterdir()} == WANTED
    assert sorted(online.fetched) == sorted(WANTED)  # none of them twice


def test_no_network(cache: Path, monkeypatch: pytest.MonkeyPatch):
    connect(monkeypatch, port=9)  # where nobody listens
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between huggingface_hub's attempts
    lines = complaints("org/good")
    assert len(lines) == 2 and all(line.startswith("org/good: ") for line in lines)
    # One line for a single file too; but huggingface_hub 1.5 trips over its own second attempt there.
    expected = "no complete checkpoint in the cache, and the hub cannot be reached: check the network, or give a folder"
    assert f"org/good: {expected}" in lines


def test_offline_without_a_cache(cache: Path):
    assert complaints("org/good", "v1") == {
        f"org/good at revision 'v1': no complete {wanted} in the cache, and HF_HUB_OFFLINE is set: "
        "unset it, or download it first"
        for wanted in ("config.json", "checkpoint")
    }


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("data\n  error")])
def test_a_download_that_breaks_off(cache: Path, monkeypatch: pytest.MonkeyPatch, error: Exception):
    def fail(*arguments: object, **named: object) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    (line,) = complaints("org/good")
    assert "the download failed" in line and " ".join(str(error).split()) in line


def test_a_connection_that_breaks_off(online: type[Hub], monkeypatch: pytest.MonkeyPatch):
    def fail(self: Hub) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConte")
        self.close_connection = True

    monkeypatch.setattr(Hub, "do_HEAD", fail)
    monkeypatch.setattr(Hub, "do_GET", fail)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert all("org/good: the download failed" in line for line in complaints("org/good"))


def test_the_packaged_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub.resources, "files", lambda package: tmp_path / package)
    assert complaints("tiny") == {"this version has no packaged checkpoint 'tiny': give a folder or a hub id"}
    folder = tmp_path / "llama4_explained" / "assets" / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    assert hub.local_folder("tiny") == folder
    assert hub.local_file("tiny", "config.json") == folder / "config.json"
