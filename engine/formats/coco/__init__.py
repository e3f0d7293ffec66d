"""COCO files."""

from engine.formats.coco.format import CocoFormat

__all__ = ["CocoFormat"]
