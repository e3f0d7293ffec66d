"""SLEAP: ``.slp`` files, and the tables of its analysis."""

from engine.formats.sleap.analysis import SleapAnalysisFormat
from engine.formats.sleap.format import SleapFormat

__all__ = ["SleapAnalysisFormat", "SleapFormat"]
