"""What other pose programs have found, as predictions: COCO results, OpenPose, OpenPifPaf, AlphaPose, MMPose; and the
labels of AlphaTracker, which are written much like them."""

from engine.formats.results.alphapose import AlphaPoseFormat
from engine.formats.results.alphatracker import AlphaTrackerFormat
from engine.formats.results.coco_results import CocoResultsFormat
from engine.formats.results.mmpose import MMPoseFormat
from engine.formats.results.openpifpaf import OpenPifPafFormat
from engine.formats.results.openpose import OpenPoseFormat

__all__ = [
    "AlphaPoseFormat",
    "AlphaTrackerFormat",
    "CocoResultsFormat",
    "MMPoseFormat",
    "OpenPifPafFormat",
    "OpenPoseFormat",
]
