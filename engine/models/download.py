"""Downloads of published weights: resumable, verified, moved into place in one step. Standard library only.

Data goes into a hidden ``.NAME.part`` next to the target, so that a later call can resume. It is renamed to the target
only after its SHA-256 matches the published digits. A download holds a lock; other processes that need the same file
wait for it.

No server can fill the disk: a transfer ends at the announced size. Without one it ends at ``MAX_BYTES``, or when less
than ``RESERVE_BYTES`` are free; the partial file is then removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import Any

from engine import __version__
from engine.errors import Cancelled, ModelError
from engine.models.http_ranges import (
    NETWORK_ERRORS,
    Broken,
    Hopeless,
    SafeRedirects,
    after_slash,
    network_failure,
    range_start,
    seconds,
    stalled,
    version_of,
)
from engine.utils.file_lock import locked

__all__ = ["MIRROR_VARIABLE", "Download", "Patience", "addresses", "fetch", "has_digest"]

MIRROR_VARIABLE = "POSEAPP_MODEL_MIRROR"
CHUNK_BYTES = 256 * 1024
MAX_BYTES = 8 * 1024**3  # the largest published weights have about 3 GB; more is not a file of weights
RESERVE_BYTES = 512 * 1024**2  # stays free on the disk while a file of unknown size arrives
ROOM_CHECK_BYTES = 16 * 1024**2  # between two looks at the free space
STALL_BYTES = 1024  # fewer in one stall time count as none: a connection that drips is as bad as a dead one
TRY_AGAIN = frozenset((408, 425, 429, 500, 502, 503, 504))
LONGEST_WAIT_SECONDS = 60.0
# Part of the partial file's name where no digest is known; such a file is never resumed by a later call.
NO_DIGEST = "unknown"

Report = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    Attributes:
        id: of the model, for messages.
        url: where it was published; see :func:`addresses` for mirrors.
        digest: first hexadecimal digits of its SHA-256, "" if unknown.
        target: where to save it; the folder is created.
    """

    id: str
    url: str
    digest: str
    target: Path


@dataclass(frozen=True)
class Patience:
    """Timeouts and retries.

    Attributes:
        stall_seconds: without data (also while connecting) after which a connection is dropped.
        retries: attempts after consecutive failures; an attempt that received data resets the count.
        backoff_seconds: wait before the first retry, doubled for each further one.
    """

    stall_seconds: float = 30.0
    retries: int = 4
    backoff_seconds: float = 1.0


def fetch(
    item: Download,
    *,
    report: Report = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    notice: Callable[[str], None] = lambda text: None,
    patience: Patience | None = None,
    mirror: str | None = None,
) -> Path:
    """Download a file unless it is there already, and return its path.

    Args:
        report: called often with bytes done and bytes in all (None if the server does not say); ``done`` may decrease
            when the transfer starts again.
        stop: called about ten times a second and for every chunk; True ends the transfer and keeps the partial file.
        notice: called with a line about each failure that is retried.
        patience: timeouts and retries; the default suits interactive use.
        mirror: base address instead of ``$POSEAPP_MODEL_MIRROR``; "" for none.

    Raises:
        ModelError: the download failed (the message says how to get the file manually), the file is not the published
            one, or it cannot be written.
        Cancelled: ``stop`` returned True.
    """
    if item.target.is_file() and has_digest(item.target, item.digest):
        return item.target
    try:
        item.target.parent.mkdir(parents=True, exist_ok=True)
        with locked(item.target.with_name(f".{item.target.name}.lock"), waiting=lambda: _ask(stop)):
            # The process that held the lock before may have downloaded it.
            if not (item.target.is_file() and has_digest(item.target, item.digest)):
                _Transfer(item, report, stop, notice, patience or Patience()).run(addresses(item.url, mirror))
    except OSError as error:  # of the network: caught where it is used
        raise _not_written(item, error) from None
    return item.target


def addresses(url: str, mirror: str | None = None) -> list[str]:
    """The addresses to try for a file, in order.

    With a mirror (``mirror``, or the environment variable if that is None) the published address is not used: first the
    mirror followed by the published path, then the mirror followed by the file name alone.

    Raises:
        ModelError: the mirror is not an http, https or file address.
    """
    base = os.environ.get(MIRROR_VARIABLE, "") if mirror is None else mirror
    if not base:
        return [url]
    if urllib.parse.urlsplit(base).scheme not in ("http", "https", "file"):
        raise ModelError(f"{MIRROR_VARIABLE} must begin with https://, http:// or file://, not {base[:80]!r}")
    path = urllib.parse.urlsplit(url).path
    return list(dict.fromkeys((base.rstrip("/") + path, f"{base.rstrip('/')}/{path.rsplit('/', 1)[-1]}")))


def has_digest(path: Path, digest: str) -> bool:
    """Whether the file's SHA-256 begins with these digits; any file has the digest "".

    Raises:
        OSError: it cannot be read.
    """
    if not digest:
        return True
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(digest.lower())


def _ask(stop: Callable[[], bool]) -> None:
    if stop():
        raise Cancelled("the download was stopped; what came is kept and used next time")


def _manual_download(item: Download, reason: str) -> ModelError:
    check = f" (its SHA-256 begins with {item.digest})" if item.digest else ""
    return ModelError(
        f"the weights of {item.id} could not be fetched: {reason}. By hand: get {item.url} and save it as "
        f"{item.target}{check}; or set {MIRROR_VARIABLE} to the address of a copy"
    )


def _not_written(item: Download, error: OSError) -> ModelError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _no_room(item, "")
    return ModelError(f"the weights of {item.id} cannot be written ({error.strerror or error})", where=item.target)


def _no_room(item: Download, need: str) -> ModelError:
    return ModelError(
        f"there is no room for the weights of {item.id}{need}; free some, or set POSEAPP_MODELS to a folder on another "
        "disk (what came is kept and used next time)",
        where=item.target.parent,
    )


@dataclass
class _Transfer:
    """The transfer of one file. ``total`` and ``version`` are what the server has said in this run."""

    item: Download
    report: Report
    stop: Callable[[], bool]
    notice: Callable[[str], None]
    patience: Patience
    total: int | None = None
    version: str = ""
    reached: bool = False  # the server has answered
    part: Path = field(init=False)

    def __post_init__(self) -> None:
        name = f".{self.item.target.name}.{self.item.digest or NO_DIGEST}.part"
        self.part = self.item.target.with_name(name)

    def run(self, urls: list[str]) -> None:
        if not self.item.digest:
            self.part.unlink(missing_ok=True)  # without a digest a wrong combination would go unnoticed
        for may_restart in (True, False):
            is_resumed = self.part.exists()
            self._fetch_from(urls)
            if self._is_whole():
                os.replace(self.part, self.item.target)
                _sync_folder(self.item.target.parent)
                return
            reason = self._mismatch()
            self.part.unlink(missing_ok=True)
            # A resumed file may combine two versions: start again once. Otherwise the result would be the same.
            if not (is_resumed and may_restart):
                raise _manual_download(self.item, reason)

    def _is_whole(self) -> bool:
        if not self.item.digest:
            return not self._is_page()
        return has_digest(self.part, self.item.digest)

    def _is_page(self) -> bool:
        with self.part.open("rb") as file:
            return file.read(64).lstrip()[:1] in (b"<", b"")

    def _mismatch(self) -> str:
        if self._is_page():
            return "a web page came in place of the file (a login of the network, perhaps)"
        return f"what came is not the published file (its SHA-256 does not begin with {self.item.digest})"

    def _fetch_from(self, urls: list[str]) -> None:
        reasons = []
        for url in urls:
            try:
                self._persist(url)
                return
            except Hopeless as failure:
                reasons.append(str(failure))
        raise _manual_download(self.item, "; ".join(dict.fromkeys(reasons)))

    def _persist(self, url: str) -> None:
        """Try one address, with retries, until the file is complete."""
        failures = 0
        while True:
            _ask(self.stop)
            before = self._done()
            try:
                self._attempt(url)
                return
            except Broken as broken:
                failures = 0 if self._done() >= before + STALL_BYTES else failures + 1
                if failures > self.patience.retries:
                    raise Hopeless(str(broken)) from None
                wait = self.patience.backoff_seconds * 2 ** max(failures - 1, 0)
                wait = min(max(wait, broken.wait), LONGEST_WAIT_SECONDS)
                self.notice(f"{broken}; trying again in {wait:.0f} s")
                self._wait(wait)

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            _ask(self.stop)
            time.sleep(min(left, 0.1))

    def _done(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _attempt(self, url: str) -> None:
        start = self._done()
        request = urllib.request.Request(url, headers=self._headers(start))
        try:
            response = urllib.request.build_opener(SafeRedirects).open(request, timeout=self.patience.stall_seconds)
        except urllib.error.HTTPError as error:
            self.reached = True
            with error:
                self._answer_without_data(error, start)
            return
        except NETWORK_ERRORS as error:
            raise network_failure(error, url, self.patience.stall_seconds, reached=self.reached) from None
        self.reached = True
        with response:
            self._take(response, start, url)

    def _headers(self, start: int) -> dict[str, str]:
        headers = {"User-Agent": f"poseapp/{__version__}", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if self.version:
                headers["If-Range"] = self.version
        return headers

    def _answer_without_data(self, error: urllib.error.HTTPError, start: int) -> None:
        if error.code == 416 and start:  # nothing left to send: complete, or longer than the server's file
            total = after_slash(error.headers.get("Content-Range", ""))
            if total == start:
                return
            self.part.unlink()
            raise Broken("the server's file is shorter than what came before")
        host = urllib.parse.urlsplit(error.url).netloc
        text = str(error.reason or "").partition("\n")[0]  # urllib describes redirect loops in several lines
        reason = f"{host or error.url} answers {error.code} {text}".rstrip()
        if error.code in TRY_AGAIN:
            raise Broken(reason, seconds(error.headers.get("Retry-After", "")))
        raise Hopeless(reason)

    def _take(self, response: Any, start: int, url: str) -> None:
        status = getattr(response, "status", None) or 200  # files have none
        headers: Message = response.headers
        if status == 206:
            if range_start(headers.get("Content-Range", "")) != start:
                self.part.unlink(missing_ok=True)
                raise Broken("the server sent another part than asked for")
            self.total = after_slash(headers.get("Content-Range", ""))
        elif status == 200:
            start = 0  # the server ignored the range
            length = headers.get("Content-Length", "")
            self.total = int(length) if length.isdigit() else None
        else:
            raise Hopeless(f"{urllib.parse.urlsplit(url).netloc} answers {status}")
        if self.total is not None and self.total > MAX_BYTES:
            self.part.unlink(missing_ok=True)
            raise Hopeless(f"the server announces {_megabytes(self.total)}; at most {_megabytes(MAX_BYTES)} are taken")
        self.version = version_of(headers)
        self._check_room(start)
        done = self._copy(response, start, url)
        if self.total is not None and done < self.total:
            raise Broken(f"the connection broke off after {done:,} of {self.total:,} bytes")

    def _check_room(self, start: int) -> None:
        if self.total is None:
            return
        free = shutil.disk_usage(self.part.parent).free + (self._done() if start == 0 else 0)
        if self.total - start > free:
            raise _no_room(self.item, f": {_megabytes(self.total - start)} are needed, {_megabytes(free)} are free")

    def _copy(self, response: Any, start: int, url: str) -> int:
        done = start
        checked = -ROOM_CHECK_BYTES  # bytes received when the free space was last checked
        window, arrived = time.monotonic(), 0
        with self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            self.report(done, self.total)
            try:
                while True:
                    _ask(self.stop)
                    try:
                        # Returns what is there: read() would wait for a whole chunk.
                        piece = (
                            response.read1(CHUNK_BYTES) if hasattr(response, "read1") else response.read(CHUNK_BYTES)
                        )
                    except NETWORK_ERRORS as error:
                        raise network_failure(error, url, self.patience.stall_seconds, reached=self.reached) from None
                    if not piece:
                        return done
                    self._check_size(done + len(piece), url)
                    if self.total is None and done - start - checked >= ROOM_CHECK_BYTES:
                        self._check_reserve()
                        checked = done - start
                    file.write(piece)
                    done += len(piece)
                    arrived += len(piece)
                    self.report(done, self.total)
                    if (now := time.monotonic()) - window > self.patience.stall_seconds:
                        if arrived < STALL_BYTES and done != self.total:
                            raise stalled(url, self.patience.stall_seconds)
                        window, arrived = now, 0
            finally:
                file.flush()
                os.fsync(file.fileno())

    def _check_size(self, size: int, url: str) -> None:
        """Raise Hopeless and remove the partial file if it would become too large."""
        limit = MAX_BYTES if self.total is None else self.total
        if size <= limit:
            return
        self.part.unlink(missing_ok=True)
        host = urllib.parse.urlsplit(url).netloc or url
        if self.total is not None:
            raise Hopeless(f"{host} sent more than the {limit:,} bytes that it announced")
        raise Hopeless(f"{host} did not stop sending; at most {_megabytes(limit)} are taken")

    def _check_reserve(self) -> None:
        free = shutil.disk_usage(self.part.parent).free
        if free >= RESERVE_BYTES:
            return
        self.part.unlink(missing_ok=True)
        raise ModelError(
            f"the download of the weights of {self.item.id} was stopped because the disk is nearly full: the server "
            f"does not say how large the file is, and {_megabytes(free)} are free ({_megabytes(RESERVE_BYTES)} stay "
            "free). Free some, or set POSEAPP_MODELS to a folder on another disk",
            where=self.item.target.parent,
        )


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
