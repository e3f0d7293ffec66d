"""What a command may write to: never over its own inputs, never over a file that it would destroy unasked.

Two paths are one file when the system says so (device and file number), whatever they are called: through symbolic
and hard links, other spellings, and on file systems that do not tell capital letters apart.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from engine.utils.files import MAX_LABEL_BYTES, FileError, read_bytes, write_target

FileId = tuple[int, int]
OVERWRITE = "--overwrite"
SECTIONS = ("images", "annotations", "categories")


def add_overwrite_option(parser: argparse._ActionsContainer) -> None:
    """Add ``--overwrite``."""
    parser.add_argument(
        OVERWRITE,
        action="store_true",
        help="replace an existing output file, whatever it holds (default: only one that this command has written)",
    )


def check_outputs(
    outputs: Mapping[str, Path | str | None],
    inputs: Iterable[tuple[str, Path | str | None]],
    *,
    overwrite: bool = True,
    is_own: Callable[[Path], bool] = lambda path: False,
) -> None:
    """Find out before any work whether the outputs of a command would destroy something.

    Args:
        outputs: files by the option that names them; None and "" are left out.
        inputs: every file that the command reads, with the option that names it. What does not exist is left out, so
            model ids and words such as "gt" may be given.
        overwrite: replace any existing file.
        is_own: whether an existing file is an earlier result of the same command, which may be replaced.

    Raises:
        FileError: an output is an input, another output, a folder, a device, pipe or socket, or an existing file that
            would be lost.
    """
    targets: dict[str, Path] = {}
    for option, output in outputs.items():
        if not output:
            continue
        path = Path(output)
        try:
            target = write_target(path)
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"cannot be written ({error.strerror or error})", where=path) from None
        other = next((name for name, taken in targets.items() if _is_same(taken, target)), None)
        if other is not None:
            raise FileError(f"is the file of both {other} and {option}; give two names", where=path)
        targets[option] = target
    existing = {identity: option for option, path in targets.items() if (identity := file_id(path)) is not None}
    if not existing:
        return  # nothing can be lost
    for name, given in inputs:
        identity = file_id(given) if given else None
        if identity in existing:
            hit = existing[identity]
            raise FileError(f"is one of the inputs ({name}: {given}); give another {hit}", where=outputs[hit])
    if overwrite:
        return
    for option in existing.values():
        if not is_own(targets[option]):
            raise FileError(
                f"exists and was not written by this command; give another {option}, or {OVERWRITE} to replace it",
                where=outputs[option],
            )


def file_id(path: Path | str) -> FileId | None:
    """What tells one file from every other on this computer; None when there is no such file."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name that holds a zero byte
        return None
    return state.st_dev, state.st_ino


def holds_predictions(path: Path) -> bool:
    """Whether a JSON file holds predictions alone: a COCO results list, or a COCO file each of whose annotations has
    the score of its pose and of its points. Labels that a person made or corrected have none."""
    try:
        data = read_bytes(path, MAX_LABEL_BYTES)
        if data[:1] == b"[":
            _RESULTS.decode(data)
            return True
        annotations = _DATASET.decode(data).annotations
        if not annotations:  # a list of images is only ours to replace when it says nothing else
            return _TOP.decode(data).keys() <= {*SECTIONS, "skipped"}
        return all(None not in (row.score, row.keypoint_scores) for row in annotations)
    except (msgspec.DecodeError, UnicodeDecodeError, OSError, MemoryError):
        return False


class _Result(msgspec.Struct):
    """A line of a results list; ``score`` must be there."""

    score: float
    image_id: int | str


class _Annotation(msgspec.Struct):
    score: float | None = None
    keypoint_scores: list[float] | None = None


class _Dataset(msgspec.Struct):
    annotations: list[_Annotation]


_TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
_RESULTS = msgspec.json.Decoder(list[_Result])
_DATASET = msgspec.json.Decoder(_Dataset)


def _is_same(first: Path, second: Path) -> bool:
    identity = file_id(first)
    if identity is not None:
        return identity == file_id(second)
    return os.path.normcase(os.path.realpath(first)) == os.path.normcase(os.path.realpath(second))
