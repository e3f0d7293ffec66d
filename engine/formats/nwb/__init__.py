"""Neurodata Without Borders (NWB) with poses (ndx-pose)."""

from engine.formats.nwb.format import NwbFormat

__all__ = ["NwbFormat"]
