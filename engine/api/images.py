"""What a caller may pass as an image or as boxes, turned into what the networks take."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.errors import MediaError, quoted
from engine.media.bit_depth import used_bits
from engine.media.images import read_image
from engine.media.source import frame_file_name, is_video

if TYPE_CHECKING:
    from PIL.Image import Image as PilImage

RgbImage = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating[Any]]
CHANNELS = (1, 3, 4)


@dataclass(frozen=True, eq=False)
class ImageSource:
    """One image to find poses in, and how to read it (again).

    Attributes:
        name: how messages and COCO files call it: the path as the caller wrote it, or "" for pixels without a file.
        read: gives RGB uint8 (H, W, 3).
        video: the video it is a frame of, as the caller wrote it, or "".
        frame: number of the frame in that video, counted from 0.
    """

    name: str
    read: Callable[[], RgbImage]
    video: str = ""
    frame: int = 0


def image_source(image: Any, where: str = "") -> ImageSource:
    """The source of one image; pixels are converted now, files are read later.

    Args:
        where: how messages call an image that is not a file, such as ``"images[3]"``.

    Raises:
        MediaError: not an image, or one that cannot be used; the message says what to pass instead.
    """
    if isinstance(image, str | os.PathLike):
        path = _image_path(image, where)
        return ImageSource(path.as_posix(), partial(read_image, path))
    pixels = rgb_image(image, where or "image")
    return ImageSource("", lambda: pixels)


def is_one_image(images: Any) -> bool:
    """Whether an argument is one image (or something that is certainly not a list of images)."""
    if isinstance(images, str | bytes | bytearray | memoryview | os.PathLike | dict) or hasattr(images, "__array__"):
        return True
    return _is_pil(images) or not hasattr(images, "__iter__")


def image_sources(images: Iterable[Any]) -> Iterator[ImageSource]:
    """The sources of several images, one at a time."""
    for position, image in enumerate(images):
        yield image_source(image, f"images[{position}]")


def video_path(video: Any) -> Path:
    """The path of a video file.

    Raises:
        MediaError: missing, a folder, an image, or not a path.
    """
    if not isinstance(video, str | os.PathLike):
        raise MediaError(f"a video must be the path of a file, not {_type_name(video)}; for images call model(images)")
    path = Path(video)
    if path.is_dir():
        raise MediaError("is a folder, not a video; pass the path of one video file", where=path)
    if not path.exists():
        raise MediaError("does not exist", where=path)
    if not is_video(path):
        raise MediaError("is not a video (by its suffix); for an image call model(path)", where=path)
    return path


def video_frames(video: str | os.PathLike[str]) -> Generator[ImageSource]:
    """The frames of a video in order, each decoded when it is read. Close the iterator to close the file."""
    from engine.media.source import open_media
    from engine.media.video.index.index import index_folder

    path = video_path(video)
    name = Path(video).as_posix()
    with closing(open_media(path, cache=index_folder())) as frames:
        for index in range(frames.frame_count):
            yield frame_source(name, index, partial(frames.read, index))


def frame_source(video: str, index: int, read: Callable[[], RgbImage] | None = None) -> ImageSource:
    """A frame of a video; ``read`` where the video is open, else it is opened again for the frame."""
    return ImageSource(frame_file_name(video, index), read or partial(read_frame, video, index), video, index)


def read_frame(video: str, index: int) -> RgbImage:
    """One frame of a video: RGB uint8 (H, W, 3).

    Raises:
        MediaError: the video is gone, or the frame is damaged.
    """
    from engine.media.reader import FrameReader

    with FrameReader(keep=1) as reader:
        return reader.read(Path(video), index)


def rgb_image(image: Any, where: str = "image") -> RgbImage:
    """Pixels as RGB uint8 (H, W, 3).

    Args:
        image: a PIL image, or an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) in the order R, G, B, alpha. A single
            channel becomes three equal ones, alpha is dropped. Values: ``uint8`` as they are; ``bool`` as black and
            white; other integers up to 255 as they are, up to 65535 as samples of 10, 12, 14 or 16 bits, whichever the
            largest needs; floats with a maximum up to 1 as fractions, up to 255 as values of 8 bits.

    Raises:
        MediaError: another shape or type, no pixels, NaN, or values outside these ranges.
    """
    if _is_pil(image):
        image = _pil_pixels(image)
    elif isinstance(image, bytes | bytearray | memoryview):
        raise MediaError("is encoded bytes; decode them with PIL.Image.open(io.BytesIO(data))", where=where)
    elif not hasattr(image, "__array__"):
        raise MediaError(
            f"must be a path, an array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), or a PIL image, "
            f"not {_type_name(image)}",
            where=where,
        )
    try:
        array = np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:  # a tensor on a graphics card, or one with gradients
        raise MediaError(f"cannot be read as a NumPy array: {error}", where=where) from None
    _check_shape(array, where)
    pixels = _as_8_bits(array, where)
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(pixels[..., :3])


def checked_boxes(boxes: Any, where: str = "boxes") -> npt.NDArray[np.float64]:
    """Boxes (N, 4) of one image: x1, y1, x2, y2 in image pixels. One box may be given as (4,).

    Raises:
        MediaError: another shape, numbers that are not finite, fractions of the image, or boxes without an area.
    """
    try:
        array = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise MediaError("must be an array (N, 4) of numbers: x1, y1, x2, y2 in image pixels", where=where) from None
    if array.shape == (4,):
        array = array.reshape(1, 4)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise MediaError(
            f"must have the shape (N, 4): x1, y1, x2, y2 in image pixels; this has {array.shape}", where=where
        )
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if len(bad):
        raise MediaError("has a number that is not finite", where=f"{where}[{bad[0]}]")
    bad = np.flatnonzero((array[:, 2:] <= array[:, :2]).any(axis=1))
    if len(bad):
        raise MediaError(
            f"{_numbers(array[bad[0]])} has no area as x1, y1, x2, y2; for x, y, width, height pass "
            "[x, y, x + width, y + height]",
            where=f"{where}[{bad[0]}]",
        )
    if array.max() <= 1:
        raise MediaError(
            "must be in image pixels, and these are all within one pixel; multiply fractions of the image by its width "
            "and height",
            where=where,
        )
    return array


def check_boxes_in_image(boxes: Floats, image: RgbImage, where: str = "boxes") -> None:
    """Refuse boxes that do not overlap the image; they may reach beyond it.

    Raises:
        MediaError: naming the first such box.
    """
    height, width = image.shape[:2]
    outside = (boxes[:, 0] >= width) | (boxes[:, 1] >= height) | (boxes[:, 2] <= 0) | (boxes[:, 3] <= 0)
    bad = np.flatnonzero(outside)
    if len(bad):
        raise MediaError(
            f"{_numbers(boxes[bad[0]])} lies outside the image, which is {width} x {height} pixels",
            where=f"{where}[{bad[0]}]",
        )


def listed_boxes(boxes: Any, count: int | None, images: str = "images") -> list[npt.NDArray[np.float64]]:
    """Boxes of several images, one array for each.

    Raises:
        MediaError: not one array an image, or an array that :func:`checked_boxes` refuses.
    """
    if not isinstance(boxes, Sequence) and not (isinstance(boxes, np.ndarray) and boxes.ndim == 3):
        raise MediaError(f"must be a list with one array (N, 4) for each of the {images}", where="boxes")
    if count is not None and len(boxes) != count:
        raise MediaError(
            f"has {len(boxes)} entries for {count} {images}; give one array (N, 4) for each", where="boxes"
        )
    return [checked_boxes(each, f"boxes[{position}]") for position, each in enumerate(boxes)]


def _image_path(image: str | os.PathLike[str], where: str) -> Path:
    text = os.fspath(image)
    prefix = f"{where}: " if where else ""
    if isinstance(text, str) and text.startswith(("http://", "https://")):
        raise MediaError("is a web address; download the file and pass its path", where=f"{prefix}{text}")
    path = Path(image)
    if path.is_dir():
        raise MediaError(
            "is a folder; pass its files: model(sorted(Path(folder).glob('*.jpg')))", where=f"{prefix}{path}"
        )
    if not path.exists():
        raise MediaError("does not exist", where=f"{prefix}{path}")
    if is_video(path):
        raise MediaError(
            "is a video among images; pass it alone: model(video) or model.track(video)", where=f"{prefix}{path}"
        )
    return path


def _check_shape(array: npt.NDArray[Any], where: str) -> None:
    shape = array.shape
    if array.ndim == 4:
        raise MediaError(f"has the shape {shape}, a batch; pass a list of images: list(array)", where=where)
    if array.ndim == 3 and shape[2] not in CHANNELS and shape[0] in CHANNELS:
        raise MediaError(
            f"has the shape {shape}: channels come last; pass array.transpose(1, 2, 0) (a torch tensor: "
            "tensor.permute(1, 2, 0))",
            where=where,
        )
    if array.ndim not in (2, 3) or (array.ndim == 3 and shape[2] not in CHANNELS):
        raise MediaError(f"has the shape {shape}, not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)", where=where)
    if array.size == 0:
        raise MediaError(f"has no pixels (shape {shape})", where=where)


def _as_8_bits(array: npt.NDArray[Any], where: str) -> RgbImage:
    kind = array.dtype.kind
    if array.dtype == np.uint8:
        return array
    if kind == "b":
        return np.asarray(array, np.uint8) * np.uint8(255)
    if kind not in "iuf":
        raise MediaError(f"has the type {array.dtype}, not integers or floats", where=where)
    if kind == "f" and not np.isfinite(array).all():
        raise MediaError("has NaN or infinite values", where=where)
    low, high = array.min(), array.max()
    if kind == "f":
        if low < 0 or high > 255:
            raise MediaError(
                f"has values from {low:.4g} to {high:.4g}; floats must be within 0..1 or 0..255 (undo a normalization "
                "with mean and standard deviation)",
                where=where,
            )
        scaled = array.astype(np.float64) * 255 if high <= 1 else array
        return np.round(scaled).astype(np.uint8)
    if low < 0 or high > 65535:
        raise MediaError(f"has values from {low} to {high}; integers must be within 0..255 or 0..65535", where=where)
    shift = used_bits(array.astype(np.uint16)) - 8
    return (array.astype(np.uint16) >> shift).astype(np.uint8)


def _is_pil(image: Any) -> bool:
    """Whether it is a PIL image, without importing PIL."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(image, module.Image)


def _pil_pixels(image: PilImage) -> npt.NDArray[Any]:
    """(H, W) or (H, W, 3), upright as the EXIF orientation says."""
    from PIL import ImageOps

    try:
        upright = ImageOps.exif_transpose(image)
        return np.asarray(upright if upright.mode.startswith(("I", "F")) else upright.convert("RGB"))
    except OSError as error:  # PIL decodes late
        raise MediaError(f"cannot be decoded ({error})", where=getattr(image, "filename", "") or "image") from None


def _type_name(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} ({quoted(repr(value))})"


def _numbers(box: Floats) -> str:
    return "[" + ", ".join(f"{value:g}" for value in box.tolist()) + "]"
