"""What most label formats share: defaults, and the sentence that refuses what a format cannot do."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from engine.errors import LabelError
from engine.formats.registry import NO, ReadOptions, WriteOptions
from engine.labels.features import Feature
from engine.labels.reader import LabelReader
from engine.utils.context import Context


class BaseFormat:
    """A label format whose subclasses define :meth:`sniff` and :meth:`load`, :meth:`save`, or both.

    A context and options are always there for them, and the folder of the images that a person named is set.
    """

    name = ""
    title = ""
    suffixes: tuple[str, ...] = ()
    can_read = can_write = True
    keeps: Collection[Feature] = frozenset()

    def sniff(self, path: Path) -> float:
        """See :meth:`LabelFormat.sniff`."""
        return NO

    def load(self, path: Path, context: Context, options: ReadOptions) -> LabelReader:
        """See :meth:`LabelFormat.read`."""
        raise LabelError(f"{self.title} can be written, but not read", where=path)

    def save(self, labels: LabelReader, path: Path, options: WriteOptions, context: Context) -> None:
        """See :meth:`LabelFormat.write`."""
        raise LabelError(f"{self.title} can be read, but not written", where=path)

    def read(self, path: Path, context: Context | None = None, options: ReadOptions | None = None) -> LabelReader:
        options = options or ReadOptions()
        labels = self.load(path, context or Context(), options)
        if options.images is not None:
            labels.image_folder = options.images
        return labels

    def write(
        self,
        labels: LabelReader,
        path: Path,
        options: WriteOptions | None = None,
        context: Context | None = None,
    ) -> None:
        self.save(labels, path, options or WriteOptions(), context or Context())
