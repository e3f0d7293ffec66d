"""Label files somewhere in a folder or a zip archive, with their images beside them."""

from engine.formats.archives.contents import LabelsInFolder, labels_in
from engine.formats.archives.extraction import is_archive, unpack
from engine.formats.archives.folder import FolderFormat
from engine.formats.archives.format import ZipFormat

__all__ = ["FolderFormat", "LabelsInFolder", "ZipFormat", "is_archive", "labels_in", "unpack"]
