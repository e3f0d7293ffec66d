"""Still images: always RGB, uint8, (H, W, 3), upright.

The EXIF orientation is applied once, here; grey becomes three equal channels, 16 bits become 8 (also where fewer of
them are in use, see :mod:`engine.media.bit_depth`), palettes and CMYK become RGB and an alpha channel is dropped. HEIC
needs the optional package pi-heif (or pillow-heif). Of files with several pictures the first is taken (see
:mod:`engine.media.pages`). Paths may hold any character: files are read by Python and decoded from memory.
"""

from __future__ import annotations

import heapq
import importlib
import io
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.bit_depth import decode_rgb
from engine.media.image_headers import ImageHeader, png_is_intact, read_header
from engine.media.isobmff import kind_of, largest_size
from engine.utils.files import MAX_IMAGE_BYTES, FileError, open_regular, read_bytes

Image = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif",
     ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".avif", ".heic", ".heif", ".hif"}
)  # fmt: skip
# 268 million pixels are 0.8 GB of RGB; a header that announces more is a mistake or a trap.
MAX_PIXELS = 1 << 28
# Of the decoder's own buffer: 100 million pixels of four 16-bit channels are 0.8 GB.
MAX_DECODED_BYTES = 3 << 29

_LOT = 8192
_BRANDS = 64
_DIGITS = re.compile(r"(\d+)")

# Every fault becomes a MediaError with the file's name; the decoder's own lines on standard error would only repeat it.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_image(path: Path | str) -> Image:
    """Read an image file.

    Returns:
        RGB uint8 (H, W, 3), C-contiguous, upright.

    Raises:
        MediaError: missing, empty, broken, cut short, too large, or of a kind that cannot be read.
    """
    path = Path(path)
    try:
        data = read_bytes(path, MAX_IMAGE_BYTES)
    except OSError as error:
        raise MediaError(_reason(error, path), where=path) from None
    except MemoryError:
        raise MediaError("is too large for the memory of this computer", where=path) from None
    return decode_image(data, where=path)


def decode_image(data: bytes, *, where: object = None) -> Image:
    """As :func:`read_image`, from the bytes of a file."""
    if not data:
        raise MediaError("is empty (0 bytes)", where=where)
    header = read_header(io.BytesIO(data))
    kind = kind_of(data[:_BRANDS])
    if header is None and kind == "avif":  # a picture that is cut: its size is not read, but is announced
        header_of_size = ImageHeader("avif", *largest_size(data))
        check_header(header_of_size, where)
    elif header is None and kind != "heic":  # that decoder checks sizes itself
        raise MediaError(_why_undecodable(data, header), where=where)
    if header is not None:
        check_header(header, where)
        if header.format == "png" and not png_is_intact(data):
            raise MediaError(_why_undecodable(data, header), where=where)
    if kind == "heic":
        return _decode_heic(data, where)
    try:
        # The orientation is ours to apply, so that it agrees with image_size whatever the decoder knows.
        image = decode_rgb(data)
    except cv2.error:
        image = None
    except MemoryError:
        raise MediaError("is too large for the memory of this computer", where=where) from None
    if image is None:
        raise MediaError(_why_undecodable(data, header), where=where)
    # libtiff turns the picture upright itself; turning it again would undo that.
    orientation = 1 if header is None or header.format == "tiff" else header.orientation
    return np.ascontiguousarray(upright(image, orientation))


def image_size(path: Path | str) -> tuple[int, int]:
    """Width and height of the image that :func:`read_image` would give, from the header where the format allows it.

    Raises:
        MediaError: as :func:`read_image`; damage behind the header is not noticed.
    """
    path = Path(path)
    try:
        with open_regular(path, MAX_IMAGE_BYTES) as file:
            header = read_header(file)
    except OSError as error:
        raise MediaError(_reason(error, path), where=path) from None
    if header is not None:
        check_header(header, path)
        return header.size
    height, width = read_image(path).shape[:2]
    return width, height


def list_images(
    folder: Path | str, recursive: bool = True, unreadable: Callable[[MediaError], object] | None = None
) -> list[Path]:
    """The image files of a folder in natural order ("2.png" before "10.png"), a folder's files before its subfolders,
    without hidden ones.

    Args:
        unreadable: called for each subfolder that cannot be read, and the others are listed; None = raise.

    Raises:
        MediaError: the folder is missing or cannot be read, or a subfolder cannot and ``unreadable`` is None.
    """
    root = Path(folder)
    return [root / name for name in list_image_names(folder, recursive, unreadable)]


def list_image_names(
    folder: Path | str, recursive: bool = True, unreadable: Callable[[MediaError], object] | None = None
) -> list[str]:
    """As :func:`list_images`, as paths below the folder with forward slashes: much quicker for huge folders."""

    def refuse(error: OSError) -> None:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        problem = MediaError(reason, where=error.filename or folder)
        if unreadable is None or error.filename in (None, root):
            raise problem
        unreadable(problem)

    root = os.fspath(folder)
    names_by_key: dict[str, list[str]] = {}
    for parent, folders, names in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        images = [name for name in names if is_image(name) and not name.startswith(".")]
        if images:
            below = os.path.relpath(parent, root).replace(os.sep, "/")
            names_by_key["" if below == "." else f"{below}/"] = images
    order = sorted(names_by_key, key=lambda below: [_natural(part) for part in below.split("/")[:-1]])
    return [below + name for below in order for name in _naturally_sorted(names_by_key[below])]


def is_image(name: Path | str) -> bool:
    """Whether the file's suffix is that of an image format we read."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _naturally_sorted(names: list[str]) -> list[str]:
    """Names as people order them: numbers by value, letters without case."""
    keyed = [(_natural(name), name) for name in names]
    # One sort of 200,000 would keep every other thread waiting for as long as it takes; a merge does not.
    lots = [sorted(keyed[start : start + _LOT]) for start in range(0, len(keyed), _LOT)]
    return [name for _, name in (lots[0] if len(lots) == 1 else heapq.merge(*lots))]


def _natural(text: str) -> str:
    """A text that sorts as ``text`` is to: a number by its count of digits and then by these, before any letter."""
    return "".join(_piece(piece) for piece in _DIGITS.split(text.casefold()) if piece)


def _piece(piece: str) -> str:
    if not piece.isdecimal():
        return f"\x01{piece}"
    digits = piece.lstrip("0") if piece.isascii() else str(int(piece)).lstrip("0")
    return f"\x00{chr(len(digits))}{digits}"


def upright(image: Image, orientation: int) -> Image:
    """Apply EXIF orientation 1..8: what row 0 and column 0 of the stored picture are in the upright one."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return image


def _decode_heic(data: bytes, where: object) -> Image:
    """The decoder turns the picture upright itself."""
    library = _heic_library()
    if library is None:
        raise MediaError(
            "is a HEIC image; to read these, install the package pi-heif (pip install pi-heif), "
            "or convert it to JPEG or PNG",
            where=where,
        )
    try:
        heif_file = library.open_heif(io.BytesIO(data), convert_hdr_to_8bit=True)
        width, height = heif_file.size
        check_header(ImageHeader("heic", width, height), where)
        rows = np.frombuffer(heif_file.data, np.uint8).reshape(height, heif_file.stride)
    except (OSError, ValueError, EOFError, SyntaxError, RuntimeError):
        raise MediaError("is a damaged HEIC image (cut short?); copy or export it again", where=where) from None
    except MemoryError:
        raise MediaError("is too large for the memory of this computer", where=where) from None
    channels = len(heif_file.mode)
    pixels = rows[:, : width * channels].reshape(height, width, channels)
    return np.ascontiguousarray(pixels[..., :3] if channels >= 3 else np.repeat(pixels[..., :1], 3, axis=2))


@cache
def _heic_library() -> Any:
    for name in ("pi_heif", "pillow_heif"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def check_header(header: ImageHeader, where: object) -> None:
    """Refuse pictures that take too much memory.

    Raises:
        MediaError: it has too many pixels.
    """
    if header.width * header.height > MAX_PIXELS:
        raise MediaError(
            f"is too large: {header.width} x {header.height} pixels, at most {MAX_PIXELS >> 20} million are read",
            where=where,
        )
    if header.decoded_bytes > MAX_DECODED_BYTES:
        raise MediaError(
            f"is too large: {header.width} x {header.height} pixels take {header.decoded_bytes / 1e9:.1f} GB, "
            f"at most {MAX_DECODED_BYTES / 1e9:.1f} GB are used",
            where=where,
        )


def _why_undecodable(data: bytes, header: ImageHeader | None) -> str:
    if header is None:
        if kind_of(data[:_BRANDS]) is not None:
            return "is a damaged AVIF image, or of an unsupported type; convert it to JPEG or PNG"
        return "is not an image of a known format, or its header is damaged"
    if header.format == "avif":
        return "is a damaged AVIF image (cut short?), or of an unsupported type; convert it to JPEG or PNG"
    if header.format == "tiff":
        return "is a damaged TIFF, or of an unsupported type (floating-point samples); convert it to PNG"
    return f"is a damaged {header.format.upper()} image (cut short?); copy or export it again"


def _reason(error: OSError, path: Path) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist"
    if path.is_dir():
        return "is a folder, not an image"
    if isinstance(error, FileError):
        return error.message
    return f"cannot be read ({error.strerror or error})"
