"""Label formats: a registry, and a module or folder for each of them, without Qt and without projects.

with read_labels("labels.slp") as labels:
    write_labels(labels, "labels.json")
"""

from engine.formats.registry import (
    LabelFormat,
    find_format,
    format_for_writing,
    format_named,
    formats,
    read_labels,
    register_format,
    write_labels,
)

__all__ = [
    "LabelFormat",
    "find_format",
    "format_for_writing",
    "format_named",
    "formats",
    "read_labels",
    "register_format",
    "write_labels",
]
