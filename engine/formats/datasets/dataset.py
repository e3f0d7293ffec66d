"""What every reader gives: images, instances with boxes and points, and which of them are fit for use.

Conventions: x, y with pixel centers at integers; ``bbox`` x, y, width, height as the file has it, ``box`` x1, y1, x2,
y2 as top-down models are trained on it: both corners clipped to [0, width - 1] and [0, height - 1] of the image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from engine.formats.coco.dataset import CocoCategory, Id
from engine.formats.coco.document import load_record
from engine.media.image_finder import ImageLookup
from engine.schema.schema import Schema

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NOT_COVERED = "not_covered"
"""Key of a converted annotation: positions of points that its source never labels, so that v = 0 says nothing."""

CROWD = "a crowd"
NO_POINTS = "no labelled keypoint"
NO_BOX = "no box"
EMPTY_BOX = "a box without extent inside the image"
OUTSIDE = "every keypoint at or left and above of the image's corner"


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One picture. ``width`` and ``height`` are 0 where neither the annotations nor the file tell."""

    id: Id
    file_name: str
    folder: Path
    width: int = 0
    height: int = 0
    raw: bytes = b""
    lookup: ImageLookup | None = field(default=None, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """Where the image lies: as :mod:`engine.media.image_finder` finds it among all images of the file, else below
        the folder as the record says."""
        return self.folder / self.file_name if self.lookup is None else self.lookup.path(self.file_name)


@dataclass(frozen=True, eq=False, slots=True)
class TopDownSample:
    """One labelled instance.

    Attributes:
        id, image_id, category_id: as in the file; ``image`` is the position in the data set's ``images``.
        keypoints: (K, 2) float64 image pixels. visibility: (K,) float64, the file's numbers (0, 1, 2, or a fraction).
        weights: (K,) float32 in [0, 1], what a point counts in training: min(1, v), or v > 0 in whole-body files.
        covered: (K,) bool; False for points that this data set never labels, see ``engine.formats.datasets.merging``.
        bbox: x, y, width, height of the file, None without. box: (4,) float32, clipped x1, y1, x2, y2.
        area: square pixels of the file, else 0.53 of the bbox as COCO-style metrics put it for files without areas.
        num_keypoints: as the file says, else points of which a coordinate is not 0.
        category: its name. source: name of the kind of data set.
        raw: the record's JSON text, b"" where there is none.
    """

    id: Id
    image: int
    image_id: Id
    keypoints: Floats
    visibility: Floats
    weights: Weights
    covered: Mask
    bbox: tuple[float, float, float, float] | None
    box: Weights
    area: float
    iscrowd: bool
    num_keypoints: int
    category_id: Id
    category: str
    source: str
    raw: bytes | msgspec.Raw = b""

    @property
    def extras(self) -> dict[str, Any]:
        """The whole record of the file as plain data (``segmentation``, ``face_valid``, ``style``, ...)."""
        return load_record(bytes(self.raw), f"annotation {self.id}") if len(self.raw) else {}

    @property
    def fault(self) -> str:
        """Why top-down training and evaluation leave the instance out, "" for one that is fit.

        The rules are MMPose's: crowds, instances counted as without keypoints, boxes that are missing or without
        extent once clipped, and instances of which no coordinate is above 0.
        """
        if self.iscrowd:
            return CROWD
        if self.num_keypoints == 0:
            return NO_POINTS
        if self.bbox is None:
            return NO_BOX
        if not (self.box[2] > self.box[0] and self.box[3] > self.box[1]):
            return EMPTY_BOX
        if not self.keypoints.size or self.keypoints.max() <= 0:
            return OUTSIDE
        return ""


@dataclass(frozen=True, eq=False)
class KeypointDataset:
    """A data set in one schema.

    Attributes:
        kind: name in the table of kinds. file: where the annotations were read.
        images: all images of the file, also those without instances.
        samples: all instances with keypoints, also crowds and the like; :meth:`usable` leaves those out.
        categories: as in the file. header: other top-level keys of a COCO-style file.
        dropped: why records gave no sample, with how often.
    """

    kind: str
    file: Path
    schema: Schema
    images: tuple[ImageRecord, ...]
    samples: tuple[TopDownSample, ...]
    categories: tuple[CocoCategory, ...]
    header: dict[str, msgspec.Raw] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.samples)

    def image_of(self, sample: TopDownSample) -> ImageRecord:
        return self.images[sample.image]

    def usable(self) -> KeypointDataset:
        """Only the samples without a fault; the others are counted in ``dropped``."""
        faults = Counter(fault for sample in self.samples if (fault := sample.fault))
        return replace(self._with(lambda sample: not sample.fault), dropped=self.dropped + faults)

    def of_categories(self, names: Sequence[str]) -> KeypointDataset:
        """Only the samples and categories of these names; all images stay."""
        requested = set(names)
        categories = tuple(category for category in self.categories if category.name in requested)
        return replace(self._with(lambda sample: sample.category in requested), categories=categories)

    def with_instances(self) -> KeypointDataset:
        """Only the images that some sample stands in."""
        order = sorted({sample.image for sample in self.samples})
        new_position = {old: new for new, old in enumerate(order)}
        samples = tuple(replace(sample, image=new_position[sample.image]) for sample in self.samples)
        return replace(self, images=tuple(self.images[i] for i in order), samples=samples)

    def _with(self, keep: Callable[[TopDownSample], bool]) -> KeypointDataset:
        return replace(self, samples=tuple(sample for sample in self.samples if keep(sample)))
