"""Datumaro's own JSON, which CVAT exports too."""

from engine.formats.datumaro.format import DatumaroFormat

__all__ = ["DatumaroFormat"]
