"""Frames of a TIFF with several pages, or of an animated WebP. (Animated GIF and PNG are read as videos are.)"""

from __future__ import annotations

import io
import mmap
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

import cv2
import numpy as np
import numpy.typing as npt

from engine.errors import MediaError
from engine.media.bit_depth import bits_in_use, decode_rgb
from engine.media.frame_index import check_index
from engine.media.image_headers import ImageHeader, read_header
from engine.media.images import check_header, upright
from engine.media.pages.tiff import is_tiff, layout_of, tiff_pages
from engine.media.pages.webp import frame_durations
from engine.utils.files import MAX_IMAGE_BYTES, open_regular, read_bytes

Image = npt.NDArray[np.uint8]

CACHE_BYTES = 256 << 20
TIFF_RATE = Fraction(30)
"""Pages a second: a TIFF does not tell times."""
_SAMPLED_PAGES = 16
_MOST_AT_ONCE = 32


class PagesReader:
    """The pictures of one file. A :class:`~engine.media.source.FrameSource`; belongs to one thread.

    Nothing is held open between two calls. A page of a TIFF is found by the place of its directory, whatever its number
    is. Frames of a WebP build on each other, so some are decoded together and kept.

    Args:
        cache_bytes: decoded frames of a WebP are kept up to this.

    Raises:
        MediaError: missing, too large, or neither a TIFF nor an animated WebP that can be read.
    """

    def __init__(self, path: Path | str, *, cache_bytes: int = CACHE_BYTES) -> None:
        self.path = Path(path)
        self.problems: list[str] = []
        self._cache_bytes = cache_bytes
        self._kept: OrderedDict[int, Image] = OrderedDict()
        self._pages: list[int] = []
        self._bits = 8
        with self._errors():
            with open_regular(self.path) as file:
                self._is_tiff = is_tiff(file.read(16))
                if self._is_tiff:
                    self._pages = tiff_pages(file)
                    durations = [1 / TIFF_RATE] * len(self._pages)
                else:
                    durations = frame_durations(file)
                    header = read_header(file)
            self.frame_count = len(durations)
            if not self.frame_count:
                raise MediaError("holds no pages or frames that can be read", where=self.path)
            if self._is_tiff:
                with self._page(0) as (_, header):
                    pass
                self._bits = self._bits_of_all()
        if header is None:
            raise MediaError("has no header that can be read", where=self.path)
        check_header(header, self.path)
        self._header: ImageHeader = header
        self.size = header.size
        self._times = [Fraction(0), *accumulate(durations[:-1])]

    @property
    def times(self) -> list[Fraction]:
        """Seconds from the first frame to each."""
        return list(self._times)

    def exact_time(self, index: int) -> Fraction:
        """Seconds from the first frame to this one, exactly as the file has it."""
        return self._times[check_index(index, self.frame_count)]

    def time(self, index: int) -> float:
        """Seconds from the first frame to this one."""
        return float(self.exact_time(index))

    def read(self, index: int, max_side: int | None = None, stop: Callable[[], bool] | None = None) -> Image:
        """RGB uint8 (H, W, 3), upright, C-contiguous; the caller's own. Pages of a TIFF may differ in size.

        Args:
            max_side: make the picture small enough for it.
            stop: of no use here: a page is read in one go.

        Raises:
            IndexError: there is no such frame.
            MediaError: the frame is damaged or too large, or the file is gone.
        """
        check_index(index, self.frame_count)
        with self._errors():
            image = self._read_page(index) if self._is_tiff else self._read_frame(index)
        height, width = image.shape[:2]
        if max_side is not None and max(height, width) > max_side:
            scale = max_side / max(height, width)
            size = (max(1, round(width * scale)), max(1, round(height * scale)))
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.ascontiguousarray(image)

    def read_near(self, index: int, max_side: int | None = None) -> tuple[int, Image]:
        """The number of a frame that is quick to get, and its picture: always the frame itself."""
        return index, self.read(index, max_side)

    def is_quick(self, index: int) -> bool:
        """Whether a frame is quick to get: always, compared with the way to a frame of a video."""
        check_index(index, self.frame_count)
        return True

    def key_frames(self) -> npt.NDArray[np.int32]:
        """Frames at which decoding can start: all of a TIFF, the first of a WebP."""
        return np.arange(self.frame_count if self._is_tiff else 1, dtype=np.int32)

    def close(self) -> None:
        """Give back memory. May be called twice."""
        self._kept.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_page(self, index: int) -> Image:
        with self._page(index) as (view, header):
            if header is None:
                raise MediaError(f"page {index} is damaged", where=self.path)
            check_header(header, self.path)
            try:
                image = decode_rgb(view, self._bits)  # libtiff turns it upright itself
            except cv2.error:
                image = None
        if image is None:
            raise MediaError(f"page {index} is damaged, or of an unsupported type", where=self.path)
        return image

    def _bits_of_all(self) -> int:
        """Bits a sample that the pages use, as some of them tell: pages of one stack keep their brightness."""
        step = max(1, self.frame_count // _SAMPLED_PAGES)
        most = 8
        for index in range(0, self.frame_count, step):
            with self._page(index) as (view, header):
                if header is None or header.bytes_per_pixel < 2:
                    continue
                try:
                    check_header(header, self.path)
                    most = max(most, bits_in_use(view))
                except (MediaError, cv2.error):  # told when the page is read
                    continue
        return most

    @contextmanager
    def _page(self, index: int) -> Iterator[tuple[memoryview, ImageHeader | None]]:
        """The file as one whose first directory is that of a page, and what its header says. The memory is a private
        copy of the file's, page by page as they are touched; the file stays as it is."""
        with open_regular(self.path) as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        layout = layout_of(mapped[:16])
        mapped[layout.first : layout.first + layout.offset] = self._pages[index].to_bytes(layout.offset, layout.order)
        try:
            header = read_header(cast(BinaryIO, _Mapped(mapped)))
            with memoryview(mapped) as view:
                yield view, header
        finally:
            mapped.close()

    def _read_frame(self, index: int) -> Image:
        if index not in self._kept:
            self._decode_from(index)
        if index not in self._kept:
            raise MediaError(f"frame {index} is damaged", where=self.path)
        self._kept.move_to_end(index)
        return self._kept[index].copy()

    def _decode_from(self, index: int) -> None:
        """Decode some frames from one on; the first takes as long as all of them up to it."""
        width, height = self.size
        room = max(1, self._cache_bytes // (width * height * 4) // 2)
        count = min(room, _MOST_AT_ONCE, self.frame_count - index)
        data = np.frombuffer(read_bytes(self.path, MAX_IMAGE_BYTES), np.uint8)
        try:
            _, animation = cv2.imdecodeanimation(data, index, count)
        except cv2.error:
            return
        for offset, frame in enumerate(animation.frames[:count]):
            color = cv2.COLOR_BGRA2RGB if frame.shape[2] == 4 else cv2.COLOR_BGR2RGB
            image = upright(np.asarray(cv2.cvtColor(frame, color), np.uint8), self._header.orientation)
            self._kept[index + offset] = image
        while len(self._kept) > max(room * 2, 1) and len(self._kept) > count:
            self._kept.popitem(last=False)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise MediaError("does not exist", where=self.path) from None
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
            raise MediaError(f"cannot be read ({reason})", where=self.path) from None
        except MemoryError:
            raise MediaError("is too large for the memory of this computer", where=self.path) from None


class _Mapped(io.RawIOBase):
    """A mapped file as one that can be read; it does not close what it reads."""

    def __init__(self, mapped: mmap.mmap) -> None:
        self._mapped, self._at = mapped, 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: len(self._mapped)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = len(self._mapped) if size is None or size < 0 else self._at + size
        data = self._mapped[self._at : end]
        self._at += len(data)
        return data

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True
