"""SLEAP: ``.slp`` files."""

from engine.formats.sleap.format import SleapFormat

__all__ = ["SleapFormat"]
