"""YOLO-pose data sets (Ultralytics; as Roboflow and CVAT export them)."""

from engine.formats.yolo.format import YoloFormat

__all__ = ["YoloFormat"]
