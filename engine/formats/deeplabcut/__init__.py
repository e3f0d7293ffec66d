"""DeepLabCut: label tables (csv, h5), tables of analysed videos, project folders."""

from engine.formats.deeplabcut.format import DlcFormat

__all__ = ["DlcFormat"]
