"""Reading the JSON, YAML and XML of label files: sizes are bounded, and whatever is wrong is a :class:`LabelError`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import msgspec

from engine.errors import CocoError, LabelError, PoseError
from engine.formats.coco.document import may_hold_lone_surrogates, read_json_bytes
from engine.utils.files import MAX_TEXT_BYTES, open_regular, read_text

HEAD_BYTES = 64 << 10

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
