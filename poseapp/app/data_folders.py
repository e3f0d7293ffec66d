"""The folders in which the program keeps its data, and the choice of other ones. No Qt.

Each is named by an environment variable, else it is the system's usual folder; code that needs a folder asks each time.
A choice made in the window is kept in the settings and set as the variable at start, so that child processes follow it.
A variable that was set outside takes precedence over the choice.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_path, user_log_path

from engine.media.video.index.index import index_folder
from engine.models.catalog import user_models_dir
from poseapp.jobs.frames.thumbnails import default_folder
from poseapp.jobs.training.export import runs_folder


@dataclass(frozen=True)
class DataFolder:
    """One of them.

    Attributes:
        id: name in the settings.
        variable: the environment variable that names the folder.
        find: gives the folder in use now.
        cache: whether it can be rebuilt at any time, and so be emptied.
    """

    id: str
    name: str
    hint: str
    variable: str
    find: Callable[[], Path]
    cache: bool = False


def cache_folder() -> Path:
    """What can be made anew: thumbnails and indices of videos."""
    chosen = os.environ.get("POSEAPP_CACHE")
    return Path(chosen) if chosen else user_cache_path("poseapp", appauthor=False)


def log_folder() -> Path:
    """Where the program writes what went wrong."""
    chosen = os.environ.get("POSEAPP_LOGS")
    return Path(chosen) if chosen else user_log_path("poseapp", appauthor=False)


def cache_parts() -> tuple[Path, ...]:
    """The folders that the cache consists of; nothing else in it is touched when it is emptied."""
    return default_folder(), index_folder()


DATA_FOLDERS = (
    DataFolder("models", "Models", "Fine-tuned and downloaded models", "POSEAPP_MODELS", user_models_dir),
    DataFolder("runs", "Training runs", "Logs and checkpoints of training", "POSEAPP_RUNS", runs_folder),
    DataFolder(
        "cache", "Cache", "Thumbnails and video indices; rebuilt when missing", "POSEAPP_CACHE", cache_folder, True
    ),
    DataFolder("logs", "Logs", "Errors and events, for bug reports", "POSEAPP_LOGS", log_folder),
)
BY_ID = {folder.id: folder for folder in DATA_FOLDERS}
_set_here: dict[str, str] = {}


def is_set_outside(folder: DataFolder) -> bool:
    """Whether the environment names the folder, so that it cannot be chosen here."""
    value = os.environ.get(folder.variable)
    return bool(value) and _set_here.get(folder.variable) != value


def use(folder: DataFolder, path: Path | None) -> None:
    """Keep data at ``path`` from now on; None for the system's own folder. Existing data is not moved."""
    if path is None:
        if not is_set_outside(folder):
            os.environ.pop(folder.variable, None)
        _set_here.pop(folder.variable, None)
        return
    _set_here[folder.variable] = os.environ[folder.variable] = str(path)


def apply(choices: Mapping[str, str]) -> None:
    """Use the folders that were chosen before, where the environment does not say otherwise."""
    for folder in DATA_FOLDERS:
        chosen = choices.get(folder.id)
        if chosen and not is_set_outside(folder):
            use(folder, Path(chosen))
