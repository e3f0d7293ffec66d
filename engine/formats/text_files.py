"""Reading the JSON, YAML and XML of label files: sizes are bounded, and whatever is wrong is a :class:`LabelError`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, ParseError

import msgspec

from engine.errors import CocoError, LabelError, PoseError
from engine.formats.coco.document import may_hold_lone_surrogates, read_json_bytes
from engine.utils.files import MAX_LABEL_BYTES, MAX_TEXT_BYTES, open_regular, read_text

HEAD_BYTES = 64 << 10

_STREAMED_FROM = 64 << 20  # bytes
_WINDOW = 16 << 20
_MAX_SEAMS, _MAX_CUTS = 4, 4  # tried where a window is cut between two entries
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_MAX_YAML_DEPTH = 100
_TOO_DEEP = "is nested too deeply to be read"


def head_of(path: Path, size: int = HEAD_BYTES) -> bytes:
    """The first bytes of a regular file, for :meth:`LabelFormat.sniff`; b"" if it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read(size)
    except (OSError, PoseError):
        return b""


def read_json(path: Path) -> Any:
    """The content of a JSON file; byte order marks, UTF-16, NaN and Infinity are accepted.

    Raises:
        LabelError: it cannot be read, is too large or too deep, or is not JSON.
    """
    try:
        return parse_json(read_json_bytes(path), path)
    except CocoError as error:
        raise LabelError(error.message, where=error.where) from None


def parse_json(data: bytes, where: Path | str) -> Any:
    """The content of JSON text, NaN and Infinity accepted.

    Raises:
        LabelError: it is not JSON, or is too deep.
    """
    try:
        return msgspec.json.decode(data)
    except RecursionError:
        raise LabelError(_TOO_DEEP, where=where) from None
    except (msgspec.DecodeError, UnicodeDecodeError):  # NaN, control characters, lone surrogates
        try:
            content = json.loads(data, strict=False)
            return _without_surrogates(content) if may_hold_lone_surrogates(data) else content
        except RecursionError:
            raise LabelError(_TOO_DEEP, where=where) from None
        except UnicodeDecodeError:
            raise LabelError("is not UTF-8 text; save it as UTF-8", where=where) from None
        except ValueError as error:
            raise LabelError(f"is not valid JSON: {str(error)[:200]}", where=where) from None


def iterate_json_list(path: Path) -> Iterator[Any]:
    """The entries of a JSON file that is a list, one by one; the content of any other file is one entry. Of a large
    file only some megabytes are in memory at a time, if its entries are objects.

    Raises:
        LabelError: as :func:`read_json`, also after some entries.
    """
    try:
        if path.stat().st_size >= _STREAMED_FROM and head_of(path, 1) == b"[":
            with open_regular(path, MAX_LABEL_BYTES) as file:
                yield from _entries_in_windows(file, path)
            return
        entries = _RAW_LIST.decode(read_json_bytes(path))
    except CocoError as error:
        raise LabelError(error.message, where=error.where) from None
    except OSError as error:
        raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None
    except _DECODE_ERRORS:
        content = read_json(path)
        yield from content if isinstance(content, list) else [content]
        return
    yield from (parse_json(bytes(entry), path) for entry in entries)


def _entries_in_windows(file: BinaryIO, path: Path) -> Iterator[Any]:
    """The entries of a list, of a window of the file after another; what cannot be cut is read at once."""
    file.seek(1)
    window = file.read(_WINDOW)
    seams = _seams(window)
    while more := file.read(_WINDOW):
        entries, length = _whole_entries(window, seams)
        yield from (parse_json(bytes(entry), path) for entry in entries)
        window = window[length:] + more
    try:
        entries = _RAW_LIST.decode(b"[" + window)
    except _DECODE_ERRORS:  # NaN, or what is wrong with it
        yield from parse_json(b"[" + window, path)
        return
    yield from (parse_json(bytes(entry), path) for entry in entries)


def _seams(window: bytes) -> list[tuple[bytes, int]]:
    """What stands between entries, judged by the first: the closing brackets of one, the comma, and the next up to its
    first colon; with the length up to the comma. The longest first."""
    text = window[: _WINDOW // 8].decode("utf-8", "replace")
    decoder, seams = json.JSONDecoder(), set()
    start, end, closing = 0, 0, ""
    try:
        while True:
            start = _next_character(text, end)
            if end and text[start] == ",":
                start = _next_character(text, start + 1)
                colon = text.find(":", start, start + 64)
                between = text[end : max(start, colon)]
                seams.add(((closing + between).encode(), len((closing + between[: between.index(",")]).encode())))
            _, end = decoder.raw_decode(text, start)
            closing = text[start + len(text[start:end].rstrip("]} \t\r\n")) : end]
    except (ValueError, IndexError, RecursionError):
        return sorted(seams, key=lambda seam: len(seam[0]), reverse=True)[:_MAX_SEAMS]


def _next_character(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _whole_entries(window: bytes, seams: Sequence[tuple[bytes, int]]) -> tuple[list[msgspec.Raw], int]:
    """The whole entries at the beginning of a window, and the length of their text with the comma behind them."""
    for seam, to_comma in seams:
        at = len(window)
        for _ in range(_MAX_CUTS):
            at = window.rfind(seam, 0, max(0, at + len(seam) - 1))
            if at < 0:
                break
            try:
                return _RAW_LIST.decode(b"[" + window[: at + to_comma] + b"]"), at + to_comma + 1
            except _DECODE_ERRORS:
                continue
    return [], 0


def _without_surrogates(value: Any) -> Any:
    """The same with question marks for halves of surrogate pairs, which no file name and no text file can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_without_surrogates(entry) for entry in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(entry) for key, entry in value.items()}
    return value


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of at most 16 MB, as plain data.

    Raises:
        LabelError: it cannot be read, or is not YAML of plain values.
    """
    import yaml

    try:
        text = read_text(path, MAX_TEXT_BYTES)
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_YAML_DEPTH:
                raise LabelError(_TOO_DEEP, where=path)
        return yaml.load(text, Loader=yaml.CSafeLoader)
    except UnicodeDecodeError:
        raise LabelError("is not UTF-8 text; save it as UTF-8", where=path) from None
    except OSError as error:
        raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise LabelError(f"is not valid YAML: {error.problem or 'cannot be parsed'}{line}", where=path) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error)[:200].split())
        raise LabelError(f"is not valid YAML: {reason}", where=path) from None


def iterate_xml(path: Path, tags: frozenset[str], *, limit: int) -> Iterator[Element]:
    """The children of the root of an XML file with one of these tags, each when it is complete; each is cleared
    afterwards, so that a file of any number of them fits. Document type definitions and entities are refused.

    Args:
        limit: bytes that the file may have.

    Raises:
        LabelError: it cannot be read, or is not XML.
    """
    for element, _ in iterate_nested_xml(path, tags, {}, limit=limit):
        yield element


def iterate_nested_xml(
    path: Path, tags: frozenset[str], nested: Mapping[str, frozenset[str]], *, limit: int
) -> Iterator[tuple[Element, Element | None]]:
    """As :func:`iterate_xml`, for elements that are themselves too long to be held.

    Args:
        nested: tags of children of an element, by the tag of the element. These come one by one with the element, of
            which only the attributes are to be used then; the element itself comes last, without them.
    """
    from xml.etree import ElementTree

    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import iterparse

    try:
        with open_regular(path, limit) as file:
            for _ in iterparse(file, events=("start",), forbid_dtd=True):
                break  # a document type definition can only be in front of the first element
            file.seek(0)
            root: Element | None = None
            parent: Element | None = None
            inner: frozenset[str] = frozenset()
            depth = 0
            for event, element in ElementTree.iterparse(file, events=("start", "end")):  # three times as fast
                if event == "start":
                    root = element if root is None else root
                    depth += 1
                    if depth == 2:
                        parent, inner = element, nested.get(element.tag, frozenset())
                    if depth > _MAX_YAML_DEPTH:
                        raise LabelError(_TOO_DEEP, where=path)
                    continue
                depth -= 1
                if depth == 2 and element.tag in inner and parent is not None:
                    yield element, parent
                    parent.remove(element)
                elif depth == 1 and root is not None:
                    if element.tag in tags:
                        yield element, None
                    root.remove(element)
    except OSError as error:
        raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None
    except (ParseError, ValueError, LookupError) as error:  # LookupError: an unknown encoding
        if isinstance(error, DefusedXmlException):
            raise LabelError("has a document type definition or entities, which are not read", where=path) from None
        raise LabelError(f"is not valid XML: {str(error)[:200]}", where=path) from None
