"""The label formats: each is one module of this package that registers itself.

    format = find_format("labels.json")
    with format.read(Path("labels.json")) as labels: ...

How to add one: docs/extending/label-format.md.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Literal, Protocol, TypeVar, runtime_checkable

from engine.errors import LabelError
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context

ENTRY_POINTS = "poseapp.label_formats"
"""Entry-point group of other packages: each entry is a module that calls :func:`register_format`."""

CERTAIN, LIKELY, POSSIBLE, NO = 1.0, 0.8, 0.4, 0.0
"""How sure :meth:`LabelFormat.sniff` is: nothing else looks so; other readers could take it too; not excluded; no."""

USUAL_FORMATS = {".json": "coco", ".h5": "deeplabcut"}
"""The format that is written for a suffix which several formats have, and nobody says which."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class ReadOptions:
    """What a person may say about labels that are read.

    Attributes:
        images: folder of the images; None = they are looked for around the labels.
        split: which part ("train", "val", "test") of a format that keeps all parts in one list; "" = all.
    """

    images: Path | None = None
    split: str = ""


@dataclass(frozen=True)
class WriteOptions:
    """What a person may say about labels that are written.

    Attributes:
        include_predictions: also instances that nobody has accepted.
        images: for data sets in a folder: "none", "copy" or "link" the images into it.
        absolute_paths: name images and videos by their absolute paths, in formats that name them by paths.
        splits: "train", "val" or "test" for each frame, for data sets that hold their splits themselves
            (``writes_splits``); None = as the names of the images say.
    """

    include_predictions: bool = True
    images: Literal["none", "copy", "link"] = "none"
    absolute_paths: bool = False
    splits: Sequence[str] | None = None


@runtime_checkable
class LabelFormat(Protocol):
    """One label format.

    Attributes:
        name: for ``--from`` and ``--to``: lower-case letters, digits, "_".
        title: for people ("COCO keypoints").
        suffixes: of its files, lower case, with the dot; () for folders.
        can_read, can_write: which of :meth:`read` and :meth:`write` work.
        keeps: what survives in its files.

    A format may also have ``writes_splits`` and ``writes_images``, both True: it writes
    :attr:`WriteOptions.splits`, and puts images where :attr:`WriteOptions.images` says so.
    """

    name: str
    title: str
    suffixes: tuple[str, ...]
    can_read: bool
    can_write: bool
    keeps: Collection[Feature]

    def sniff(self, path: Path) -> float:
        """How sure it is that this path holds the format, 0 to 1, by content; reads only a little. Never raises."""

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        """The labels; records that cannot be used are reported to the context and left out.

        Raises:
            LabelError: the file cannot be read, or is not of this format.
        """

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        """Write the file whole or not at all.

        Raises:
            LabelError: it cannot be written. Cancelled: the context was cancelled; nothing is left behind.
        """


@runtime_checkable
class ContainerFormat(LabelFormat, Protocol):
    """A format of files that hold labels of another format, such as archives."""

    def of(self, inner: LabelFormat) -> LabelFormat:
        """The same for one format: it reads and writes files that hold this format."""


F = TypeVar("F", bound=LabelFormat)
_formats: dict[str, LabelFormat] = {}


def register_format(format: F) -> F:
    """Make a format known, by its name; another of the same name gives way."""
    if not _NAME.fullmatch(format.name):
        raise LabelError(f"a format cannot be called {format.name!r}: use lower-case letters, digits and _")
    _formats[format.name] = format
    return format


def unregister_format(name: str) -> None:
    """Forget a format; nothing happens if there is none of this name."""
    _formats.pop(name, None)


def formats() -> list[LabelFormat]:
    """All formats, by name."""
    _discover()
    return [_formats[name] for name in sorted(_formats)]


def find_format(path: Path | str, name: str = "") -> LabelFormat:
    """The format of a path: the one with this name, else the one that is most sure of the content.

    Raises:
        LabelError: no format has this name, or none or several know the content.
    """
    path = Path(path)
    if name:
        format = format_named(name)
        container = next((c for c in _containers() if c is not format and c.sniff(path) > NO), None)
        return format if container is None else container.of(format)
    if not path.exists():
        raise LabelError("does not exist", where=path)
    sureness = {format.name: format.sniff(path) for format in formats() if format.can_read}
    best = max(sureness.values(), default=NO)
    names = [name for name, sure in sureness.items() if sure == best]
    if best == NO:
        what = "is a folder without a known label format" if path.is_dir() else "is of no known label format"
        raise LabelError(f"{what}; say which with --from (known are {', '.join(names)})", where=path)
    if len(names) > 1:
        raise LabelError(f"may be of several formats; say which with --from: {' or '.join(names)}", where=path)
    return _formats[names[0]]


def _containers() -> list[ContainerFormat]:
    return [format for format in formats() if isinstance(format, ContainerFormat)]


def format_named(name: str) -> LabelFormat:
    """Raises: LabelError, no format has this name ("-" is allowed for "_")."""
    _discover()
    format = _formats.get(name.strip().lower().replace("-", "_"))
    if format is None:
        raise LabelError(f"no label format is called {name!r}; known are {', '.join(sorted(_formats))}")
    return format


def format_for_writing(path: Path | str, name: str = "") -> LabelFormat:
    """The format to write a path in: the one with this name, else the one that its suffix belongs to.

    Raises:
        LabelError: no format fits, several do, or the one named cannot be written.
    """
    suffix = Path(path).suffix.lower()
    if name:
        format = format_named(name)
        if not format.can_write:
            raise LabelError(f"{format.title} can be read, but not written")
        container = next((c for c in _containers() if suffix in c.suffixes and suffix not in format.suffixes), None)
        return format if container is None else container.of(format)
    writable = [format for format in formats() if format.can_write]
    fitting = [format for format in writable if suffix in format.suffixes]
    usual = [format for format in fitting if format.name == USUAL_FORMATS.get(suffix)]
    if len(usual or fitting) == 1:
        return (usual or fitting)[0]
    if fitting:
        names = ", ".join(format.name for format in fitting)
        raise LabelError(f"several formats have the suffix {suffix}; say which with --to: {names}", where=path)
    names = ", ".join(format.name for format in writable)
    what = f"no format has the suffix {suffix}" if suffix else "a name without a suffix does not tell the format"
    raise LabelError(f"{what}; say in which format to write, with --to: {names}", where=path)


def read_labels(
    path: Path | str, *, format: str = "", images: Path | str | None = None, context: Context | None = None
) -> LabelReader:
    """Read a label file or folder of any known format.

    Args:
        format: its name; "" = as the content says.
        images: folder of the images.

    Raises:
        LabelError: it cannot be read, or is of no known format.
    """
    options = ReadOptions(images=None if images is None else Path(images))
    return find_format(path, format).read(Path(path), context, options)


def write_labels(
    labels: LabelReader,
    path: Path | str,
    *,
    format: str = "",
    options: WriteOptions | None = None,
    context: Context | None = None,
) -> None:
    """Write labels in any format that can be written.

    Args:
        format: its name; "" = as the suffix says.

    Raises:
        LabelError: it cannot be written, or the suffix does not say in which format.
    """
    format_for_writing(path, format).write(labels, Path(path), options, context)


@cache
def _discover() -> None:
    """Import every module of this package, and those of other packages, so that they register their formats."""
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        importlib.import_module(module.name)
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()
