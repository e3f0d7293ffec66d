"""Published data sets for training and evaluation, read in their original layouts. Loads no torch.

    data = open_dataset("coco_wholebody", "coco_wholebody_val_v1.0.json", "val2017").usable()
    write_as_coco(data, "wholebody_val.json")

or ``python -m engine.datasets convert ...``.
"""

from engine.formats.datasets.conversion import read_as_coco, to_coco, to_document, write_as_coco
from engine.formats.datasets.dataset import ImageRecord, KeypointDataset, TopDownSample
from engine.formats.datasets.format import DatasetFormat
from engine.formats.datasets.kinds import KINDS, Kind, find_kind
from engine.formats.datasets.loading import is_coco_style, open_dataset, sniff
from engine.formats.datasets.merging import AIC_INTO_COCO17, aic_into_coco17, combine, remap

__all__ = [
    "AIC_INTO_COCO17",
    "KINDS",
    "DatasetFormat",
    "ImageRecord",
    "KeypointDataset",
    "Kind",
    "TopDownSample",
    "aic_into_coco17",
    "combine",
    "find_kind",
    "is_coco_style",
    "open_dataset",
    "read_as_coco",
    "remap",
    "sniff",
    "to_coco",
    "to_document",
    "write_as_coco",
]
