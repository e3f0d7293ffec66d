"""DeepLabCut: label tables (csv, h5), tables of analysed videos, project folders; Lightning Pose, which follows it."""

from engine.formats.deeplabcut.format import DlcFormat
from engine.formats.deeplabcut.lightning_pose import LightningPoseFormat

__all__ = ["DlcFormat", "LightningPoseFormat"]
