"""Several label files as one: the splits of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.labels.model import IMAGES, UNKNOWN, Category, Frame, Instance, Media
from engine.labels.reader import LabelReader
from engine.media.image_finder import find_images, likely_folders
from engine.utils.context import INFO, Context


class JoinedLabels(LabelReader):
    """Labels of several readers, one after the other. An image that two of them name is one frame; categories with the
    same name and keypoints are one, unless one file has two of them; tracks are one where both have the same name.

    Names of images are made relative to the folder, so that equal names in two splits stay two images. The raw records
    of the files are left out: their ids are unique in each file only.

    Args:
        readers: closed with this one.
        folder: that holds all of them.
    """

    def __init__(self, readers: Sequence[LabelReader], folder: Path, context: Context) -> None:
        self._readers = list(readers)
        self.path = folder
        self._media: dict[tuple[str, str], int] = {}
        self._media_records: list[Media] = []
        self._frames: list[Frame] = []
        self._frame_files: list[Path] = []
        self._frame_maps: list[list[int]] = []
        self._category_records: list[Category] = []
        self._category_maps: list[list[int]] = []
        self._track_maps: list[dict[int, int]] = []
        self._track_names: dict[str, int] = {}
        self._track_count = 0
        frames_by_image: dict[tuple[int, str], int] = {}
        categories: dict[tuple[str, tuple[str, ...] | None, int], int] = {}
        for reader in self._readers:
            self._frame_maps.append(self._join_frames(reader, frames_by_image))
            self._category_maps.append(self._join_categories(reader, categories))
            self._track_maps.append({})
        self.media = self._media_records or [Media()]
        self.categories = self._category_records
        if any(reader.raw_format for reader in self._readers):
            context.report("", "Keys of their own of records in several files", "not taken over", severity=INFO)

    def _join_frames(self, reader: LabelReader, known: dict[tuple[int, str], int]) -> list[int]:
        frames = list(reader.frames())
        names = self._image_names(reader, frames)
        positions = []
        for frame, name in zip(frames, names, strict=True):
            media = reader.media[frame.media] if reader.media else Media()
            is_image = media.type == IMAGES
            joined = self._joined_media(Media() if is_image else media)
            key = (joined, name if is_image else str(frame.index))
            if key not in known:
                known[key] = len(self._frames)
                index = len(self._frames) if is_image else frame.index
                self._frames.append(msgspec.structs.replace(frame, name=name, media=joined, index=index, raw=b""))
                self._frame_files.append(reader.path)
            positions.append(known[key])
        return positions

    def _image_names(self, reader: LabelReader, frames: Sequence[Frame]) -> list[str]:
        """Names relative to the folder, of images that are there; others get the folder of their label file."""
        folders = likely_folders(reader.path, reader.image_folder)
        sizes = [(frame.width, frame.height) for frame in frames]
        paths = find_images([frame.name for frame in frames], folders, sizes).paths
        root = self.path.absolute()
        names = []
        for frame, path in zip(frames, paths, strict=True):
            if frame.name and path is None:
                path = reader.path.absolute().parent / frame.name
            if path is not None and path.is_relative_to(root):
                names.append(path.relative_to(root).as_posix())
            else:
                names.append(frame.name if path is None else path.as_posix())
        return names

    def _joined_media(self, media: Media) -> int:
        key = (media.type, media.path)
        if key not in self._media:
            self._media[key] = len(self._media_records)
            self._media_records.append(media)
        return self._media[key]

    def _join_categories(
        self, reader: LabelReader, known: dict[tuple[str, tuple[str, ...] | None, int], int]
    ) -> list[int]:
        seen: dict[tuple[str, tuple[str, ...] | None], int] = {}
        positions = []
        for category in reader.categories:
            content = (category.name, None if category.schema is None else category.schema.names)
            seen[content] = seen.get(content, -1) + 1
            key = (*content, seen[content])
            if key not in known:
                known[key] = len(self._category_records)
                self._category_records.append(msgspec.structs.replace(category, raw=b"", id=None))
            positions.append(known[key])
        return positions

    def frames(self) -> Iterator[Frame]:
        return iter(self._frames)

    def instances(self) -> Iterator[Instance]:
        for position, reader in enumerate(self._readers):
            frames, categories = self._frame_maps[position], self._category_maps[position]
            for instance in reader.instances():
                yield msgspec.structs.replace(
                    instance,
                    frame=frames[instance.frame] if instance.frame >= 0 else UNKNOWN,
                    category=categories[instance.category] if instance.category >= 0 else UNKNOWN,
                    track=None if instance.track is None else self._track(position, instance.track),
                    key=f"{self._file_name(reader)}:{instance.key}" if instance.key else "",
                    raw=b"",
                )

    def _track(self, reader: int, track: int) -> int:
        tracks = self._track_maps[reader]
        if track not in tracks:
            name = self._readers[reader].tracks.get(track)
            if name is not None and name in self._track_names:
                tracks[track] = self._track_names[name]
            else:
                tracks[track] = self._track_count
                self._track_count += 1
                if name is not None:
                    self._track_names[name] = tracks[track]
                    self.tracks = {index: text for text, index in self._track_names.items()}
        return tracks[track]

    def _file_name(self, reader: LabelReader) -> str:
        path = reader.path.absolute()
        return (
            path.relative_to(self.path.absolute()).as_posix()
            if path.is_relative_to(self.path.absolute())
            else path.name
        )

    def num_instances(self) -> int:
        return sum(reader.num_instances() for reader in self._readers)

    def source_file(self, frame: int) -> Path:
        return self._frame_files[frame]

    def close(self) -> None:
        for reader in self._readers:
            reader.close()
