"""Label files in zip archives, with their images beside them."""

from engine.formats.archives.contents import LabelsInFolder, labels_in
from engine.formats.archives.extraction import is_archive, unpack
from engine.formats.archives.format import ZipFormat

__all__ = ["LabelsInFolder", "ZipFormat", "is_archive", "labels_in", "unpack"]
