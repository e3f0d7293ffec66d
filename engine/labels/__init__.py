"""What labels are, for every format, the project and training."""

from engine.labels.builder import LabelsBuilder
from engine.labels.features import Feature
from engine.labels.model import (
    ABSENT,
    IMAGES,
    OCCLUDED,
    UNKNOWN,
    VIDEO,
    VISIBLE,
    Category,
    Frame,
    Instance,
    Media,
)
from engine.labels.reader import LabelReader, Labels

__all__ = [
    "ABSENT",
    "IMAGES",
    "OCCLUDED",
    "UNKNOWN",
    "VIDEO",
    "VISIBLE",
    "Category",
    "Feature",
    "Frame",
    "Instance",
    "LabelReader",
    "Labels",
    "LabelsBuilder",
    "Media",
]
