"""Zip archives as a label format: whatever format the archive holds, read and written through a temporary folder."""

from __future__ import annotations

import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from engine.errors import LabelError, PoseError
from engine.formats.archives.contents import labels_in
from engine.formats.archives.extraction import extract, file_names, is_archive
from engine.formats.archives.folder import read_label_files
from engine.formats.base import BaseFormat
from engine.formats.registry import CERTAIN, NO, LabelFormat, ReadOptions, WriteOptions, formats, register_format
from engine.labels.features import Feature
from engine.labels.model import Category, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.utils.context import Context
from engine.utils.files import new_file_mode, replacing
from engine.utils.temporary_files import own_temporary_name, remove_old_copies

SUFFIX = ".zip"
TEMPORARY_NAME = "poseapp-copy"  # such folders of killed processes are removed later


class ZipFormat(BaseFormat):
    """A zip archive with labels, and perhaps their images, as CVAT, Roboflow and others give it.

    Args:
        inner: the format of the labels in it; None = the one that is found.
    """

    name = "zip"
    title = "Zip archive of labels"
    suffixes: tuple[str, ...] = (SUFFIX,)
    can_read, can_write = True, False
    keeps: Collection[Feature] = frozenset(Feature)

    def __init__(self, inner: LabelFormat | None = None) -> None:
        self._inner = inner
        if inner is not None:
            self.name, self.title = inner.name, f"{inner.title} in a zip archive"
            self.can_read, self.can_write, self.keeps = inner.can_read, inner.can_write, inner.keeps

    def of(self, inner: LabelFormat) -> ZipFormat:
        """Archives that hold this format."""
        return ZipFormat(inner)

    def sniff(self, path: Path) -> float:
        if not is_archive(path):
            return NO
        suffixes = {suffix for format in formats() if format.can_read for suffix in format.suffixes}
        return CERTAIN if any(Path(name).suffix.lower() in suffixes for name in file_names(path)) else NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        remove_old_copies()
        folder = Path(tempfile.mkdtemp(prefix=own_temporary_name(TEMPORARY_NAME)))
        try:
            extract(path, folder, context)
            inner = self._inner
            matches = labels_in(folder, lambda format: inner is None or format.name == inner.name)
            if not matches:
                what = "no labels of a known format" if inner is None else f"no labels of the format {inner.name}"
                raise LabelError(f"holds {what}", where=path)
            return _ArchiveReader(read_label_files(matches, folder, context, options), folder)
        except PoseError as error:
            shutil.rmtree(folder, ignore_errors=True)
            if error.where is not None and error.where.startswith(str(folder)):
                raise LabelError(error.message, where=f"{path}{error.where.removeprefix(str(folder))}") from None
            raise
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        if self._inner is None:
            raise LabelError("say which format is to be in the archive, with --to", where=path)
        with tempfile.TemporaryDirectory(prefix=own_temporary_name(TEMPORARY_NAME)) as name:
            content = Path(name, path.stem)
            suffixes = self._inner.suffixes
            self._inner.write(labels, content.with_name(content.name + suffixes[0]) if suffixes else content, options,
                              context)  # fmt: skip
            _pack(Path(name), path, context)


class _ArchiveReader(LabelReader):
    """Labels in a temporary folder, which :meth:`close` removes."""

    def __init__(self, inner: LabelReader, folder: Path) -> None:
        self._inner = inner
        self._remove = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = inner.path
        self.raw_format = inner.raw_format
        self.header: Mapping[str, bytes] = inner.header
        self.media: Sequence[Media] = inner.media
        self.categories: Sequence[Category] = inner.categories

    @property
    def image_folder(self) -> Path | None:
        return self._inner.image_folder

    @image_folder.setter
    def image_folder(self, folder: Path | None) -> None:
        self._inner.image_folder = folder

    @property
    def tracks(self) -> Mapping[int, str]:  # type: ignore[override]
        return self._inner.tracks

    def frames(self) -> Iterator[Frame]:
        return self._inner.frames()

    def instances(self) -> Iterator[Instance]:
        return self._inner.instances()

    def num_instances(self) -> int:
        return self._inner.num_instances()

    def source_file(self, frame: int) -> Path:
        return self._inner.source_file(frame)

    def embedded_image(self, frame: int) -> bytes | None:
        return self._inner.embedded_image(frame)

    def close(self) -> None:
        self._inner.close()
        self._remove()


def _pack(folder: Path, path: Path, context: Context) -> None:
    """Put all files of a folder into an archive; a folder that stands alone in it is left out of the names."""
    entries = list(folder.iterdir())
    root = entries[0] if len(entries) == 1 and entries[0].is_dir() else folder
    files = sorted(file for file in root.rglob("*") if file.is_file())
    try:
        with (
            replacing(path, mode=new_file_mode(), suffix=SUFFIX) as temporary,
            zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive,
        ):
            for done, file in enumerate(files):
                context.progress(done, len(files))
                entry = zipfile.ZipInfo(file.relative_to(root).as_posix())  # of 1980: the same labels, the same archive
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o100644 << 16
                with file.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                    shutil.copyfileobj(source, target, 1 << 20)
    except OSError as error:
        raise LabelError(f"cannot be written ({error.strerror or error})", where=path) from None


register_format(ZipFormat())
