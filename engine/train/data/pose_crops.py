"""A cache of decoded images, and pose samples cropped from them. NumPy and OpenCV only."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.geometry import apply_affine, box_to_center_scale, crop_affine, warp
from engine.media.images import read_image
from engine.train.config import AugmentConfig
from engine.train.data.augmentation import PLAIN, View, mirror, random_color, random_view
from engine.train.data.training_set import TrainingSet
from engine.utils.skipped import Skipped

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating]


class ImageCache:
    """Decoded images up to a number of bytes; images that do not fit are read again each time.

    Nothing is evicted: every epoch visits all images in another order, so a cache that drops the oldest would mostly
        drop
    images just before they are needed. Thread-safe.

    Args:
        max_bytes: of pixels.
        longest: larger images are shrunk to this longer side; 0 = never.
        skipped: gets the images that cannot be read.
    """

    def __init__(self, max_bytes: int, longest: int = 0, skipped: Skipped | None = None) -> None:
        self.skipped = skipped
        self._images: dict[Path, tuple[Image, float]] = {}
        self._left = max_bytes
        self._longest = longest
        self._lock = threading.Lock()

    def get(self, path: Path) -> tuple[Image, float]:
        """RGB uint8 (H, W, 3), read-only, and the factor by which it was shrunk.

        Raises:
            MediaError: missing or unreadable.
        """
        with self._lock:
            cached = self._images.get(path)
        if cached is not None:
            return cached
        try:
            image, factor = self._shrunk(read_image(path))
        except MediaError as error:
            if self.skipped is not None:
                self.skipped.add_error(error, path)
            raise
        with self._lock:
            if path not in self._images and image.nbytes <= self._left:
                self._images[path] = image, factor
                self._left -= image.nbytes
        return image, factor

    def _shrunk(self, image: Image) -> tuple[Image, float]:
        side = max(image.shape[:2])
        if not self._longest or side <= self._longest:
            return image, 1.0
        factor = self._longest / side
        size = max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor))
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), factor


@dataclass(frozen=True, eq=False)
class PoseSample:
    """A crop (H, W, 3) uint8, its points (K, 2) in crop pixels, which are labelled (K,), and the affine from image to
    crop."""

    crop: Image
    keypoints: Array
    labelled: npt.NDArray[np.bool_]
    affine: Array


class PoseDataset:
    """Crops of a training set's instances.

    Args:
        size: width and height of a crop, pixels.
        padding: the crop is this much larger than the box.
        augment: None = unchanged crops, exactly as in prediction.
    """

    def __init__(
        self, data: TrainingSet, size: tuple[int, int], padding: float, augment: AugmentConfig | None, cache: ImageCache
    ) -> None:
        self.data = data
        self.size = size
        self.padding = padding
        self.augment = augment
        self._cache = cache
        self._swaps = data.schema.flip_indices

    def __len__(self) -> int:
        return len(self.data.instances)

    def sample(self, index: int, rng: np.random.Generator) -> PoseSample:
        """One instance, with random changes drawn from ``rng``."""
        item = self.data.instances[index]
        image, _ = self._cache.get(self.data.images[item.image].path)
        view = PLAIN if self.augment is None else random_view(self.augment, rng)
        affine = self._affine(item.box, view)
        crop = warp(image, affine, self.size)
        keypoints = np.asarray(apply_affine(item.keypoints, affine), np.float32)
        labelled = item.labelled
        if view.flip:
            keypoints, labelled = keypoints[self._swaps], labelled[self._swaps]
        if self.augment is not None:
            crop = random_color(crop, self.augment, rng)
        return PoseSample(crop, keypoints, labelled, affine)

    def _affine(self, box: Array, view: View) -> Array:
        width, height = self.size
        center, scale = box_to_center_scale(box, self.padding, width / height)
        center = np.asarray(center) + np.asarray(view.shift) * np.asarray(scale)
        affine = crop_affine(center, np.asarray(scale) * view.scale, self.size, view.rotation)
        return mirror(affine, width) if view.flip else np.asarray(affine)
