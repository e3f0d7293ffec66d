"""CVAT's XML files, for images and for video."""

from engine.formats.cvat.format import CvatFormat, CvatVideoFormat

__all__ = ["CvatFormat", "CvatVideoFormat"]
