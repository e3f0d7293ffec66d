"""JSON files of labelme and X-AnyLabeling: one for each image."""

from engine.formats.labelme.format import LabelmeFormat

__all__ = ["LabelmeFormat"]
