"""HTTP details of resumable downloads: failures, redirects, headers."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import IO, Any

# What urllib raises while it connects or reads.
NETWORK_ERRORS = (OSError, http.client.HTTPException)


class Broken(Exception):
    """This attempt failed; a retry may succeed. ``wait`` is the delay in seconds that the server asked for."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class Hopeless(Exception):
    """Retrying this address is pointless."""


class SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from an encrypted to an unencrypted connection."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        if req.type == "https" and urllib.parse.urlsplit(newurl).scheme != "https":
            raise Hopeless(f"{req.host} leads to an unencrypted address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def network_failure(error: Exception, url: str, stall_seconds: float, *, reached: bool) -> Exception:
    """The exception to raise for one of urllib's.

    Args:
        reached: the host has answered before, so its name is known to exist.
    """
    host = urllib.parse.urlsplit(url).netloc
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return Hopeless(f"the certificate of {host} is not trusted ({cause.verify_message})")
    if isinstance(cause, FileNotFoundError):
        return Hopeless(f"there is no {url}")
    if isinstance(cause, socket.gaierror) and not reached:
        return Hopeless(f"the address of {host} cannot be found; this computer is perhaps offline")
    if isinstance(cause, TimeoutError):
        return stalled(url, stall_seconds)
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return Broken(f"no connection to {host} ({str(text).splitlines()[0]})")


def stalled(url: str, stall_seconds: float) -> Broken:
    """The failure for a connection that sent nothing, or next to nothing."""
    return Broken(f"{urllib.parse.urlsplit(url).netloc} sent nothing for {stall_seconds:g} s")


def after_slash(content_range: str) -> int | None:
    """Size of the whole file in a Content-Range, None if it does not say."""
    total = content_range.rpartition("/")[2].strip()
    return int(total) if total.isdigit() else None


def range_start(content_range: str) -> int | None:
    """First byte of the part in a Content-Range."""
    start = content_range.removeprefix("bytes").strip().partition("-")[0]
    return int(start) if start.isdigit() else None


def version_of(headers: Message) -> str:
    """The value for If-Range that identifies this version of the file; weak tags are not allowed there."""
    tag = headers.get("ETag", "")
    return tag if tag.startswith('"') else headers.get("Last-Modified", "") if not tag else ""


def seconds(text: str) -> float:
    """Seconds of a Retry-After header; 0 for dates."""
    return float(text) if text.isdigit() else 0.0
