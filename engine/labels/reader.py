"""Labels as they are handed around: read from a file, from a project, or made in memory.

with engine.formats.read_labels("labels.json") as labels:
    for instance in labels.instances():
        print(labels.categories[instance.category].name, instance.keypoints)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.labels.model import Category, Frame, Instance, Media


class LabelReader(ABC):
    """Labels that are read as they are needed, so that a file of any length fits.

    :meth:`frames` and :meth:`instances` may be called as often as needed; each call starts anew. Nothing is held open
    between calls that :meth:`close` does not free; a reader is a context manager.

    Attributes:
        path: of the file or folder, for messages and for finding images; Path("") for labels made in memory.
        image_folder: where the images are if a person has said so; None = they are looked for around ``path``.
        media, categories: what frames and instances refer to by position.
        tracks: names of tracks by their number, as far as they have names.
        raw_format: name of the format whose text the ``raw`` of all records holds; "" for none.
        holds_images: all images are in :meth:`embedded_image`, and none of them is to be looked for.
        header: what the file holds besides, for writers of ``raw_format``: text by key, in the order of the file.
    """

    path: Path = Path()
    image_folder: Path | None = None
    media: Sequence[Media] = ()
    categories: Sequence[Category] = ()
    tracks: Mapping[int, str] = {}
    raw_format: str = ""
    holds_images: bool = False
    header: Mapping[str, bytes] = {}

    @abstractmethod
    def frames(self) -> Iterator[Frame]:
        """All frames, also those without instances."""

    @abstractmethod
    def instances(self) -> Iterator[Instance]:
        """All instances, also crowds and records that no writer of another format can use (see
        :attr:`Instance.is_pose`), in the order of the file."""

    def num_instances(self) -> int:
        """How many instances there are, for progress; 0 if that is not known without reading them."""
        return 0

    def source_file(self, frame: int) -> Path:
        """The label file that a frame stands in, by its position; another than ``path`` for folders of label files."""
        return self.path

    def embedded_image(self, frame: int) -> bytes | None:
        """The encoded image (PNG, JPEG) of a frame that the label file itself holds, by its position; else None."""
        return None

    def close(self) -> None:  # noqa: B027 (most readers hold nothing)
        """Free what is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Labels(LabelReader):
    """Labels in memory: for small formats, and for labels made by a program."""

    def __init__(
        self,
        frames: Iterable[Frame],
        instances: Iterable[Instance],
        categories: Sequence[Category],
        media: Sequence[Media] = (Media(),),
        *,
        path: Path | str = "",
        image_folder: Path | None = None,
        tracks: Mapping[int, str] | None = None,
    ) -> None:
        self._frames, self._instances = list(frames), list(instances)
        self.path = Path(path)
        self.image_folder = image_folder
        self.media, self.categories, self.tracks = media, categories, dict(tracks or {})

    def frames(self) -> Iterator[Frame]:
        return iter(self._frames)

    def instances(self) -> Iterator[Instance]:
        return iter(self._instances)

    def num_instances(self) -> int:
        return len(self._instances)
