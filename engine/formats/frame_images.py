"""The image files of labels, for formats that need their sizes or that write data sets with images."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from engine.errors import LabelError, PoseError
from engine.formats.registry import WriteOptions
from engine.labels.model import IMAGES, UNKNOWN, Frame
from engine.labels.reader import LabelReader
from engine.media.image_finder import find_images, likely_folders, plain_name
from engine.media.image_headers import read_header_of
from engine.media.video_finder import find_videos
from engine.utils.context import INFO, Context
from engine.utils.files import new_file_mode

if TYPE_CHECKING:
    from engine.media.images import Image
    from engine.media.reader import FrameReader

_MAX_STEM = 180
_MAX_PATH = 1000  # of the about 4,000 that systems allow
_STEP = 100


class FrameImages:
    """Where the images of labels are, their sizes, and copies of them.

    Args:
        labels: their images are looked for around the label file, in its ``image_folder``, and in the folders of media.
    """

    def __init__(self, labels: LabelReader) -> None:
        self._labels = labels
        self._frames = list(labels.frames())
        self._paths: list[Path | None] = [None] * len(self._frames)
        for position, media in enumerate(labels.media):
            if media.type == IMAGES and not labels.holds_images:
                self._find(position, Path(media.path) if media.path else None)
        videos = [media.path for media in labels.media if media.type != IMAGES]
        self._videos = find_videos(videos, labels.path)[0] if videos else {}
        self._header_sizes: dict[int, tuple[int, int] | None] = {}
        self._video_facts: dict[Path, tuple[int, tuple[int, int]] | None] = {}

    def _find(self, media: int, folder: Path | None) -> None:
        positions = [position for position, frame in enumerate(self._frames) if frame.media == media]
        frames = [self._frames[position] for position in positions]
        around = likely_folders(self._labels.path, self._labels.image_folder)
        if self._labels.image_folder is not None and not self._labels.path.is_dir():
            around += likely_folders(self._labels.path)
        if folder is not None:
            around = [folder if folder.is_absolute() else self._labels.path.absolute().parent / folder, *around]
        sizes = [(frame.width, frame.height) for frame in frames]
        matches = find_images([frame.name for frame in frames], around, sizes)
        for position, path in zip(positions, matches.paths, strict=True):
            self._paths[position] = path

    @property
    def frames(self) -> Sequence[Frame]:
        return self._frames

    def path(self, frame: int) -> Path | None:
        """The image file of a frame; None if it is missing, and for frames of videos."""
        return self._paths[frame]

    def size(self, frame: int) -> tuple[int, int] | None:
        """Width and height of a frame in pixels as it is shown: as the labels say, else as the file says."""
        record = self._frames[frame]
        if record.width > 0 and record.height > 0:
            return record.width, record.height
        path = self._paths[frame]
        if path is None:
            facts = self._facts_of(self.video(record.media))
            return None if facts is None else facts[1]
        if frame not in self._header_sizes:  # asked for each pose
            header = read_header_of(path)
            self._header_sizes[frame] = None if header is None else header.size
        return self._header_sizes[frame]

    def has_image(self, frame: int) -> bool:
        """Whether :meth:`place` can make the image of a frame."""
        if self._paths[frame] is not None or self._video_of(frame) is not None:
            return True
        return self._labels.embedded_image(frame) is not None

    def pixels(self, frame: int) -> Image:
        """(H, W, 3) RGB uint8 of a frame, as it is shown.

        Raises:
            PoseError: it is missing, or cannot be read.
        """
        from engine.media.images import decode_image, read_image

        path, video = self._paths[frame], self._video_of(frame)
        if path is not None:
            return read_image(path)
        if video is not None:
            return self._video_reader(video).read(video, self._frames[frame].index)
        data = self._labels.embedded_image(frame)
        if data is None:
            raise LabelError("image not found", where=self._frames[frame].name)
        return decode_image(data)

    def is_video(self, frame: int) -> bool:
        return self._labels.media[self._frames[frame].media].type != IMAGES

    def video(self, media: int) -> Path | None:
        """The file of a video by the position of its media; None if it is missing."""
        return self._videos.get(self._labels.media[media].path)

    def num_frames(self, media: int) -> int | None:
        """How many frames a video has, by the position of its media; None if it is missing or cannot be read."""
        facts = self._facts_of(self.video(media))
        return None if facts is None else facts[0]

    def _facts_of(self, video: Path | None) -> tuple[int, tuple[int, int]] | None:
        if video is not None and video not in self._video_facts:
            self._video_facts[video] = _facts_of(video)
        return None if video is None else self._video_facts[video]

    def _video_of(self, frame: int) -> Path | None:
        return self.video(self._frames[frame].media) if self.is_video(frame) else None

    def place(self, frame: int, target: Path, how: str) -> bool:
        """Copy or link the image of a frame to a new file; a frame of a video is written as an image.

        Args:
            how: "copy", or "link": a hard link, else a symbolic one, else a copy.

        Returns:
            whether there is an image.

        Raises:
            LabelError: it cannot be read or written.
        """
        source = self._paths[frame]
        video = self._video_of(frame)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if source is not None:
                _copy(source, target, how)
                return True
            if video is not None:
                self._write_video_frame(video, self._frames[frame].index, target)
                return True
            data = self._labels.embedded_image(frame)
            if data is None:
                return False
            target.write_bytes(data)
        except OSError as error:
            raise LabelError(f"cannot be written ({error.strerror or error})", where=target) from None
        except PoseError as error:
            raise LabelError(f"no image can be made of it: {error}", where=self._frames[frame].name or video) from None
        return True

    def place_beside(self, folder: Path, how: str, context: Context) -> int:
        """Copy or link all images to where their names lead from a folder, for formats that name images; returns how
        many. What cannot be placed is reported; an image that is there already stays.

        Raises:
            LabelError: one cannot be written, or another image has the name of one that the labels hold. Cancelled.
        """
        count = 0
        for position, frame in enumerate(self._frames):
            if position % _STEP == 0:
                context.progress(position, len(self._frames), "Copying images")
            parts = _safe_parts(frame.name)
            if self.is_video(position) or frame.media == UNKNOWN or not parts:
                context.report(
                    frame.name, "Frames of videos, and records without an image, are not copied", severity=INFO
                )
                continue
            target = folder.joinpath(*parts)
            if len(str(target)) > _MAX_PATH * 3:
                context.report(frame.name, "Image whose name is too long", "not copied", severity=INFO)
                continue
            if os.path.exists(target):
                if self._labels.holds_images and not _is_content(target, self._labels.embedded_image(position)):
                    raise LabelError("is another image; write into another folder", where=target)
                count += 1
            elif self.place(position, target, how):
                count += 1
            else:
                context.report(frame.name, "Image not found", "only its labels are written")
        return count

    def _write_video_frame(self, video: Path, index: int, target: Path) -> None:
        import cv2

        image = self._video_reader(video).read(video, index)
        encoded, data = cv2.imencode(target.suffix, image[..., ::-1])
        if not encoded:
            raise LabelError("cannot be encoded", where=target)
        target.write_bytes(data.tobytes())

    def _video_reader(self, video: Path) -> FrameReader:
        from engine.media.reader import FrameReader
        from engine.media.source import use_as_frames

        use_as_frames(video)
        if not hasattr(self, "_reader"):
            self._reader = FrameReader()
        return self._reader

    def close(self) -> None:
        """Close the videos."""
        if hasattr(self, "_reader"):
            self._reader.close()


def _is_content(path: Path, data: bytes | None) -> bool:
    """Whether a file is a regular one with this content."""
    if data is None or not os.path.isfile(path) or os.path.getsize(path) != len(data):
        return False
    return path.read_bytes() == data


def _facts_of(path: Path) -> tuple[int, tuple[int, int]] | None:
    """Number and size of the frames of a video; None if it cannot be read."""
    from engine.media.source import open_video

    try:
        with open_video(path) as video:
            return video.frame_count, video.size
    except PoseError:
        return None


def _copy(source: Path, target: Path, how: str) -> None:
    if how == "link":
        source = source.resolve()
        for link in (os.link, os.symlink):
            try:
                link(source, target)
            except (OSError, NotImplementedError):
                continue
            return
    shutil.copy2(source, target)


class ImageNames:
    """Names of the images in a written data set: safe on every system, each stem once, whatever the labels call them.

    Args:
        unique_stems: files of one folder that differ in their extension only get other names, as formats need that keep
            the labels of ``a.jpg`` in ``a.txt``.
    """

    def __init__(self, *, unique_stems: bool = True) -> None:
        self._taken: set[str] = set()
        self._unique_stems = unique_stems

    def name(self, folder: str, name: str) -> str:
        """A free path below ``folder`` ("images/train") like this name; with forward slashes."""
        parts = [part for part in _safe_parts(name) if not part.endswith(":")] or ["image"]
        while len(parts) > 1 and sum(len(part) + 1 for part in parts) > _MAX_PATH:  # the last folders tell most
            parts = parts[1:]
        path = PurePosixPath(folder, *parts)
        stem, attempt = path.stem[:_MAX_STEM], 1
        while (key := self._key(path)) in self._taken:
            attempt += 1
            path = path.with_name(f"{stem}_{attempt}{path.suffix}")
        self._taken.add(key)
        return path.as_posix()

    def _key(self, path: PurePosixPath) -> str:
        return (path.with_suffix("") if self._unique_stems else path).as_posix().casefold()


def _safe_parts(name: str) -> list[str]:
    return [safe_part(part) for part in PurePosixPath(plain_name(name)).parts if part not in ("/", "..", ".")]


def safe_part(text: str) -> str:
    """A part of a path that every system takes."""
    return "".join("_" if c in '<>:"|?*\\/\0' or ord(c) < 32 else c for c in text)[:_MAX_STEM].strip() or "_"


def path_text(path: Path, folder: Path, *, is_absolute: bool) -> str:
    """A path as label files in a folder name it: relative if it lies below the folder, else absolute.

    Args:
        is_absolute: absolute in any case.
    """
    path, folder = path.absolute(), folder.absolute()
    if not is_absolute and path.is_relative_to(folder):
        path = path.relative_to(folder)
    return os.fsencode(path.as_posix()).decode("utf-8", "replace")


def name_of_frame(labels: LabelReader, frame: Frame, suffix: str = ".png") -> str:
    """The file name for a frame: of an image its own, of a frame of a video that of the video with its frame."""
    media = labels.media[frame.media]
    if media.type == IMAGES:
        return frame.name or f"image_{frame.index:06d}{suffix}"
    return f"{PurePosixPath(plain_name(media.path)).stem or 'video'}_{frame.index:06d}{suffix}"


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends well; else nothing is left of it.

    Raises:
        LabelError: ``path`` is a file, a folder that is not empty, or cannot be made.
    """
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise LabelError("exists and is not an empty folder; name a new folder", where=path)
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", suffix=".tmp", dir=path.absolute().parent))
    except OSError as error:
        raise LabelError(f"cannot be made ({error.strerror or error})", where=path) from None
    try:
        yield temporary
        temporary.chmod(new_file_mode() | 0o111)
        if path.exists():
            path.rmdir()
        temporary.rename(path)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, PoseError):
            raise
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file of a new folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="\n")


def places_images(options: WriteOptions) -> bool:
    """Whether images are to be put into a data set that is written."""
    return options.images in ("copy", "link")
