"""Thumbnails on the disk, so that a folder seen once is listed at once the next time. No Qt.

A thumbnail is known by the file it shows: path, size and time of change; an edited picture gets a new one. The folder
is bounded, what was made longest ago goes first. Losing it loses nothing, so every fault of the disk is passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
from pathlib import Path

import cv2
import numpy as np
from platformdirs import user_cache_path

from engine.media.image_headers import read_header
from engine.utils.files import read_bytes, replacing
from poseapp.jobs.frames.cache import Pixels

log = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024 * 1024
MAX_THUMBNAIL_FILE = 4 << 20
MAX_SIDE = 4096
QUALITY = 82
_SUFFIX = ".webp"
_KEPT_SHARE = 0.8
"""How much is left after a clearing, so that not every new thumbnail clears again."""


def default_folder() -> Path:
    """In ``$POSEAPP_CACHE``, or where the system keeps what can be made anew."""
    chosen = os.environ.get("POSEAPP_CACHE")
    return (Path(chosen) if chosen else user_cache_path("poseapp", appauthor=False)) / "thumbnails"


class ThumbnailStore:
    """A folder of small WebP pictures. Used by one thread at a time; several programs may share it.

    Args:
        folder: made when the first thumbnail is kept; left out, :func:`default_folder`, also when that changes.
        max_bytes: what the folder may take; a little more for moments.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max = max_bytes
        self._bytes: int | None = None

    @property
    def folder(self) -> Path:
        return default_folder() if self._folder is None else self._folder

    def key(self, path: Path, frame: int | None = None, side: int = 0) -> str | None:
        """What a file's thumbnail is kept under; None for a file that is not there.

        Args:
            frame: number of the frame in a video.
            side: length of the longer side.
        """
        try:
            status = path.stat()
        except OSError:
            return None
        words = f"{os.path.abspath(path)}\0{status.st_mtime_ns}\0{status.st_size}\0{frame}\0{side}"
        return hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:40]

    def get(self, key: str) -> Pixels | None:
        """(h, w, 3) uint8 RGB, or None."""
        try:
            data = read_bytes(self._place(key), MAX_THUMBNAIL_FILE)
            header = read_header(io.BytesIO(data))
            if header is None or max(header.size) > MAX_SIDE:
                return None  # not what was written here: a few bytes may announce a picture of gigabytes
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        except (OSError, cv2.error, MemoryError):
            return None
        return None if pixels is None else np.asarray(pixels, dtype=np.uint8)

    def put(self, key: str, pixels: Pixels) -> None:
        """Keep a thumbnail; it appears whole or not at all. A disk that is full or locked is no fault."""
        try:
            # cv2 encodes BGR.
            good, data = cv2.imencode(
                _SUFFIX, np.ascontiguousarray(pixels[:, :, ::-1]), [cv2.IMWRITE_WEBP_QUALITY, QUALITY]
            )
            if good:
                self._write(self._place(key), data.tobytes())
        except (OSError, cv2.error) as error:
            log.debug("thumbnail not kept: %s", error)

    def num_bytes(self) -> int:
        """What the folder takes now."""
        return sum(size for _, size, _ in self._files())

    def clear(self) -> None:
        """Remove all thumbnails."""
        for _, _, path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()
        self._bytes = 0

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{_SUFFIX}"

    def _write(self, path: Path, data: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, sync=False) as temporary:
            temporary.write_bytes(data)
        if self._bytes is None:
            self._bytes = self.num_bytes()
        else:
            self._bytes += len(data)
        if self._bytes > self._max:
            self._shrink()

    def _shrink(self) -> None:
        files = sorted(self._files())
        total = sum(size for _, size, _ in files)
        for _, size, path in files:
            if total <= self._max * _KEPT_SHARE:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
        self._bytes = total

    def _files(self) -> list[tuple[int, int, Path]]:
        """Time, size and path of every thumbnail, left-over temporary files included."""
        files: list[tuple[int, int, Path]] = []
        with contextlib.suppress(OSError):
            for folder in self.folder.iterdir():
                with contextlib.suppress(OSError), os.scandir(folder) as entries:
                    for entry in entries:
                        with contextlib.suppress(OSError):
                            status = entry.stat()
                            files.append((status.st_mtime_ns, status.st_size, Path(entry.path)))
        return files
