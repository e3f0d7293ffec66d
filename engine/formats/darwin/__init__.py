"""V7 Darwin's JSON: a file for each image or video."""

from engine.formats.darwin.format import DarwinFormat

__all__ = ["DarwinFormat"]
