"""Collects labels of a small format: whatever is named a second time is the same frame, category or track."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.labels.model import IMAGES, VIDEO, Category, Frame, Instance, Media
from engine.labels.reader import Labels
from engine.schema.schema import Schema


def unnamed_video(path: Path | str) -> str:
    """What a video is called that a label file does not name: it is looked for beside the file."""
    return f"{Path(path).stem}.mp4"


class LabelsBuilder:
    """Frames, categories and tracks by what identifies them in a file; each method returns a position.

    builder = LabelsBuilder()
    frame = builder.frame("a.png", width=640, height=480)
    category = builder.category("mouse", schema)
    builder.add(Instance(frame, category, keypoints, visibility))
    labels = builder.build(path)
    """

    def __init__(self) -> None:
        self._media: dict[tuple[str, str], int] = {}
        self._media_records: list[Media] = []
        self._frames: dict[tuple[int, str | int], int] = {}
        self._frame_records: list[Frame] = []
        self._images_of: dict[int, int] = {}
        self._categories: dict[tuple[str, object], int] = {}
        self._category_records: list[Category] = []
        self._tracks: dict[object, int] = {}
        self._track_names: dict[int, str] = {}
        self._instances: list[Instance] = []

    def media(self, type: str = IMAGES, path: str = "", *, stored_pixels: bool = False, name: str = "") -> int:
        """The video or set of images with this type and path."""
        key = (type, path)
        if key not in self._media:
            self._media[key] = len(self._media_records)
            self._media_records.append(Media(type, path, stored_pixels, name))
        return self._media[key]

    def frame(
        self,
        name: str,
        media: int | None = None,
        index: int | None = None,
        *,
        width: int = 0,
        height: int = 0,
        is_negative: bool = False,
        is_flagged: bool = False,
    ) -> int:
        """The frame of a video with this index, or the image with this name; the first call says the rest.

        Args:
            media: position of its media; None = one set of images.
            index: of a frame of a video, from 0; None = an image.
        """
        media = self.media() if media is None else media
        key = (media, name if index is None else index)
        if key not in self._frames:
            if index is None:
                index = self._images_of.get(media, 0)
                self._images_of[media] = index + 1
            self._frames[key] = len(self._frame_records)
            self._frame_records.append(
                Frame(name, media, index, width, height, is_negative=is_negative, is_flagged=is_flagged)
            )
        return self._frames[key]

    def category(self, name: str, schema: Schema | None = None, *, id: int | str | None = None) -> int:
        """The category with this name, and this id where the file has ids; the first call says its schema."""
        key = (name, id)
        if key not in self._categories:
            self._categories[key] = len(self._category_records)
            self._category_records.append(Category(name, schema, id))
        return self._categories[key]

    def track(self, identity: object, name: str = "") -> int:
        """The number of the track with this identity (hashable, such as a name, or a video and an id)."""
        if identity not in self._tracks:
            number = self._tracks[identity] = len(self._tracks)
            if name:
                self._track_names[number] = name
        return self._tracks[identity]

    def add(self, instance: Instance) -> None:
        self._instances.append(instance)

    @property
    def num_instances(self) -> int:
        return len(self._instances)

    @property
    def num_frames(self) -> int:
        return len(self._frame_records)

    @property
    def categories(self) -> Sequence[Category]:
        return self._category_records

    def build(self, path: Path | str = "", *, image_folder: Path | None = None) -> Labels:
        """The labels, in the order in which they were added. A video without a name gets that of the label file."""
        for position, media in enumerate(self._media_records):
            if media.type == VIDEO and not media.path and Path(path).stem:
                self._media_records[position] = msgspec.structs.replace(media, path=unnamed_video(path))
        return Labels(
            self._frame_records,
            self._instances,
            self._category_records,
            self._media_records or (Media(),),
            path=path,
            image_folder=image_folder,
            tracks=self._track_names,
        )
