"""Label Studio's JSON of tasks, and its labeling configuration."""

from engine.formats.label_studio.format import LabelStudioFormat

__all__ = ["LabelStudioFormat"]
