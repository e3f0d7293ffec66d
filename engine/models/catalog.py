"""The model catalog: bundled models, published weights and the user's own models. Imports neither torch nor numpy.

The user's own models are checkpoint files (``engine.models.checkpoint``) in the models folder, either
``NAME.safetensors`` or ``NAME/best.safetensors``; the latter may have the detector that was trained with it in the same
folder. Only the headers of checkpoint files are read.

The table and the headers stay in memory and are read again only when a file has changed (size, time of change or
inode), so that listing models costs one folder listing and one ``stat`` a file.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Generic, TypeVar

from engine.errors import ModelError
from engine.models.metadata import TASKS, CheckpointInfo, read_info
from engine.utils.plain_text import one_line
from engine.utils.toml_file import read_toml
from resources import resource_path

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
# Files that training leaves in its folder; the folder's name is the model's name.
RUN_FILES = ("best.safetensors", "detector.safetensors")


Content = TypeVar("Content")


class _FileCache(Generic[Content]):
    """What ``read`` gives for a file, kept until the file changes. May be used from several threads."""

    MAX_FILES = 4096

    def __init__(self, read: Callable[[Path], Content]) -> None:
        self._read = read
        self._contents: dict[Path, tuple[tuple[int, int, int], Content]] = {}

    def get(self, path: Path) -> Content:
        """The content of the file; raises what ``read`` raises, which is not kept."""
        try:
            state = path.stat()
        except OSError:
            return self._read(path)
        signature = (state.st_size, state.st_mtime_ns, state.st_ino)
        known = self._contents.get(path)
        if known is not None and known[0] == signature:
            return known[1]
        content = self._read(path)
        if len(self._contents) >= self.MAX_FILES:
            self._contents.clear()
        self._contents[path] = signature, content
        return content


@dataclass(frozen=True)
class ModelEntry:
    """One model of the catalog.

    Attributes:
        id: what ``--model`` and ``--detector`` accept.
        title: name for people.
        task: "pose" or "detector".
        architecture: name of a network (``engine.networks.networks``).
        file: the checkpoint, None if it is not on this computer.
        input_size: width and height in pixels.
        schema: name of the keypoint schema, "" for detectors.
        metrics: figures by name; ``metrics_on`` says on which data and by whom they were measured.
        source: "embedded", "published" (weights that are downloaded on demand) or "user".
        licence: of the weights, as an SPDX identifier or in words.
        detector: id or file of the detector that belongs to a pose model, None if it has none.
        use: one sentence: what it is for.
        url, digest: address of published weights, and the first hexadecimal digits of their SHA-256; "" if unknown.
        arguments, codec, conventions, subset: of published models, see ``resources/models.toml``.
        protocol: how its figures were measured: "coco", "wholebody", "pck", or "".
        recipe: how it was trained.
        problems: known faults of the publication.
    """

    id: str
    title: str
    task: str
    architecture: str
    file: Path | None
    input_size: tuple[int, int]
    schema: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)
    metrics_on: str = ""
    source: str = "embedded"
    licence: str = ""
    detector: str | None = None
    use: str = ""
    url: str = ""
    digest: str = ""
    arguments: dict[str, Any] = field(default_factory=dict)
    codec: dict[str, Any] = field(default_factory=dict)
    conventions: dict[str, Any] = field(default_factory=dict)
    subset: str = ""
    protocol: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def weights_file(self) -> Path | None:
        """Where the downloaded weights of a published model are or would be saved; None for all other models."""
        return user_models_dir() / self.url.rsplit("/", 1)[-1] if self.url else None


def user_models_dir() -> Path:
    """Folder of the user's own models: ``$POSEAPP_MODELS`` or the platform's data folder. It may not exist."""
    chosen = os.environ.get("POSEAPP_MODELS")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("poseapp", appauthor=False)) / "models"


def list_models(
    task: str | None = None, user_dir: Path | None = None, *, schema: str | None = None, available: bool = False
) -> list[ModelEntry]:
    """The models of the table in its order, then the user's own by name.

    Args:
        task: only "pose" or only "detector".
        user_dir: instead of :func:`user_models_dir`.
        schema: only models with this keypoint schema, such as "coco".
        available: only models whose weights are on this computer.

    Raises:
        ModelError: the table cannot be read. A user's file that cannot be read is left out with a warning in the log.
    """
    entries = read_table(resource_path("models.toml"))
    ids = {entry.id for entry in entries}
    for entry in _user_models(user_dir or user_models_dir()):
        if entry.id in ids:
            entry = replace(entry, id=f"user/{entry.id}")
        ids.add(entry.id)
        entries.append(entry)
    return [
        entry
        for entry in entries
        if task in (None, entry.task) and schema in (None, entry.schema) and (entry.file is not None or not available)
    ]


def find_model(id_or_path: Path | str, user_dir: Path | None = None) -> ModelEntry:
    """The model with this id, or the one in this checkpoint file or training folder.

    Raises:
        ModelError: no such id or file (the message suggests a similar id and lists those that exist), or the file is
            not a checkpoint.
    """
    name = str(id_or_path)
    entries = list_models(user_dir=user_dir)
    for entry in entries:
        if entry.id == name:
            if entry.file is not None and not entry.file.is_file():
                raise ModelError("this file of the program is missing; install the program again", where=entry.file)
            return entry
    path = Path(name)
    if path.is_dir() and (path / RUN_FILES[0]).is_file():
        path = path / RUN_FILES[0]
    if path.is_file():
        title = path.parent.name if path.name in RUN_FILES else path.stem
        return _checkpoint_entry(path, read_info(path), str(path), title)
    raise _no_such_model(name, entries)


def _no_such_model(name: str, entries: list[ModelEntry]) -> ModelError:
    installed = ", ".join(entry.id for entry in entries if entry.file is not None)
    advice = f"models: {installed}; those to download: python -m engine.zoo list"
    path = Path(name)
    if path.is_dir():
        return ModelError(f"is a folder without {RUN_FILES[0]}; {advice}", where=name)
    if path.suffix or len(path.parts) > 1:
        return ModelError(f"no such file, and no model of that name; {advice}", where=name)
    similar = get_close_matches(name, [entry.id for entry in entries], n=1)
    return ModelError(f"there is no model {name!r}; {f'did you mean {similar[0]!r}? ' if similar else ''}{advice}")


def read_table(path: Path) -> list[ModelEntry]:
    """The rows of a ``models.toml`` (its format is described at its top), with the files that are on this computer.

    Raises:
        ModelError: naming the entry that is wrong.
    """
    return [_with_downloaded_file(entry) for entry in _TABLES.get(path)]


def _parse_table(path: Path) -> tuple[ModelEntry, ...]:
    table = read_toml(path, ModelError)
    entries: dict[str, ModelEntry] = {}
    for position, row in enumerate(table.get("model", []), 1):
        where = f"{path}: model {row.get('id', position)!r}"
        entry = _parse_row(row, path.parent, where)
        if entry.id in entries:
            raise ModelError("duplicate id", where=where)
        entries[entry.id] = entry
    return tuple(entries.values())


def _with_downloaded_file(entry: ModelEntry) -> ModelEntry:
    path = entry.weights_file
    return replace(entry, file=path) if path is not None and path.is_file() else entry


ROW_TYPES: dict[str, type] = {
    "id": str, "title": str, "task": str, "architecture": str, "file": str, "input_size": list, "schema": str,
    "metrics": dict, "metrics_on": str, "licence": str, "detector": str, "use": str, "url": str, "digest": str,
    "arguments": dict, "codec": dict, "conventions": dict, "subset": str, "protocol": str, "recipe": dict,
    "problems": list,
}  # fmt: skip
REQUIRED = ("id", "title", "task", "architecture", "input_size", "licence", "use")
PROTOCOLS = ("", "coco", "wholebody", "pck")


def _parse_row(row: Mapping[str, Any], folder: Path, where: str) -> ModelEntry:
    for name, value in row.items():
        if name not in ROW_TYPES:
            raise ModelError(f"unknown entry {name!r}", where=where)
        if not isinstance(value, ROW_TYPES[name]):
            raise ModelError(f"{name!r} must be a {ROW_TYPES[name].__name__}", where=where)
    required: tuple[str, ...] = REQUIRED
    if "file" not in row:
        required += ("arguments",) if row.get("task") == "detector" else ("arguments", "codec", "schema")
    for name in required:
        if not row.get(name):
            raise ModelError(f"{name!r} is missing", where=where)
    if row["task"] not in TASKS:
        raise ModelError(f"task must be one of {', '.join(TASKS)}, not {row['task']!r}", where=where)
    if row.get("protocol", "") not in PROTOCOLS:
        raise ModelError(f"protocol must be one of {', '.join(PROTOCOLS[1:])}, not {row['protocol']!r}", where=where)
    size = row["input_size"]
    if len(size) != 2 or not all(isinstance(n, int) and n > 0 for n in size):
        raise ModelError("input_size must be [width, height]", where=where)
    values = {**row, "input_size": (size[0], size[1]), "problems": tuple(row.get("problems", ()))}
    if "file" in row:
        return ModelEntry(**{**values, "file": folder / row["file"]})
    return ModelEntry(**values, file=None, source="published")


def _user_models(folder: Path) -> list[ModelEntry]:
    entries = []
    for name, path in _user_files(folder):
        info = _USER_HEADERS.get(path)
        if info is not None:
            entries.append(_checkpoint_entry(path, info, name, name))
    return entries


def _user_files(folder: Path) -> list[tuple[str, Path]]:
    """(id, checkpoint file) of the models in the user's folder."""
    try:
        children = sorted(folder.iterdir(), key=lambda child: child.name.lower())
    except OSError:
        return []
    files: list[tuple[str, Path]] = []
    for child in children:
        if child.name.startswith("."):
            continue
        if child.suffix == SUFFIX and child.is_file():
            files.append((child.stem, child))
        elif child.is_dir():
            best, detector = (child / name for name in RUN_FILES)
            if best.is_file():
                files.append((child.name, best))
            if detector.is_file():
                files.append((f"{child.name}/detector", detector))
    return files


def _read_user_header(path: Path) -> CheckpointInfo | None:
    """None, and a warning in the log, for a file that cannot be read: one bad file does not hide the others."""
    try:
        return read_info(path)
    except (ModelError, OSError, ValueError, RecursionError) as error:
        log.warning("left out of the model list: %s", one_line(str(error), 500))
        return None


_TABLES = _FileCache(_parse_table)
_USER_HEADERS = _FileCache(_read_user_header)


def _checkpoint_entry(path: Path, info: CheckpointInfo, name: str, title: str) -> ModelEntry:
    licence = info.provenance.get("licence", "")
    return ModelEntry(
        id=name,
        title=str(info.provenance.get("title") or title),
        task=info.task,
        architecture=info.architecture,
        file=path,
        input_size=info.input_size,
        schema=str(info.schema["name"]) if info.schema else "",
        metrics=dict(info.metrics),
        metrics_on=str(info.provenance.get("metrics_on", "")),
        source="user",
        licence=licence if isinstance(licence, str) else "",
        detector=_detector_of(info, path),
        use=str(info.provenance.get("use", "")),
    )


def _detector_of(info: CheckpointInfo, path: Path) -> str | None:
    """A file in the checkpoint's folder takes precedence over a catalog id. Names with a folder are ignored, so that a
    checkpoint cannot point outside its folder."""
    name = info.detector
    if name is None or Path(name).name != name:
        return None
    sibling = path.parent / name
    try:
        return str(sibling) if sibling.is_file() else name
    except (OSError, ValueError):  # no file can have this name
        return name
