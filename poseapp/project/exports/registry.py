"""What a project can be exported as: each export is a class of this package that registers itself.

    for export in exports_of("export_tracks"):
        print(export.title, export.suffix)

Label formats that can be written are exports too (:mod:`poseapp.project.exports.label_format`).
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

from engine.labels.splitting import SplitBy
from engine.utils.context import Context
from poseapp.project.exports.files import FilesReport, Steps
from poseapp.project.store import ProjectStore

if TYPE_CHECKING:
    from poseapp.project.exports.labelled_video import PoseColors


@dataclass(frozen=True)
class ExportOptions:
    """What a person may choose; an export takes from it what it needs.

    Attributes:
        include_predicted: also poses that nobody has made or accepted.
        media: id of the media in sight, for exports of one media.
        frames: first and last frame index of it, both included; None = all.
        colors: of the poses, as they are on the canvas; None = those of the schema.
        cache: folder where indices of videos are kept.
        labelled_only: leave out frames without labels.
        images: for data sets in a folder: "none", "copy", "link", or "crop" for an image of each pose.
        splits: shares of train, val and test ("80/10/10"); "" = no splits. split_by: what stays together.
    """

    include_predicted: bool = True
    media: int | None = None
    frames: tuple[int, int] | None = None
    colors: PoseColors | None = None
    cache: Path | None = None
    labelled_only: bool = False
    images: Literal["none", "copy", "link", "crop"] = "none"
    splits: str = ""
    split_by: SplitBy = "frame"


class Export(Protocol):
    """One way to export a project.

    Attributes:
        name: identifies it; an export with the name of a label format stands for that format.
        action: id of the menu item that offers it.
        title: in the list of file types of the save dialog.
        suffix: of the file, with the dot; "" for a folder.
        unit: what the report counts ("poses").
    """

    name: str
    action: str
    title: str
    suffix: str
    unit: str

    def write(self, store: ProjectStore, target: Path, options: ExportOptions, context: Context) -> Steps[FilesReport]:
        """Write the file or folder, whole or not at all.

        Raises:
            PoseError: there is nothing to write, or it cannot be written.
        """


E = TypeVar("E", bound=Export)
_exports: dict[str, Export] = {}


def register_export(export: E) -> E:
    """Make an export known, by its name; another of the same name gives way."""
    _exports[export.name] = export
    return export


def unregister_export(name: str) -> None:
    """Forget an export; nothing happens if there is none of this name."""
    _exports.pop(name, None)


def exports_of(action: str) -> list[Export]:
    """The exports that a menu item offers, in the order of their registration."""
    _discover()
    return [export for export in _exports.values() if export.action == action]


def all_exports() -> list[Export]:
    """All exports, by name."""
    _discover()
    return [_exports[name] for name in sorted(_exports)]


def find_export(name: str) -> Export | None:
    """The export of this name, None if there is none."""
    _discover()
    return _exports.get(name)


@cache
def _discover() -> None:
    """Import every module of this package, so that they register their exports."""
    import poseapp.project.exports as package

    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
