"""Large COCO files, read block by block: no more than some megabytes of the file are in memory at a time.

The file is read twice. The first pass finds where each section begins and ends, and cuts it into blocks of whole
records; every block is checked to be a valid JSON list, so that a damaged file is refused before any of its records is
used. Later passes read the blocks. A file that is unusual in any way (NaN, UTF-16, half of a surrogate pair, a section
that is no list) is not streamed, but read whole by :func:`engine.formats.coco.document.read_document`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from engine.errors import CocoError
from engine.formats.coco.document import SECTIONS, Document, may_hold_lone_surrogates, read_document
from engine.utils.context import Context
from engine.utils.files import open_regular

STREAMED_FROM = 64 << 20
"""Bytes from which a file is streamed; smaller ones are read whole."""

_WINDOW = 16 << 20
_HEADER_WINDOW = 1 << 20  # a value that is no list of records and longer than that is not streamed
_MAX_CUTS = 32  # places tried where a window may be cut between two records

_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_VALUE = msgspec.json.Decoder(msgspec.Raw)
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SECTION_END = re.compile(rb"\}[ \t\r\n]*(\])[ \t\r\n]*[,}]")
_SPACE = b" \t\r\n"


class _NotStreamable(Exception):
    """The file is to be read whole."""


@dataclass
class StreamedDocument:
    """A COCO file that stays on the disk; has what readers use of :class:`Document`.

    Attributes:
        keys, header, problems: as in :class:`Document`.
    """

    path: Path
    stamp: tuple[int, int]
    keys: list[str] = field(default_factory=list)
    header: dict[str, msgspec.Raw] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    spans: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)

    def count(self, section: str) -> int:
        """How many records a section has."""
        return sum(count for _, _, count in self.spans.get(section, ()))

    def blocks(self, section: str) -> Iterator[list[msgspec.Raw]]:
        """The records of a section, some thousands at a time.

        Raises:
            CocoError: the file cannot be read any more, or was changed since it was opened.
        """
        try:
            with open_regular(self.path) as file:
                if _stamp(file) != self.stamp:
                    raise CocoError("was changed while it was read", where=self.path)
                for start, end, _ in self.spans.get(section, ()):
                    file.seek(start)
                    yield _LIST.decode(b"[" + file.read(end - start) + b"]")
        except OSError as error:
            raise CocoError(f"cannot be read ({error.strerror or error})", where=self.path) from None
        except _DECODE_ERRORS:
            raise CocoError("was changed while it was read", where=self.path) from None


def open_document(
    path: Path | str, context: Context | None = None, *, streamed_from: int = STREAMED_FROM
) -> Document | StreamedDocument:
    """The records of a COCO file: in memory if it is small or unusual, else on the disk.

    Raises:
        CocoError: as :func:`read_document`. Cancelled.
    """
    path = Path(path)
    try:
        if path.stat().st_size >= streamed_from:
            with open_regular(path) as file:
                return _Scan(path, file, context or Context()).run()
    except (OSError, _NotStreamable):
        pass  # reading it whole says what is wrong with it
    return read_document(path)


def _stamp(file: BinaryIO) -> tuple[int, int]:
    state = os.fstat(file.fileno())
    return state.st_size, state.st_mtime_ns


class _Scan:
    """The first pass over a file. ``_at`` is the place in it that is looked at."""

    def __init__(self, path: Path, file: BinaryIO, context: Context) -> None:
        self._file, self._context = file, context
        self._document = StreamedDocument(path, _stamp(file))
        self._size = self._document.stamp[0]
        self._at = 0

    def run(self) -> StreamedDocument:
        document = self._document
        self._expect(b"{")
        while True:
            key = self._key()
            if key in document.keys:
                raise _NotStreamable
            document.keys.append(key)
            self._expect(b":")
            if key in SECTIONS and self._peek() == b"[":
                document.spans[key] = list(self._section())
            else:
                document.header[key] = self._value()
                if key in SECTIONS and bytes(document.header[key]) != b"null":
                    raise _NotStreamable
            if self._take() == b"}":
                break
        if "images" not in document.keys or self._peek() != b"":
            raise _NotStreamable
        return document

    def _read(self, length: int) -> bytes:
        self._file.seek(self._at)
        return self._file.read(length)

    def _peek(self) -> bytes:
        """The next character that is no white space, and ``_at`` at it; b"" at the end."""
        while True:
            window = self._read(4096)
            rest = window.lstrip(_SPACE)
            self._at += len(window) - len(rest)
            if rest or not window:
                return rest[:1]

    def _take(self) -> bytes:
        character = self._peek()
        self._at += 1
        return character

    def _expect(self, character: bytes) -> None:
        if self._take() != character:
            raise _NotStreamable

    def _key(self) -> str:
        if self._peek() != b'"':
            raise _NotStreamable
        key = json.loads(bytes(self._value()))
        return str(key)

    def _value(self) -> msgspec.Raw:
        """A value that is no list of records, by its end as Python's decoder finds it."""
        self._peek()
        text = self._read(_HEADER_WINDOW).decode("utf-8", "surrogateescape")
        try:
            _, end = json.JSONDecoder().raw_decode(text)
            raw = text[:end].encode("utf-8", "surrogateescape")
            self._check(raw)
            value = _VALUE.decode(raw)
        except (ValueError, *_DECODE_ERRORS):
            raise _NotStreamable from None
        self._at += len(raw)
        return value

    def _section(self) -> Iterator[tuple[int, int, int]]:
        """Start, end and number of records of each block; ends behind the list."""
        self._expect(b"[")
        if self._peek() == b"]":
            self._at += 1
            return
        while True:
            self._context.progress(self._at, self._size)
            window = self._read(_WINDOW)
            self._check(window, is_cut=True)
            start = self._at
            length, count = self._last_block(window)
            if length:
                yield start, start + length, count
                self._at = start + length
                self._expect(b"]")
                return
            length, count = self._block(window)
            yield start, start + length, count
            self._at = start + length
            self._expect(b",")
            self._peek()

    def _last_block(self, window: bytes) -> tuple[int, int]:
        """Length and number of records up to the end of the list, if that is in the window; else 0, 0."""
        for tried, match in enumerate(_SECTION_END.finditer(window)):
            if tried == _MAX_CUTS:
                break
            count = _count(window[: match.start(1)])
            if count is not None:
                return match.start(1), count
        return 0, 0

    def _block(self, window: bytes) -> tuple[int, int]:
        """Length and number of the whole records at the beginning of a window."""
        end = len(window)
        for _ in range(_MAX_CUTS):
            end = window.rfind(b"}", 0, end)
            if end < 0:
                break
            if (
                window[end + 1 : end + 65].lstrip(_SPACE)[:1] == b","
                and (count := _count(window[: end + 1])) is not None
            ):
                return end + 1, count
        raise _NotStreamable

    def _check(self, text: bytes, *, is_cut: bool = False) -> None:
        """Raises: _NotStreamable, for text that is not valid UTF-8, or holds half of a surrogate pair."""
        if may_hold_lone_surrogates(text):
            raise _NotStreamable
        if text.isascii():
            return
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            if not is_cut or error.start < len(text) - 3:  # the window may end within a character
                raise _NotStreamable from None


def _count(records: bytes) -> int | None:
    """How many records these are; None if they are no list of whole records."""
    try:
        return len(_LIST.decode(b"[" + records + b"]"))
    except _DECODE_ERRORS:
        return None
