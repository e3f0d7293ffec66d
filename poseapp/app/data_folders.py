"""Where the program keeps its data on this computer, and how a person moves it. No Qt.

Each place is a folder that an environment variable names, else the system's own; the rooms that use a folder ask for it
each time. A person's choice is kept in the settings and set as the variable when the program starts, so that processes
started from it follow too. A variable that was set outside stands before the choice.
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
class Place:
    """A folder of the program.

    Attributes:
        id: name in the settings.
        variable: the environment variable that names the folder.
        find: the folder in use now.
        cache: can be made anew at any time, and so be emptied.
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


PLACES = (
    Place("models", "Models", "Fine-tuned and downloaded models", "POSEAPP_MODELS", user_models_dir),
    Place("runs", "Training runs", "Logs and checkpoints of training", "POSEAPP_RUNS", runs_folder),
    Place("cache", "Cache", "Thumbnails and video indices; rebuilt when missing", "POSEAPP_CACHE", cache_folder, True),
    Place("logs", "Logs", "Errors and events, for bug reports", "POSEAPP_LOGS", log_folder),
)
BY_ID = {place.id: place for place in PLACES}
_set_here: dict[str, str] = {}


def given_outside(place: Place) -> bool:
    """Whether the environment names the folder, so that it cannot be chosen here."""
    value = os.environ.get(place.variable)
    return bool(value) and _set_here.get(place.variable) != value


def use(place: Place, folder: Path | None) -> None:
    """Keep data there from now on; None for the system's own folder. What lies elsewhere is not moved."""
    if folder is None:
        if not given_outside(place):
            os.environ.pop(place.variable, None)
        _set_here.pop(place.variable, None)
        return
    _set_here[place.variable] = os.environ[place.variable] = str(folder)


def apply(choices: Mapping[str, str]) -> None:
    """Take over what was chosen before, where the environment does not say otherwise."""
    for place in PLACES:
        chosen = choices.get(place.id)
        if chosen and not given_outside(place):
            use(place, Path(chosen))
