"""Fetching weights from a server that cuts, corrupts, stalls, forgets and refuses."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.errors import Cancelled, ModelError
from engine.models import download as download_module
from engine.models.download import Download, Patience, addresses, fetch, has_digest
from engine.models.http_ranges import Hopeless, SafeRedirects
from engine.utils.file_lock import locked

BODY = bytes(range(256)) * 3000  # 768 kB: several pieces
DIGEST = hashlib.sha256(BODY).hexdigest()[:8]
QUICK = Patience(stall_seconds=0.3, retries=2, backoff_seconds=0.01)
Behave = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    """Answers each request by the next of ``script``, then well."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.script: list[Behave] = []
        self.body = BODY
        self.asked: list[tuple[str, str | None]] = []  # path and Range of every request
        self.headers_seen: list[dict[str, str]] = []
        self.ranges = True
        self.released = threading.Event()  # lets stalling answers go
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that go away are the point of these tests


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        self.server.headers_seen.append(dict(self.headers))
        self.close_connection = True
        behave = self.server.script.pop(0) if self.server.script else good
        behave(self)

    def log_message(self, *arguments: Any) -> None:
        pass

    def start(self, *, ranges: bool | None = None, length: bool = True, etag: str = '"one"') -> bytes:
        """Send the headers and return what belongs behind them."""
        body, expected = self.server.body, self.headers.get("Range")
        at = int(expected.removeprefix("bytes=").rstrip("-")) if expected else 0
        if self.headers.get("If-Range", etag) != etag:
            at = 0
        if at >= len(body) > 0 and expected:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return b""
        if at and (self.server.ranges if ranges is None else ranges):
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {at}-{len(body) - 1}/{len(body)}")
            body = body[at:]
        else:
            self.send_response(200)
        if length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", etag)
        self.end_headers()
        return body


def good(handler: Handler) -> None:
    handler.wfile.write(handler.start())


def cut(share: float) -> Behave:
    def behave(handler: Handler) -> None:
        body = handler.start()
        handler.wfile.write(body[: int(len(body) * share)])

    return behave


def corrupt(handler: Handler) -> None:
    body = bytearray(handler.start())
    body[len(body) // 2] ^= 1
    handler.wfile.write(body)


def stall(share: float) -> Behave:
    def behave(handler: Handler) -> None:
        body = handler.start()
        handler.wfile.write(body[: int(len(body) * share)])
        handler.wfile.flush()
        handler.server.released.wait(20)

    return behave


def drip(handler: Handler) -> None:
    body = handler.start()
    for at in range(1000):
        handler.wfile.write(body[at : at + 1])
        handler.wfile.flush()
        if handler.server.released.wait(0.02):
            return


def status(code: int, **headers: str) -> Behave:
    def behave(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in {"Content_Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return behave


def page(handler: Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"\n<html>log in first</html>")


def hang_up(handler: Handler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def server() -> Iterator[Server]:
    result = Server()
    thread = threading.Thread(target=result.serve_forever, args=(0.02,), name="server")
    thread.start()
    yield result
    result.released.set()
    result.shutdown()
    result.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def direct_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv(download_module.MIRROR_VARIABLE, raising=False)


@pytest.fixture
def item(server: Server, tmp_path: Path) -> Download:
    url = f"{server.address}/mmpose/v1/body/coco_res50-{DIGEST}_20200101.pth"
    return Download("coco_res50", url, DIGEST, tmp_path / "models" / url.rsplit("/", 1)[-1])


def _only_the_target(item: Download) -> None:
    assert item.target.read_bytes() == BODY
    assert [path.name for path in item.target.parent.iterdir()] == [item.target.name]


def _ranges(server: Server) -> list[str | None]:
    return [result for _, result in server.asked]


# --- transfers that go well in the end -----------------------------------------------------------------------------


def test_a_file_is_fetched_once_and_reported(server: Server, item: Download) -> None:
    seen: list[tuple[int, int | None]] = []
    assert fetch(item, report=lambda done, total: seen.append((done, total)), patience=QUICK) == item.target
    _only_the_target(item)
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    fetch(item, patience=QUICK)
    assert len(server.asked) == 1
    assert os.stat(item.target).st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize("break_off", [cut(0.4), stall(0.4)], ids=["cut", "stalled"])
def test_a_transfer_that_breaks_off_is_gone_on_with(break_off: Behave, server: Server, item: Download) -> None:
    server.script = [break_off, break_off]
    fetch(item, patience=QUICK)
    _only_the_target(item)
    first, second = int(len(BODY) * 0.4), int(len(BODY) * 0.4) + int((len(BODY) - int(len(BODY) * 0.4)) * 0.4)
    assert _ranges(server) == [None, f"bytes={first}-", f"bytes={second}-"]
    assert server.headers_seen[1]["If-Range"] == '"one"'


def test_attempts_are_counted_only_while_nothing_comes(server: Server, item: Download) -> None:
    server.script = [cut(0.1)] * 8
    fetch(item, patience=QUICK)
    _only_the_target(item)


def test_a_later_call_goes_on_where_an_earlier_one_was_stopped(server: Server, item: Download) -> None:
    server.script = [cut(0.5), *[status(503)] * 3]
    with pytest.raises(ModelError, match="503"):
        fetch(item, patience=QUICK)
    assert not item.target.exists()
    server.asked.clear()
    fetch(item, patience=QUICK)
    assert _ranges(server) == [f"bytes={len(BODY) // 2}-"]
    _only_the_target(item)


def test_a_server_without_ranges_is_read_from_the_start(server: Server, item: Download) -> None:
    server.ranges = False
    server.script = [cut(0.5)]
    done: list[int] = []
    fetch(item, report=lambda count, total: done.append(count), patience=QUICK)
    _only_the_target(item)
    assert done.count(0) == 2


def test_a_file_that_changed_meanwhile_is_read_from_the_start(server: Server, item: Download) -> None:
    def changed(handler: Handler) -> None:
        handler.wfile.write(handler.start(etag='"two"'))

    server.script = [cut(0.5), changed]
    fetch(item, patience=QUICK)
    _only_the_target(item)


def test_a_wrong_piece_from_an_earlier_call_is_thrown_away(server: Server, item: Download) -> None:
    part = item.target.with_name(f".{item.target.name}.{DIGEST}.part")
    part.parent.mkdir()
    for left in (b"x" * 1000, b"x" * len(BODY), b"x" * (len(BODY) + 5), BODY):
        part.write_bytes(left)
        server.asked.clear()
        fetch(item, patience=QUICK)
        _only_the_target(item)
        assert _ranges(server) == [f"bytes={len(left)}-", *([] if left == BODY else [None])]
        item.target.unlink()


def test_a_part_that_was_not_asked_for_is_not_used(server: Server, item: Download) -> None:
    def elsewhere(handler: Handler) -> None:
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 10-{len(BODY) - 1}/{len(BODY)}")
        handler.end_headers()
        handler.wfile.write(BODY[10:])

    server.script = [cut(0.5), elsewhere]
    fetch(item, patience=QUICK)
    _only_the_target(item)


def test_without_a_digest_nothing_of_an_earlier_call_is_used(server: Server, item: Download) -> None:
    item = Download(item.id, item.url, "", item.target)
    server.script = [cut(0.5), cut(0.5), *[status(503)] * 3]
    with pytest.raises(ModelError, match="503"):
        fetch(item, patience=QUICK)
    server.asked.clear()
    fetch(item, patience=QUICK)
    assert _ranges(server) == [None]
    _only_the_target(item)


def test_a_file_of_unknown_length_is_fetched(server: Server, item: Download) -> None:
    def unknown(handler: Handler) -> None:
        handler.wfile.write(handler.start(length=False))

    server.script = [unknown]
    seen: list[int | None] = []
    fetch(item, report=lambda done, total: seen.append(total), patience=QUICK)
    _only_the_target(item)
    assert set(seen) == {None}


@pytest.mark.parametrize("trouble", [status(500), status(503, Retry_After="0"), status(429), hang_up, stall(0.0)])
def test_passing_trouble_is_tried_again(trouble: Behave, server: Server, item: Download) -> None:
    server.script = [trouble, trouble]
    fetch(item, patience=QUICK)
    _only_the_target(item)


def test_redirects_are_followed(server: Server, item: Download) -> None:
    server.script = [status(302, Location="/elsewhere"), cut(0.5), status(307, Location="/elsewhere")]
    fetch(item, patience=QUICK)
    _only_the_target(item)
    assert server.asked[-1] == ("/elsewhere", f"bytes={len(BODY) // 2}-")


def test_a_damaged_file_in_the_folder_is_replaced(server: Server, item: Download) -> None:
    item.target.parent.mkdir()
    item.target.write_bytes(b"damaged")
    fetch(item, patience=QUICK)
    _only_the_target(item)


# --- transfers that fail -------------------------------------------------------------------------------------------


def _fails(item: Download, *parts: str, patience: Patience = QUICK) -> None:
    with pytest.raises(ModelError) as caught:
        fetch(item, patience=patience)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    assert not item.target.exists()
    assert not item.target.with_name(f".{item.target.name}.lock").exists()


def test_the_message_tells_what_to_do_by_hand(item: Download, server: Server) -> None:
    server.script = [status(404)]
    _fails(item, "answers 404", item.url, str(item.target), DIGEST, "POSEAPP_MODEL_MIRROR")
    assert len(server.asked) == 1  # asking again does not help


@pytest.mark.parametrize("trouble", [status(500), hang_up, stall(0.0), drip, status(302, Location="/x")])
def test_lasting_trouble_ends(trouble: Behave, server: Server, item: Download) -> None:
    server.script = [trouble] * 30
    _fails(item, item.url, str(item.target))
    assert len(server.asked) <= 15  # urllib itself follows a few redirects


def test_a_corrupt_file_is_not_kept(server: Server, item: Download) -> None:
    server.script = [corrupt]
    _fails(item, "not the published file", DIGEST)
    assert list(item.target.parent.iterdir()) == []


def test_a_page_in_place_of_the_file_is_recognised(server: Server, item: Download) -> None:
    server.script = [page, page]
    _fails(item, "a web page came")
    _fails(Download(item.id, item.url, "", item.target), "a web page came")


def test_nobody_at_the_address(item: Download, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    _fails(Download("m", f"http://127.0.0.1:{port}/m.pth", DIGEST, tmp_path / "m.pth"), f"127.0.0.1:{port}", "By hand")


def test_a_computer_that_is_offline_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: object, **options: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "create_connection", offline)
    item = Download("m", "http://weights.invalid/m.pth", DIGEST, tmp_path / "m.pth")
    # A wait for another attempt would outlast the time a test is given.
    _fails(item, "perhaps offline", item.url, str(item.target), patience=Patience(backoff_seconds=1000))


def test_a_full_disk_is_told_before_and_while_it_fills(
    server: Server, item: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    with monkeypatch.context() as patch:
        patch.setattr(download_module.shutil, "disk_usage", lambda path: usage)
        _fails(item, "no room", "0.8 MB are needed", "POSEAPP_MODELS")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(download_module.os, "fsync", full)
        _fails(item, "no room", "POSEAPP_MODELS")
    fetch(item, patience=QUICK)
    _only_the_target(item)


def endless(*, chunked: bool) -> Behave:
    """Sends without end, and says of no size."""

    def behave(handler: Handler) -> None:
        handler.send_response(200)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        piece = bytes(64 * 1024)
        try:
            while not handler.server.released.is_set():
                handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        except OSError:
            pass  # the client went away

    return behave


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("digest", [DIGEST, ""])
def test_a_download_that_never_ends_is_stopped_and_nothing_of_it_stays(
    chunked: bool, digest: str, server: Server, item: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "MAX_BYTES", 2 * len(BODY))
    server.script = [endless(chunked=chunked)]
    came: list[int] = []
    with pytest.raises(ModelError, match=r"did not stop sending; at most 1.5 MB"):
        fetch(dataclasses.replace(item, digest=digest), report=lambda done, total: came.append(done), patience=QUICK)
    assert max(came) <= 2 * len(BODY)
    assert len(server.asked) == 1  # not again: it would be as long
    assert list(item.target.parent.iterdir()) == []


def test_a_download_of_unknown_size_leaves_some_of_the_disk_free(
    server: Server, item: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download_module, "ROOM_CHECK_BYTES", 64 * 1024)
    free = iter([10**9, 10**9, *[10**8] * 1000])
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": next(free)}))
    server.script = [endless(chunked=True)]
    _fails(item, "nearly full", "POSEAPP_MODELS")
    assert list(item.target.parent.iterdir()) == []


def test_a_server_that_sends_more_than_it_announced_is_refused(server: Server, item: Download) -> None:
    def longer(handler: Handler) -> None:
        start = len(BODY) // 2
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        handler.end_headers()  # no Content-Length, by which the library would stop
        handler.wfile.write(BODY[start:] + b"more")

    server.script = [cut(0.5), longer]
    _fails(item, f"more than the {len(BODY):,} bytes")
    assert list(item.target.parent.iterdir()) == []


def test_an_announced_size_beyond_all_weights_is_refused_before_anything_is_written(
    server: Server, item: Download
) -> None:
    def huge(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**15))
        handler.end_headers()

    server.script = [huge]
    _fails(item, "announces 1,000,000,000.0 MB")
    assert list(item.target.parent.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(server: Server, item: Download, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file")
    with pytest.raises(ModelError, match="cannot be written"):
        fetch(item, patience=QUICK)


def test_it_can_be_stopped_and_gone_on_with(server: Server, item: Download) -> None:
    came: list[int] = []
    with pytest.raises(Cancelled):
        fetch(item, report=lambda done, total: came.append(done), stop=lambda: bool(came and came[-1]), patience=QUICK)
    server.asked.clear()
    fetch(item, patience=QUICK)
    assert _ranges(server) == [f"bytes={came[-1]}-"]
    _only_the_target(item)


def test_a_wait_between_attempts_can_be_stopped(server: Server, item: Download) -> None:
    server.script = [status(503, Retry_After="1000")]
    with pytest.raises(Cancelled):
        fetch(item, stop=lambda: bool(server.asked), patience=QUICK)


# --- several at once -----------------------------------------------------------------------------------------------


def test_several_at_once_fetch_it_once(server: Server, item: Download) -> None:
    server.script = [cut(0.3), cut(0.3)]
    errors: list[BaseException] = []

    def work() -> None:
        try:
            fetch(item, patience=QUICK)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    _only_the_target(item)
    assert len(server.asked) == 3


def test_who_waits_for_another_can_be_stopped(server: Server, item: Download) -> None:
    item.target.parent.mkdir()
    lock = item.target.with_name(f".{item.target.name}.lock")
    with locked(lock), pytest.raises(Cancelled):
        fetch(item, stop=lambda: True, patience=QUICK)
    assert not lock.exists()
    assert server.asked == []


# --- mirrors -------------------------------------------------------------------------------------------------------


def test_a_mirror_takes_the_place_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://host.example/a/b/c.pth"
    assert addresses(url) == [url]
    monkeypatch.setenv(download_module.MIRROR_VARIABLE, "http://mirror.example/models/")
    assert addresses(url) == ["http://mirror.example/models/a/b/c.pth", "http://mirror.example/models/c.pth"]
    assert addresses(url, "") == [url]
    assert addresses("https://host.example/c.pth", "http://m.example") == ["http://m.example/c.pth"]
    with pytest.raises(ModelError, match="POSEAPP_MODEL_MIRROR must begin"):
        addresses(url, "models")


def test_a_mirror_may_hold_the_bare_names(server: Server, item: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    item = Download(item.id, f"https://host.invalid/a/{item.target.name}", DIGEST, item.target)
    monkeypatch.setenv(download_module.MIRROR_VARIABLE, f"{server.address}/copy")
    server.script = [status(404)]
    fetch(item, patience=QUICK)
    _only_the_target(item)
    assert [path for path, _ in server.asked] == [f"/copy/a/{item.target.name}", f"/copy/{item.target.name}"]


def test_a_mirror_may_be_a_folder(item: Download, tmp_path: Path) -> None:
    (tmp_path / "share").mkdir()
    mirror = (tmp_path / "share").as_uri()
    with pytest.raises(ModelError, match=r"there is no file:.*By hand"):
        fetch(item, patience=QUICK, mirror=mirror)
    (tmp_path / "share" / item.target.name).write_bytes(BODY)
    fetch(item, patience=QUICK, mirror=mirror)
    _only_the_target(item)


def test_digests_are_compared_as_prefixes_of_either_case(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(BODY)
    for digest, answer in ((DIGEST, True), (DIGEST.upper(), True), ("", True), ("00000000", False)):
        assert has_digest(path, digest) is answer


# --- the command line ----------------------------------------------------------------------------------------------


ID = "coco_res50_256x192"


@pytest.fixture
def published(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's body is what a row of the table has published; returns the file's name."""
    from engine import zoo

    find_model = zoo.find_model
    entry = dataclasses.replace(find_model(ID), digest=DIGEST)
    monkeypatch.setattr(zoo, "find_model", lambda name: entry if name == ID else find_model(name))
    monkeypatch.setenv(download_module.MIRROR_VARIABLE, server.address)
    assert entry.weights_file is not None
    return entry.weights_file.name


def _zoo(*argv: str) -> int:
    from engine.utils.command_line import run
    from engine.zoo import main

    return run(main, argv)


def test_download_verify_and_path(server: Server, published: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = Path(os.environ["POSEAPP_MODELS"]) / published
    assert _zoo("path", ID) == 2
    captured = capsys.readouterr()
    assert captured.out == f"{target}\n"
    assert "engine.zoo download" in captured.err
    assert _zoo("verify", ID) == 2
    assert "missing" in capsys.readouterr().out

    server.script = [cut(0.5)]
    assert _zoo("download", ID, "movenet_thunder", "--progress", "json") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-2] == {"event": "downloaded", "id": ID, "file": str(target)}
    assert events[-1]["id"] == "movenet_thunder"
    assert [event["reason"][:12] for event in events if event["event"] == "retry"] == ["the connecti"]
    progress = [event for event in events if event["event"] == "progress"]
    assert (progress[-1]["done"], progress[-1]["total"]) == (len(BODY), len(BODY))

    assert _zoo("path", ID) == 0
    assert _zoo("verify", ID) == 0
    assert "as published" in capsys.readouterr().out
    target.write_bytes(b"damaged")
    assert _zoo("verify", ID) == 2
    assert "DAMAGED" in capsys.readouterr().out


def test_one_failure_does_not_keep_the_others(
    server: Server, published: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _zoo("download", "coco_res101_384x288", ID, "--progress", "none") == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert ID in captured.out


def test_unknown_models_are_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert _zoo("download", "nothing_of_the_kind") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_downloading_needs_neither_torch_nor_numpy(tmp_path: Path) -> None:
    code = (
        "import sys, engine.models.catalog_download\n"
        "from engine.zoo import main\n"
        "main(['verify'])\n"
        "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_a_killed_process_fetched_is_gone_on_with(
    server: Server, published: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(os.environ["POSEAPP_MODELS"])
    server.script = [stall(0.5)]
    code = (
        "import sys; from pathlib import Path; from engine.models.download import *;"
        f"fetch(Download('m', 'http://host.invalid/{published}', {DIGEST!r}, Path({str(folder / published)!r})),"
        "report=lambda done, total: print(done, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < len(BODY) // 2:
            pass
        process.kill()
    server.asked.clear()
    assert _zoo("download", ID, "--progress", "none") == 0
    assert _ranges(server) == [f"bytes={len(BODY) // 2}-"]
    assert [path.name for path in folder.iterdir()] == [published]


def test_an_encrypted_connection_never_becomes_an_open_one() -> None:
    request = urllib.request.Request("https://host.example/m.pth")
    with pytest.raises(Hopeless, match="unencrypted"):
        SafeRedirects().redirect_request(request, io.BytesIO(), 302, "Found", {}, "http://host.example/m.pth")
