"""What the registry of label formats says to people: file types of the open dialog, lists of known formats."""

from __future__ import annotations

from engine.formats.registry import LabelFormat, formats


def readable_formats() -> list[LabelFormat]:
    """The formats that can be opened."""
    return [format for format in formats() if format.can_read]


def open_filter() -> str:
    """File types for a dialog that opens labels: all of them together, then each format."""
    with_files = [format for format in readable_formats() if format.suffixes]
    suffixes = sorted({suffix for format in with_files for suffix in format.suffixes})
    entries = [f"Labels ({_patterns(suffixes)})"]
    entries += dict.fromkeys(f"{format.title} ({_patterns(format.suffixes)})" for format in with_files)
    return ";;".join([*entries, "All files (*)"])


def known_formats() -> str:
    """The formats that can be opened, with their suffixes: "COCO keypoints (.json); SLEAP labels (.slp)"."""
    return "; ".join(
        f"{format.title} ({' '.join(format.suffixes)})" if format.suffixes else format.title
        for format in readable_formats()
    )


def _patterns(suffixes: list[str] | tuple[str, ...]) -> str:
    return " ".join(f"*{suffix}" for suffix in suffixes)
