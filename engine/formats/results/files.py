"""JSON files of results: the beginning of one, for sniffing, and the image or video that each belongs to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from engine.errors import LabelError
from engine.formats.text_files import head_of
from engine.media.image_finder import find_images, likely_folders
from engine.media.source import is_video

_MAX_FILES = 100_000
_MAX_SNIFFED = 20
_BLANK = " \t\r\n"


def first_keys(path: Path) -> tuple[bool, frozenset[str], dict[str, Any]]:
    """Whether a JSON file is a list; the keys of its first record, or of the object; and what of it was read whole."""
    text = head_of(path).decode("utf-8-sig", "replace").lstrip(_BLANK)
    is_list = text[:1] == "["
    record = text[1:].lstrip(_BLANK) if is_list else text
    if record[:1] != "{":
        return is_list, frozenset(), {}
    decoder = json.JSONDecoder(strict=False)
    values: dict[str, Any] = {}
    keys: set[str] = set()
    position = 1
    try:
        while True:
            position = _next(record, position, ",")
            if record[position : position + 1] != '"':
                break
            key, position = decoder.raw_decode(record, position)
            keys.add(key)
            position = _next(record, position, ":")
            values[key], position = decoder.raw_decode(record, position)
    except (ValueError, RecursionError):  # the first record is longer than what was read
        pass
    return is_list, frozenset(keys), values


def _next(text: str, position: int, separator: str) -> int:
    while position < len(text) and (text[position] in _BLANK or text[position] == separator):
        position += 1
    return position


def files_of(path: Path, ending: str) -> list[Path]:
    """The files of a folder, or the file itself, with this ending, sorted by name.

    Raises:
        LabelError: the folder cannot be read.
    """
    if not path.is_dir():
        return [path]
    try:
        entries = list(islice(path.iterdir(), _MAX_FILES))
    except OSError as error:
        raise LabelError(f"cannot be read ({error.strerror or error})", where=path) from None
    return sorted(file for file in entries if file.name.endswith(ending) and not file.name.startswith("."))


def folder_holds(path: Path, ending: str, is_one: Callable[[Path], bool]) -> bool:
    """Whether one of the first files of a folder with this ending is of a kind. Never raises."""
    try:
        with_ending = (file for file in islice(path.iterdir(), _MAX_FILES) if file.name.endswith(ending))
        return any(is_one(file) for file in islice(with_ending, _MAX_SNIFFED))
    except OSError:
        return False


def image_names(path: Path, images: Path | None, names: Sequence[str]) -> list[str | None]:
    """The names of the image files, relative to the folder they were found in; None for those without a file."""
    matches = find_images(names, likely_folders(path, images))
    return [
        None if file is None else f"{name.rpartition('/')[0]}/{file.name}".lstrip("/")
        for name, file in zip(names, matches.paths, strict=True)
    ]


def video_named(path: Path, images: Path | None, stem: str) -> Path | None:
    """The only video with this name, with or without its ending, in the likely folders."""
    matches: list[Path] = []
    for folder in [*likely_folders(path, images), path.absolute().parent / "videos"]:
        matches += [file for file in _videos_in(folder) if stem in (file.name, file.stem)]
    unique = list(dict.fromkeys(matches))
    return unique[0] if len(unique) == 1 else None


def _videos_in(folder: Path) -> Iterator[Path]:
    try:
        yield from (file for file in islice(folder.iterdir(), _MAX_FILES) if is_video(file) and file.is_file())
    except OSError:
        return
