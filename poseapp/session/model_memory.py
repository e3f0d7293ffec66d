"""Which model Run uses: remembered for each category of each project, never for all of them."""

from __future__ import annotations

from pathlib import Path

from engine.errors import PoseError
from engine.models.catalog import ModelEntry, find_model, list_models
from engine.schema.builtin import find_schema
from engine.schema.schema import Schema, schema_from_dict
from poseapp.app.settings import DEFAULT_MODEL, Settings
from poseapp.project.model import Category

ANY = ""
"""In place of a category: the model that was chosen last, although its keypoints are those of no category."""


class ModelMemory:
    """Remembers choices in the settings, and finds a model where none was made. Belongs to the UI thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._schemas: dict[str, Schema | None] = {}
        self._answers: dict[tuple[Path | None, int, tuple[str, ...]], str] = {}

    def model_for(self, project: Path | None, category: Category | None) -> str:
        """Id of the model for new poses of a category: the one chosen for it, else one with its keypoints.

        Where there is none such, or no category, the last choice for the project, else the default of the program. It
        may not fit: ask :meth:`fits`.
        """
        key = (project, -1 if category is None else category.id, () if category is None else category.schema.names)
        if key not in self._answers:
            self._answers[key] = self._find(project, category)
        return self._answers[key]

    def unmatched_choice(self, project: Path | None) -> str:
        """The model that was chosen last for a project if its keypoints are those of no category, else ""."""
        return "" if project is None else self._settings.models_of(project).get(ANY, "")

    def fits(self, model: str, category: Category | None) -> bool:
        """Whether a model has the keypoints of a category, in their order."""
        schema = self.schema_of(model)
        return schema is not None and category is not None and schema.names == category.schema.names

    def schema_of(self, model: str) -> Schema | None:
        """The keypoints of a model; None for one that cannot be read."""
        if model not in self._schemas:
            try:
                self._schemas[model] = schema_of(find_model(model))
            except PoseError:
                self._schemas[model] = None
        return self._schemas[model]

    def fitting(self, category: Category | None) -> list[ModelEntry]:
        """The models on this computer that have the keypoints of a category, a person's own first."""
        try:
            entries = list_models("pose", available=True)
        except PoseError:
            return []
        own = sorted(entries, key=lambda entry: entry.source != "user")
        return [entry for entry in own if self.fits(entry.id, category)]

    def choose(self, project: Path | None, category: Category | None, model: str) -> None:
        """Use a model for a category of a project from now on; without a project, for new projects."""
        if project is None:
            self._settings.model = model
        else:
            self._settings.keep_model_of(project, ANY if category is None else str(category.id), model)
        self._answers.clear()

    def forget(self) -> None:
        """Models came or went: look anew."""
        self._schemas.clear()
        self._answers.clear()

    def _find(self, project: Path | None, category: Category | None) -> str:
        chosen = {} if project is None else self._settings.models_of(project)
        if category is None:
            return chosen.get(ANY) or self._settings.model
        for model in (chosen.get(str(category.id), ""), chosen.get(ANY, ""), self._settings.model, DEFAULT_MODEL):
            if model and self.fits(model, category):
                return model
        fitting = self.fitting(category)
        return fitting[0].id if fitting else chosen.get(ANY) or self._settings.model


def schema_of(entry: ModelEntry) -> Schema:
    """The keypoints of a model: its own, or the built-in schema that it names.

    Raises:
        PoseError: its file cannot be read, or there is no such schema.
    """
    if entry.file is not None:
        from engine.models.metadata import read_info

        info = read_info(entry.file)
        if info.schema:
            return schema_from_dict(info.schema, where=entry.file)
    return find_schema(entry.schema)
