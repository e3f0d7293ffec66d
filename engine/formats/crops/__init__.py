"""Images of single poses, cut out of the images of labels."""

from engine.formats.crops.labels import DEFAULT_MARGIN, CroppedLabels

__all__ = ["DEFAULT_MARGIN", "CroppedLabels"]
