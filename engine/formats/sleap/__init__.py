"""SLEAP: ``.slp`` files and their JSON predecessors, and the tables of its analysis."""

from engine.formats.sleap.analysis import SleapAnalysisFormat
from engine.formats.sleap.analysis_csv import SleapAnalysisCsvFormat
from engine.formats.sleap.format import SleapFormat
from engine.formats.sleap.labels_json import SleapJsonFormat

__all__ = ["SleapAnalysisCsvFormat", "SleapAnalysisFormat", "SleapFormat", "SleapJsonFormat"]
