"""Poses drawn over an image, for a quick look at what a model found."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.pose import Prediction
from engine.schema.schema import Schema
from engine.utils.files import replacing

Image = npt.NDArray[np.uint8]
Color = tuple[int, int, int]

# Positions are handed to OpenCV in 1/16 pixel.
SHIFT = 4
OUTLINE: Color = (16, 16, 16)
WRITTEN_SUFFIXES = (".jpg", ".jpeg", ".png")


def draw_poses(
    image: Image,
    predictions: Sequence[Prediction],
    schema: Schema,
    threshold: float = 0.2,
    colors: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]] | None = None,
) -> Image:
    """A copy of the image with every pose: limbs, points, box.

    Args:
        image: RGB uint8 (H, W, 3).
        schema: names the limbs and, where it does, the colors.
        threshold: points with a lower score, and limbs that end in one, are left out.
        colors: per prediction RGB of its points (K, 3) and limbs (L, 3), in the order of the schema; those of the
            schema if left out.
    """
    canvas = image.copy()
    thickness = max(1, round(min(image.shape[:2]) / 240))
    points_colors, limb_colors = _colors(schema)
    for index in reversed(range(len(predictions))):  # the best on top
        prediction = predictions[index]
        if colors is not None:
            points_colors, limb_colors = ([tuple(c) for c in each.tolist()] for each in colors[index])
        x1, y1, x2, y2 = prediction.box
        cv2.rectangle(canvas, _fixed((x1, y1)), _fixed((x2, y2)), (255, 255, 255), 1, cv2.LINE_AA, SHIFT)
        seen = (prediction.keypoints[:, 2] >= threshold) & np.isfinite(prediction.keypoints).all(1)
        for (a, b), color in zip(schema.limb_indices, limb_colors, strict=True):
            if seen[a] and seen[b]:
                ends = _fixed(prediction.keypoints[a]), _fixed(prediction.keypoints[b])
                cv2.line(canvas, *ends, OUTLINE, thickness + 2, cv2.LINE_AA, SHIFT)
                cv2.line(canvas, *ends, color, thickness, cv2.LINE_AA, SHIFT)
        for point, color in zip(prediction.keypoints[seen], np.array(points_colors)[seen].tolist(), strict=True):
            radius = (thickness + 1) << SHIFT
            cv2.circle(canvas, _fixed(point), radius + (1 << SHIFT), OUTLINE, -1, cv2.LINE_AA, SHIFT)
            cv2.circle(canvas, _fixed(point), radius, color, -1, cv2.LINE_AA, SHIFT)
    return canvas


def write_image(path: Path | str, image: Image) -> None:
    """Write RGB uint8 (H, W, 3) as JPEG or PNG, whole or not at all; folders are made.

    Raises:
        MediaError: the file cannot be written.
    """
    path = Path(path)
    done, data = cv2.imencode(path.suffix.lower(), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not done:
        raise MediaError("the image cannot be encoded", where=path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o644, sync=False) as temporary:
            temporary.write_bytes(data.tobytes())
    except OSError as error:
        raise MediaError(f"cannot be written ({error.strerror or error})", where=path) from None


def overlay_name(file_name: str) -> str:
    """Where the overlay of an image goes below the overlays' folder: the same name, as PNG where it is no JPEG."""
    parts = [part for part in Path(file_name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    name = "/".join(part.rstrip(":/") for part in parts)
    return name if name.lower().endswith(WRITTEN_SUFFIXES) else f"{name}.png"


def _colors(schema: Schema) -> tuple[list[Color], list[Color]]:
    """Of the points and of the limbs; where the schema gives none, hues all around."""
    count = schema.num_keypoints
    points = [_rgb(point.color) or _hue(i / count) for i, point in enumerate(schema.keypoints)]
    limbs = [
        _rgb(limb.color) or points[b] for limb, (_, b) in zip(schema.limbs, schema.limb_indices.tolist(), strict=True)
    ]
    return points, limbs


def _rgb(color: str) -> Color | None:
    return (int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)) if color else None


def _hue(part: float) -> Color:
    r, g, b = colorsys.hsv_to_rgb(part, 0.75, 1.0)
    return round(r * 255), round(g * 255), round(b * 255)


def _fixed(point: npt.ArrayLike) -> tuple[int, int]:
    # Far outside the image the drawing routines overflow; nothing is seen there anyway.
    x, y = np.clip(np.asarray(point, np.float64)[:2], -30000, 30000) * (1 << SHIFT)
    return round(x), round(y)
