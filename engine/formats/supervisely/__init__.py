"""Projects of Supervisely: a folder with ``meta.json`` and a JSON file for each image."""

from engine.formats.supervisely.format import SuperviselyFormat

__all__ = ["SuperviselyFormat"]
