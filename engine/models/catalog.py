"""The list of models: those that come with the program, published ones, the user's own. Imports no torch, no numpy.

    python -m engine.zoo list [--json] [--task pose|detector]
    python -m engine.zoo download ID... | verify [ID...] | path ID

The user's own models are checkpoint files (``engine.models.checkpoint``) in the models folder, either
``NAME.safetensors`` or ``NAME/best.safetensors``, the latter with the detector that was trained
beside it. Only headers are read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from engine.errors import ModelError
from engine.models.metadata import TASKS, CheckpointInfo, read_info
from engine.utils.plain_text import one_line
from engine.utils.toml_file import read_toml
from resources import resource_path

log = logging.getLogger(__name__)

SUFFIX = ".safetensors"
# Files that training leaves in its folder; the folder's name is the model's name.
RUN_FILES = ("best.safetensors", "detector.safetensors")


@dataclass(frozen=True)
class ModelEntry:
    """One model as the list shows it.

    Attributes:
        id: what ``--model`` and ``--detector`` take.
        file: the checkpoint, None when it is not on this computer.
        input_size: width, height in pixels.
        schema: name of the keypoint schema, "" for detectors.
        metrics: figures by name; ``metrics_on`` says on what they were obtained and by whom.
        source: "embedded", "published" (weights that are downloaded on demand) or "user".
        detector: id or file of the detector that goes with a pose model, None when it has none.
        use: one sentence: what it is for.
        url, digest: where published weights are, and the first hexadecimal digits of their SHA-256; "" when unknown.
        arguments, codec, conventions, subset: of published models, see ``resources/models.toml``.
        protocol: how its figures were measured: "coco", "wholebody", "pck", or "".
        recipe: how it was trained.
        problems: what is known to be wrong with the publication.
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
        """Where the downloaded weights of a published model lie or would lie, None for all others."""
        return user_models_dir() / self.url.rsplit("/", 1)[-1] if self.url else None


def user_models_dir() -> Path:
    """Folder of the user's own models: ``$POSEAPP_MODELS`` or the platform's data folder. It may not exist."""
    chosen = os.environ.get("POSEAPP_MODELS")
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("poseapp", appauthor=False)) / "models"


def list_models(task: str | None = None, user_dir: Path | None = None, *, available: bool = False) -> list[ModelEntry]:
    """The models of the table in its order, then the user's by name.

    Args:
        task: only "pose" or only "detector".
        user_dir: in place of :func:`user_models_dir`.
        available: only those whose weights are on this computer.

    Raises:
        ModelError: the table of embedded models cannot be read. A user's file that cannot be read is left out with a
            warning in the log.
    """
    entries = read_table(resource_path("models.toml"))
    taken = {entry.id for entry in entries}
    for entry in _user_models(user_dir or user_models_dir()):
        if entry.id in taken:
            entry = replace(entry, id=f"user/{entry.id}")
        taken.add(entry.id)
        entries.append(entry)
    return [entry for entry in entries if task in (None, entry.task) and (entry.file is not None or not available)]


def find_model(id_or_path: Path | str, user_dir: Path | None = None) -> ModelEntry:
    """The model with that id, or the one in that checkpoint file (or training folder).

    Raises:
        ModelError: no such id or file (the ids that exist are listed), or the file is no checkpoint.
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
        return _entry_of(path, str(path), path.parent.name if path.name in RUN_FILES else path.stem)
    known = ", ".join(entry.id for entry in entries if entry.file is not None)
    known += "; those to download: python -m engine.zoo list"
    if path.suffix or len(path.parts) > 1:
        raise ModelError(f"no such file, and no model of that name; models: {known}", where=name)
    raise ModelError(f"there is no model {name!r}; models: {known}")


def read_table(path: Path) -> list[ModelEntry]:
    """Read ``models.toml`` (its format is described at its top).

    Raises:
        ModelError: naming the entry that is wrong.
    """
    table = read_toml(path, ModelError)
    entries: list[ModelEntry] = []
    for number, row in enumerate(table.get("model", []), 1):
        where = f"{path}: model {row.get('id', number)!r}"
        entry = _row(row, path.parent, where)
        if any(entry.id == other.id for other in entries):
            raise ModelError("duplicate model id", where=where)
        entries.append(entry)
    return entries


ROW_KINDS: dict[str, type] = {
    "id": str, "title": str, "task": str, "architecture": str, "file": str, "input_size": list, "schema": str,
    "metrics": dict, "metrics_on": str, "licence": str, "detector": str, "use": str, "url": str, "digest": str,
    "arguments": dict, "codec": dict, "conventions": dict, "subset": str, "protocol": str, "recipe": dict,
    "problems": list,
}  # fmt: skip
ROW_NEEDED = ("id", "title", "task", "architecture", "input_size", "licence", "use")
PROTOCOLS = ("", "coco", "wholebody", "pck")


def _row(row: Mapping[str, Any], folder: Path, where: str) -> ModelEntry:
    for name, value in row.items():
        if name not in ROW_KINDS:
            raise ModelError(f"unknown entry {name!r}", where=where)
        if not isinstance(value, ROW_KINDS[name]):
            raise ModelError(f"{name!r} must be a {ROW_KINDS[name].__name__}", where=where)
    needed: tuple[str, ...] = ROW_NEEDED
    if "file" not in row:
        needed = (*needed, "arguments") if row.get("task") == "detector" else (*needed, "arguments", "codec", "schema")
    for name in needed:
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
    entry = ModelEntry(**values, file=None, source="published")
    if entry.weights_file is not None and entry.weights_file.is_file():
        entry = replace(entry, file=entry.weights_file)
    return entry


def _user_models(folder: Path) -> list[ModelEntry]:
    found: list[tuple[str, Path]] = []
    try:
        children = sorted(folder.iterdir(), key=lambda child: child.name.lower())
    except OSError:
        return []
    for child in children:
        if child.name.startswith("."):
            continue
        if child.suffix == SUFFIX and child.is_file():
            found.append((child.stem, child))
        elif child.is_dir():
            best, detector = (child / name for name in RUN_FILES)
            if best.is_file():
                found.append((child.name, best))
            if detector.is_file():
                found.append((f"{child.name}/detector", detector))
    entries = []
    for name, path in found:
        try:
            entries.append(_entry_of(path, name, name))
        except (ModelError, OSError, ValueError, RecursionError) as error:  # one bad file does not hide the others
            log.warning("left out of the model list: %s", one_line(str(error), 500))
    return entries


def _entry_of(path: Path, name: str, title: str) -> ModelEntry:
    info = read_info(path)
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
    """A file beside the checkpoint wins; only a bare name counts, so that a description cannot point elsewhere."""
    name = info.detector
    if name is None or Path(name).name != name:
        return None
    beside = path.parent / name
    try:
        return str(beside) if beside.is_file() else name
    except (OSError, ValueError):  # no file can have this name
        return name
