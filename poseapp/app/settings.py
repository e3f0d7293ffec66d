"""What the program remembers between starts, typed, over QSettings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from PySide6.QtCore import QByteArray, QSettings

from poseapp.app.canvas_style import OWN_COLORS, CanvasStyle, ColorMode
from poseapp.app.i18n import LANGUAGES

ORGANISATION = "poseapp"
APPLICATION = "poseapp"
DEFAULT_MODEL = "movenet_thunder"
MOST_PROJECTS = 200
"""Projects whose models are remembered."""
SYSTEM_LANGUAGE = "system"
THEMES = ("system", "dark", "light")
_STYLE_KEYS = (
    "point_size", "line_width", "font_size", "color_mode", "show_labels", "show_bones", "show_boxes", "show_missing",
    "show_minimap",
)  # fmt: skip


class Settings:
    """Every value has a default and is checked when read: a damaged settings file changes nothing but itself."""

    def __init__(self, store: QSettings | None = None) -> None:
        self._store = store or QSettings(
            QSettings.defaultFormat(), QSettings.Scope.UserScope, ORGANISATION, APPLICATION
        )

    @property
    def theme(self) -> str:
        """ "system", "dark" or "light"."""
        value = str(self._store.value("theme", "system"))
        return value if value in THEMES else "system"

    @theme.setter
    def theme(self, value: str) -> None:
        if value not in THEMES:
            raise ValueError(value)
        self._store.setValue("theme", value)

    @property
    def last_folder(self) -> Path:
        """Where the next file dialog opens."""
        folder = Path(str(self._store.value("last_folder", "")) or Path.home())
        return folder if folder.is_dir() else Path.home()

    @last_folder.setter
    def last_folder(self, value: Path) -> None:
        self._store.setValue("last_folder", str(value))

    @property
    def language(self) -> str:
        """A key of LANGUAGES, or "system". The window speaks it from its next start on."""
        value = str(self._store.value("language", SYSTEM_LANGUAGE))
        return value if value in LANGUAGES else SYSTEM_LANGUAGE

    @language.setter
    def language(self, value: str) -> None:
        self._store.setValue("language", value)

    @property
    def model(self) -> str:
        """Id of the model that Run uses in a new project."""
        return str(self._store.value("model", DEFAULT_MODEL)) or DEFAULT_MODEL

    @model.setter
    def model(self, value: str) -> None:
        self._store.setValue("model", value)

    def models_of(self, project: Path) -> dict[str, str]:
        """Ids of the models that were chosen in a project, by category id as text; see session/model_memory.py."""
        models = self._models().get(str(project.absolute()), {})
        if not isinstance(models, dict):
            return {}
        return {key: model for key, model in models.items() if isinstance(model, str)}

    def keep_model_of(self, project: Path, category: str, model: str) -> None:
        """Remember a choice; of very many projects the oldest are forgotten. A choice for a category replaces one that
        fitted none (category "")."""
        name, known = str(project.absolute()), self._models()
        chosen = self.models_of(project)
        chosen.pop("", None)
        known.pop(name, None)  # the newest at the end
        known[name] = {**chosen, category: model}
        self._store.setValue("models", json.dumps(dict(list(known.items())[-MOST_PROJECTS:])))

    def export_choices_of(self, project: Path) -> dict[str, Any]:
        """What was chosen at the last export of labels of a project; {} for none."""
        choices = self._exports().get(str(project.absolute()), {})
        return choices if isinstance(choices, dict) else {}

    def keep_export_choices_of(self, project: Path, choices: Mapping[str, Any]) -> None:
        """Remember them; of very many projects the oldest are forgotten."""
        known = self._exports()
        known.pop(str(project.absolute()), None)
        known[str(project.absolute())] = dict(choices)
        self._store.setValue("exports", json.dumps(dict(list(known.items())[-MOST_PROJECTS:])))

    def _exports(self) -> dict[str, Any]:
        try:
            data = json.loads(str(self._store.value("exports", "{}")))
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    def last_frame_of(self, project: Path) -> tuple[int, int] | None:
        """Media id and index of the frame at which a project was left."""
        try:
            data = json.loads(str(self._store.value("last_frames", "{}")))
            media, index = data[str(project.absolute())]
        except (ValueError, RecursionError, TypeError, KeyError):
            return None
        return (media, index) if type(media) is int and type(index) is int else None

    def keep_last_frame_of(self, project: Path, media: int, index: int) -> None:
        try:
            data = json.loads(str(self._store.value("last_frames", "{}")))
        except (ValueError, RecursionError):
            data = {}
        known: dict[str, Any] = data if isinstance(data, dict) else {}
        known.pop(str(project.absolute()), None)
        known[str(project.absolute())] = [media, index]
        self._store.setValue("last_frames", json.dumps(dict(list(known.items())[-MOST_PROJECTS:])))

    def _models(self) -> dict[str, Any]:
        try:
            data = json.loads(str(self._store.value("models", "{}")))
        except (ValueError, RecursionError):
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def assist(self) -> bool:
        """Whether the model follows corrections."""
        return str(self._store.value("assist", "true")).lower() == "true"

    @assist.setter
    def assist(self, value: bool) -> None:
        self._store.setValue("assist", "true" if value else "false")

    @property
    def recent(self) -> list[str]:
        """Projects opened before, newest first, that still exist."""
        value: Any = self._store.value("recent", [])
        paths = [value] if isinstance(value, str) else list(value or [])
        return [str(p) for p in paths if p and Path(str(p)).exists()][:8]

    def add_recent(self, path: Path) -> None:
        others = [p for p in self.recent if p != str(path)]
        self._store.setValue("recent", [str(path), *others][:8])

    def canvas_style(self) -> CanvasStyle:
        """The style with the remembered view switches; the theme's side is set by the window."""
        values: dict[str, Any] = {}
        for field in fields(CanvasStyle):
            if field.name not in _STYLE_KEYS or not self._store.contains(f"view/{field.name}"):
                continue
            value = self._read(f"view/{field.name}", type(getattr(CanvasStyle(), field.name)))
            if value is not None:
                values[field.name] = value
        return CanvasStyle(**values, colors=self._colors())

    def keep_canvas_style(self, style: CanvasStyle) -> None:
        for name in _STYLE_KEYS:
            value = getattr(style, name)
            self._store.setValue(f"view/{name}", str(value) if isinstance(value, ColorMode) else value)
        self._store.setValue("view/colors", json.dumps(dict(style.colors)))

    def _colors(self) -> tuple[tuple[str, int], ...]:
        try:
            data = json.loads(str(self._store.value("view/colors", "{}")))
        except (ValueError, RecursionError):
            return ()
        if not isinstance(data, dict):
            return ()
        return tuple(sorted((n, c) for n, c in data.items() if n in OWN_COLORS and type(c) is int and 0 <= c < 1 << 24))

    @property
    def file(self) -> Path:
        """Where all this is kept."""
        return Path(self._store.fileName())

    def places(self) -> dict[str, str]:
        """Folders that a person has chosen for data of the program, by the ids of poseapp/app/data_folders.py."""
        try:
            data = json.loads(str(self._store.value("places", "{}")))
        except (ValueError, RecursionError):
            return {}
        if not isinstance(data, dict):
            return {}
        return {name: path for name, path in data.items() if isinstance(path, str) and Path(path).is_absolute()}

    def keep_folder(self, name: str, folder: Path) -> None:
        self._store.setValue("places", json.dumps({**self.places(), name: str(folder.absolute())}))

    def key_changes(self) -> dict[str, tuple[str, ...]]:
        """Verbs whose keys a person has changed; what is damaged counts as not changed."""
        try:
            data = json.loads(str(self._store.value("keys", "{}")))
        except (ValueError, RecursionError):
            return {}
        if not isinstance(data, dict):
            return {}
        return {
            name: tuple(keys)
            for name, keys in data.items()
            if isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        }

    def keep_key_changes(self, changes: Mapping[str, tuple[str, ...]]) -> None:
        self._store.setValue("keys", json.dumps({name: list(keys) for name, keys in changes.items()}))

    def geometry(self, name: str) -> QByteArray | None:
        """Saved geometry or dock state of a window."""
        value = self._store.value(f"geometry/{name}")
        return value if isinstance(value, QByteArray) else None

    def keep_geometry(self, name: str, value: QByteArray) -> None:
        self._store.setValue(f"geometry/{name}", value)

    def sync(self) -> None:
        self._store.sync()

    def _read(self, key: str, kind: type) -> Any:
        raw = self._store.value(key)
        try:
            if kind is bool:
                return raw if isinstance(raw, bool) else str(raw).lower() == "true"
            return kind(raw)
        except (TypeError, ValueError):
            return None
