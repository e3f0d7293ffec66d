"""A COCO file as text: its top-level keys and the records below them, each still as the JSON it was written as.

Nothing is interpreted here, so nothing is lost: a record that nobody changes is written back byte for byte.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import CocoError
from engine.formats.coco.dialects import kind_of_list, kind_of_object
from engine.utils.files import MAX_LABEL_BYTES, kept_mode, read_bytes, replacing

SECTIONS = ("images", "annotations", "categories")

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}
_NULL = b"null"
_BLOCK = 4096
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_MAYBE_LONE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F]"
)
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_TOO_DEEP = "is nested too deeply to be read"
_PROJECT = b"SQLite format 3\0"  # how a .pose file begins


@dataclass
class Document:
    """The parts of a COCO file.

    Attributes:
        keys: top-level keys in the order of the file.
        header: values of every key that is not a list of records.
        images, annotations, categories: the records.
        problems: what is odd about the text, as sentences.
    """

    keys: list[str] = field(default_factory=lambda: list(SECTIONS))
    header: dict[str, msgspec.Raw] = field(default_factory=dict)
    images: list[msgspec.Raw] = field(default_factory=list)
    annotations: list[msgspec.Raw] = field(default_factory=list)
    categories: list[msgspec.Raw] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def count(self, section: str) -> int:
        """How many records a section has."""
        return len(self._section(section))

    def blocks(self, section: str) -> Iterator[list[msgspec.Raw]]:
        """The records of a section, some thousands at a time."""
        records = self._section(section)
        for start in range(0, len(records), _BLOCK):
            yield records[start : start + _BLOCK]

    def _section(self, section: str) -> list[msgspec.Raw]:
        return {"images": self.images, "annotations": self.annotations, "categories": self.categories}[section]


def read_document(path: Path | str) -> Document:
    """Split a COCO file into records.

    A byte order mark, ``NaN`` and ``Infinity`` are taken; ``info``, ``licenses``, ``categories`` and ``annotations``
    may be missing or null.

    Raises:
        CocoError: the file cannot be read, is no JSON, or is no COCO data set.
    """
    path = Path(path)
    data = read_json_bytes(path)
    top = _split(data, path)
    if isinstance(top, list):
        raise CocoError(kind_of_list(top), where=path)
    if "images" not in top:
        raise CocoError(kind_of_object(top), where=path)
    document = Document(keys=list(top))
    for key, value in top.items():
        if key not in SECTIONS or bytes(value).strip() == _NULL:
            document.header[key] = value
            continue
        setattr(document, key, _records(value, f"{path}: {key}"))
    if _has_lone_surrogates(data):
        document.problems.append(
            "Text that is not valid Unicode (half of a surrogate pair): shown with question marks, exported as it came"
        )
    return document


def read_json_bytes(path: Path | str) -> bytes:
    """The bytes of a JSON file as UTF-8 without a byte order mark.

    Raises:
        CocoError: it cannot be read or decoded, or is empty.
    """
    try:
        data = read_bytes(path, MAX_LABEL_BYTES)
    except OSError as error:
        raise CocoError(f"cannot be read ({error.strerror or error})", where=path) from None
    except MemoryError:
        raise CocoError("is too large for the memory of this computer", where=path) from None
    if data.startswith(_PROJECT):
        raise CocoError("is a project; export it as COCO and give that file", where=path)
    encoding = next((name for bom, name in _BOMS.items() if data.startswith(bom)), "")
    if encoding:
        try:
            data = data.decode(encoding).encode("utf-8")
        except UnicodeError:
            raise CocoError(f"is not {encoding} text; save it as UTF-8", where=path) from None
    if not data.strip():
        raise CocoError("is empty", where=path)
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise CocoError(f"is not UTF-8 text (line {line}); save it as UTF-8", where=path) from None
    return data


def split_list(data: bytes, where: object) -> list[msgspec.Raw]:
    """The elements of a JSON list, or of the ``annotations`` of an object.

    Raises:
        CocoError: neither.
    """
    top = _split(data, where)
    if isinstance(top, list):
        return top
    if "annotations" in top:
        return _records(top["annotations"], where)
    raise CocoError(kind_of_object(top, "is not a list of COCO results"), where=where)


def load_record(raw: bytes, where: object) -> dict[str, Any]:
    """A record as plain data, ``NaN`` and control characters taken.

    Raises:
        CocoError: it is not a JSON object.
    """
    try:
        data = json.loads(bytes(raw), strict=False)
    except UnicodeDecodeError:
        raise CocoError("is not UTF-8 text; save the file as UTF-8", where=where) from None
    except RecursionError:
        raise CocoError(_TOO_DEEP, where=where) from None
    except ValueError as error:
        raise CocoError(f"is not valid JSON: {error}", where=where) from None
    if not isinstance(data, dict):
        raise CocoError(f"is not an object but {_kind(data)}", where=where)
    return data


def dump_value(value: Any) -> bytes:
    """JSON text of plain data, always valid UTF-8; ``NaN`` stays ``NaN``, and half of a surrogate pair an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:  # only strings can hold these, and in a string an escape means the same
        return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", text).encode("utf-8")


def encode_json(value: Any) -> bytes:
    """JSON text of plain data that is always valid UTF-8.

    A file name that is not UTF-8 reaches Python with its other bytes as lone surrogates (``os.fsdecode``). Text with
    such characters is written as ASCII, the characters as the escapes ``\\udc80`` to ``\\udcff``: any JSON reader takes
    them, and in Python ``json.loads`` gives the same name, which opens the file.
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def patch_record(raw: bytes, changes: dict[str, Any], remove: Iterable[str] = ()) -> bytes:
    """A record with some keys set and others taken out; everything else, and the order of keys, stays as written."""
    gone = set(remove)
    try:
        fields: dict[str, Any] = dict(_OBJECT.decode(raw))
        fields = {key: value for key, value in fields.items() if key not in gone}
        return msgspec.json.encode({**fields, **changes})
    except (*_DECODE_ERRORS, UnicodeEncodeError):  # the record, or a change, holds what only patient code can write
        plain = {k: v for k, v in load_record(raw, "record").items() if k not in gone}
        return dump_value({**plain, **changes})


def write_atomic(path: Path | str, parts: Iterable[bytes]) -> None:
    """Write a file under a temporary name beside it, force it to the disk, then put it in place.

    Raises:
        CocoError: it cannot be written; a file that was there is untouched.
    """
    path = Path(path)
    try:
        with replacing(path, mode=kept_mode(path)) as temporary, open(temporary, "wb", buffering=1 << 20) as file:
            file.writelines(parts)
    except OSError as error:
        raise CocoError(f"cannot be written ({error.strerror or error})", where=path) from None


def _split(data: bytes, where: object) -> dict[str, msgspec.Raw] | list[msgspec.Raw]:
    try:
        if data.lstrip()[:1] == b"[":
            return _LIST.decode(data)
        return _OBJECT.decode(data)
    except _DECODE_ERRORS:
        plain = _load_text(data, where)
    try:
        if isinstance(plain, list):
            return [msgspec.Raw(dump_value(item)) for item in plain]
        if isinstance(plain, dict):
            return {str(key): msgspec.Raw(dump_value(value)) for key, value in plain.items()}
    except RecursionError:
        raise CocoError(_TOO_DEEP, where=where) from None
    raise CocoError(f"is not a COCO file but {_kind(plain)}", where=where)


def _load_text(data: bytes, where: object) -> Any:
    try:
        return json.loads(data.decode("utf-8"), strict=False)
    except UnicodeDecodeError:
        raise CocoError("is not UTF-8 text; save it as UTF-8", where=where) from None
    except json.JSONDecodeError as error:
        position = f"line {error.lineno}, column {error.colno}"
        cut = " (is the file cut off?)" if error.pos >= len(error.doc.rstrip()) - 1 else ""
        raise CocoError(f"is not valid JSON: {error.msg} at {position}{cut}", where=where) from None
    except RecursionError:
        raise CocoError(_TOO_DEEP, where=where) from None
    except ValueError as error:
        raise CocoError(f"is not valid JSON: {error}", where=where) from None


def _records(value: msgspec.Raw, where: object) -> list[msgspec.Raw]:
    try:
        return _LIST.decode(value)
    except _DECODE_ERRORS:
        pass
    plain = _load_text(bytes(value), where)
    if isinstance(plain, list):
        try:
            return [msgspec.Raw(dump_value(item)) for item in plain]
        except RecursionError:
            raise CocoError(_TOO_DEEP, where=where) from None
    raise CocoError(f"is not a list but {_kind(plain)}", where=where)


def may_hold_lone_surrogates(data: bytes) -> bool:
    """Whether JSON text may hold half of a surrogate pair; quick, and sure only of no."""
    return b"\\u" in data and _MAYBE_LONE.search(data) is not None  # the first is a hundred times as fast


def _has_lone_surrogates(data: bytes) -> bool:
    if not may_hold_lone_surrogates(data):
        return False
    try:  # the pattern is also met by an escaped backslash
        json.dumps(json.loads(data, strict=False), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        pass
    return False


def _kind(value: Any) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
