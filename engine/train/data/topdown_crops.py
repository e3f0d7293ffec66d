"""Crops as in the training of the published top-down models. NumPy and OpenCV only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine.geometry import apply_affine, clip_box, warp
from engine.models.metadata import CheckpointInfo
from engine.schema.schema import schema_from_dict
from engine.train.config import TopDownConfig
from engine.train.data.pose_crops import ImageCache
from engine.train.data.topdown_augmentation import Halves, padded_box, placement_affine, random_placement
from engine.train.data.training_set import TrainingSet

Image = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TopDownSample:
    """A crop (H, W, 3) RGB uint8; its points (K, 2) in crop pixels; which are labelled (K,), and which are covered by
    the labels of its data set at all (K,)."""

    crop: Image
    keypoints: npt.NDArray[np.float64]
    labelled: Bools
    covered: Bools


class TopDownDataset:
    """Random crops of a training set's instances.

    Args:
        info: of the network: input size, padding and conventions.
    """

    def __init__(self, data: TrainingSet, info: CheckpointInfo, config: TopDownConfig, cache: ImageCache) -> None:
        self.data = as_published(data)
        self.size = info.input_size
        self.config = config
        self._padding = info.box_padding
        self._udp = info.conventions.get("crop") == "udp"
        self._cache = cache
        schema = data.schema if info.schema is None else schema_from_dict(info.schema)
        upstream = info.conventions.get("flip") == "upstream"
        self._swaps = schema.upstream_flip_indices if upstream else schema.flip_indices
        self._halves = Halves.of(schema)
        self._all = np.ones(schema.num_keypoints, bool)

    def __len__(self) -> int:
        return len(self.data.instances)

    def sample(self, index: int, rng: np.random.Generator) -> TopDownSample:
        """One instance, with random changes drawn from ``rng``.

        Raises:
            MediaError: the image is missing or unreadable.
        """
        item = self.data.instances[index]
        image, _ = self._cache.get(self.data.images[item.image].path)
        width = image.shape[1]
        start = padded_box(item.box, self._padding)
        points = item.keypoints.astype(np.float64)
        placed = random_placement(start, points, item.labelled, self._halves, width, self.config, rng)
        affine = placement_affine(placed, width, self.size, udp=self._udp)
        crop = warp(image, affine, self.size)
        keypoints, labelled = apply_affine(points, affine), item.labelled
        covered = self._all if item.covered is None else item.covered
        if placed.flip:
            swaps = self._swaps
            keypoints, labelled, covered = keypoints[swaps], labelled[swaps], covered[swaps]
        return TopDownSample(crop, keypoints, labelled, covered)


def as_published(data: TrainingSet) -> TrainingSet:
    """The set as the published models were trained on it: boxes are clipped to 0..width - 1 and 0..height - 1;
    instances whose box is then empty, or whose points are all left of or above the image, are left out."""
    instances = []
    for item in data.instances:
        width, height = data.images[item.image].size
        box = clip_box(item.box, width - 1, height - 1).astype(np.float32) if width and height else item.box
        if box[2] > box[0] and box[3] > box[1] and item.keypoints.max() > 0:
            instances.append(replace(item, box=box))
    return replace(data, instances=tuple(instances), skipped=data.skipped + len(data.instances) - len(instances))
