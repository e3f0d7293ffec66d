"""Pose files of JABS."""

from engine.formats.jabs.format import JabsFormat

__all__ = ["JabsFormat"]
