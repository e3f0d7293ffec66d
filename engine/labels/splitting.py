"""Dividing labels into parts for training, validation and test, and parts of labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec
import numpy as np

from engine.errors import LabelError
from engine.labels.model import IMAGES, UNKNOWN, VIDEO, Frame, Instance
from engine.labels.reader import LabelReader
from engine.utils.context import Context

SPLITS = ("train", "val", "test")

SplitBy = Literal["frame", "video", "track"]
_STEP = 4096


def parse_fractions(text: str) -> dict[str, float]:
    """Fractions of the splits, in the order train, val, test.

    >>> parse_fractions("80/20")
    {'train': 0.8, 'val': 0.2}

    Raises:
        LabelError: it is not two or three numbers of which at least one is positive.
    """
    try:
        shares = [float(part) for part in text.replace(",", "/").split("/")]
    except ValueError:
        shares = []
    if not 2 <= len(shares) <= len(SPLITS) or not np.isfinite(shares).all() or min(shares) < 0 or sum(shares) <= 0:
        raise LabelError(f"{text!r} does not divide labels; write 80/20 (train, val) or 80/10/10 (train, val, test)")
    total = sum(shares)
    return {name: share / total for name, share in zip(SPLITS, shares)}


def assign_splits(
    labels: LabelReader, fractions: Mapping[str, float], by: SplitBy = "frame", seed: int = 0
) -> list[str]:
    """The split of each frame; the same labels, fractions and seed give the same.

    Args:
        fractions: of the frames, by name of split; they add up to 1.
        by: what stays together: nothing ("frame"); the frames of a video, and the images of a folder ("video");
            frames of a media that show the same track, directly or through others ("track").

    Returns:
        a name for each frame, in the order of ``labels.frames()``.
    """
    frames = list(labels.frames())
    groups = _groups(labels, frames, by)
    order = np.random.default_rng(seed).permutation(len(groups))
    if by != "frame":  # large groups first: the small ones then even out what they leave
        order = np.array(sorted(order.tolist(), key=lambda group: -len(groups[group])), np.int64)
    room = {name: share * len(frames) for name, share in fractions.items()}
    splits = [""] * len(frames)
    for group in order.tolist():
        name = max(room, key=lambda split: room[split])
        room[name] -= len(groups[group])
        for position in groups[group]:
            splits[position] = name
    return splits


def _groups(labels: LabelReader, frames: Sequence[Frame], by: SplitBy) -> list[list[int]]:
    """Positions of frames that stay together."""
    if by == "frame":
        return [[position] for position in range(len(frames))]
    if by == "video":
        folders: dict[object, list[int]] = {}
        for position, frame in enumerate(frames):
            is_video = bool(labels.media) and labels.media[frame.media].type == VIDEO
            folder = "" if is_video else PurePosixPath(frame.name.replace("\\", "/")).parent.as_posix()
            folders.setdefault((frame.media, folder), []).append(position)
        return list(folders.values())
    parents = list(range(len(frames)))

    def root(position: int) -> int:
        while parents[position] != position:
            parents[position] = parents[parents[position]]
            position = parents[position]
        return position

    first_frames: dict[tuple[int, int], int] = {}
    for instance in labels.instances():
        if instance.track is not None and instance.frame >= 0:
            first = first_frames.setdefault((frames[instance.frame].media, instance.track), instance.frame)
            parents[root(instance.frame)] = root(first)
    groups: dict[int, list[int]] = {}
    for position in range(len(frames)):
        groups.setdefault(root(position), []).append(position)
    return list(groups.values())


def labelled_frames(
    labels: LabelReader, *, include_predictions: bool = False, context: Context | None = None
) -> list[int]:
    """Positions of the frames with instances (of people only, unless predictions count), and of those that a person has
    marked as empty."""
    context = context or Context()
    total = labels.num_instances()
    labelled = {position for position, frame in enumerate(labels.frames()) if frame.is_negative}
    for count, instance in enumerate(labels.instances()):
        if count % _STEP == 0:
            context.progress(count, total)
        if instance.frame >= 0 and (include_predictions or not instance.is_prediction):
            labelled.add(instance.frame)
    return sorted(labelled)


class FramesSubset(LabelReader):
    """The labels of some frames only; media, categories and tracks stay. Closing it closes the labels.

    Args:
        frames: positions in ``labels.frames()``.
    """

    def __init__(self, labels: LabelReader, frames: Collection[int]) -> None:
        self._labels = labels
        self._positions = {position: index for index, position in enumerate(sorted(frames))}
        self._originals = sorted(frames)
        self.path, self.image_folder = labels.path, labels.image_folder
        self.media, self.categories, self.tracks = labels.media, labels.categories, labels.tracks
        self.raw_format, self.header = labels.raw_format, labels.header
        self.holds_images = labels.holds_images

    def frames(self) -> Iterator[Frame]:
        counts: Counter[int] = Counter()
        for position, frame in enumerate(self._labels.frames()):
            if position in self._positions:
                is_image = frame.media != UNKNOWN and self.media[frame.media].type == IMAGES
                yield msgspec.structs.replace(frame, index=counts[frame.media]) if is_image else frame
                counts[frame.media] += 1

    def instances(self) -> Iterator[Instance]:
        for instance in self._labels.instances():
            position = self._positions.get(instance.frame, UNKNOWN)
            if position != UNKNOWN:
                yield msgspec.structs.replace(instance, frame=position)

    def source_file(self, frame: int) -> Path:
        return self._labels.source_file(self._originals[frame])

    def embedded_image(self, frame: int) -> bytes | None:
        return self._labels.embedded_image(self._originals[frame])

    def close(self) -> None:
        self._labels.close()
