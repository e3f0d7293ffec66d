"""Random augmentation of crops for training. NumPy and OpenCV only.

Affines are (2, 3) float64 and map image pixels to crop pixels (pixel centers at integers). Every random choice comes
from the generator that is passed in, so a sample depends on nothing but its seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.train.config import AugmentConfig

Image = npt.NDArray[np.uint8]
Array = npt.NDArray[np.floating]


@dataclass(frozen=True)
class View:
    """How a crop differs from an unchanged one: degrees, factor of its side, shift as shares of it, mirrored or not."""

    rotation: float = 0.0
    scale: float = 1.0
    shift: tuple[float, float] = (0.0, 0.0)
    flip: bool = False


PLAIN = View()


def random_view(config: AugmentConfig, rng: np.random.Generator) -> View:
    """Draw a view. The scale is uniform on a logarithmic axis: doubling is as likely as halving."""
    low, high = np.log(config.scale[0]), np.log(config.scale[1])
    shift = rng.uniform(-config.shift, config.shift, 2)
    return View(
        rotation=float(rng.uniform(-config.rotation, config.rotation)) if config.rotation > 0 else 0.0,
        scale=float(np.exp(rng.uniform(low, high))),
        shift=(float(shift[0]), float(shift[1])),
        flip=bool(rng.random() < config.flip),
    )


def mirror(affine: Array, width: int) -> Array:
    """The affine followed by a horizontal mirror of the crop: x' = width - 1 - x."""
    mirrored = np.array(affine, dtype=np.float64)
    mirrored[0] *= -1
    mirrored[0, 2] += width - 1
    return mirrored


def random_color(image: Image, config: AugmentConfig, rng: np.random.Generator) -> Image:
    """Random brightness, contrast and gain of each channel, by one lookup table per channel."""
    if not (config.brightness or config.contrast or config.color):
        return image
    contrast = 1 + rng.uniform(-config.contrast, config.contrast)
    brightness = 255 * rng.uniform(-config.brightness, config.brightness)
    gain = 1 + rng.uniform(-config.color, config.color, 3)
    levels = np.arange(256, dtype=np.float64)[:, None] * gain[None]
    table = np.clip((levels - 127.5) * contrast + 127.5 + brightness, 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.LUT(image, table.reshape(256, 1, 3)), np.uint8)
