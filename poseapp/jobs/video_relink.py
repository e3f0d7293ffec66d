"""Finds the labelled frames of a video in another file; takes small pictures of frames to find them by. No Qt."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engine.errors import PoseError
from engine.media.alignment.fingerprint import Fingerprint
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress
from poseapp.project.relink.fingerprints import fingerprints
from poseapp.project.relink.remap import NewFile, used_frames
from poseapp.project.store import ProjectStore

if TYPE_CHECKING:
    from engine.media.alignment.matching import Alignment, OldVideo
    from engine.media.video.reader import VideoReader

Image = npt.NDArray[np.uint8]
Mapping = npt.NDArray[np.int64]

PREVIEWS = 10
PREVIEW_SIDE = 160
_MOST_OLD_FRAMES = 600
_PICTURES_AT_ONCE = 64
_SECONDS_AT_ONCE = 4.0


@dataclass(frozen=True)
class FileFacts:
    """What one file holds. ``seconds``: from the first frame to the last; ``size``: (width, height)."""

    name: str
    frame_count: int
    seconds: float
    size: tuple[int, int]

    @property
    def rate(self) -> float:
        """Frames a second on average, 0 while unknown."""
        return (self.frame_count - 1) / self.seconds if self.seconds > 0 else 0.0

    @property
    def duration(self) -> float:
        """Seconds as a player tells them: the last frame is shown as long as the others are on average."""
        return self.seconds + (1 / self.rate if self.rate else 0.0)


@dataclass(frozen=True, eq=False)
class Preview:
    """One labelled frame: its number, what it shows as far as is known, and its number in the new file by each way."""

    index: int
    picture: Image | None
    places: dict[str, int]


@dataclass(frozen=True, eq=False)
class Proposal:
    """What was found out of another file for a video.

    Attributes:
        sampled, found: pictures of the old film that were looked for, and those that the file shows.
        speed, offset: seconds in the file are ``offset + speed * seconds`` in the old one.
        mappings: by "pictures" (where enough were found) and by "time": for each old frame the new one, or -1.
        shown: pictures of frames of the file, by number.
    """

    media: int
    new: NewFile
    sampled: int
    found: int
    speed: float
    offset: float
    mappings: dict[str, Mapping]
    previews: tuple[Preview, ...] = ()
    shown: dict[int, Image] = field(default_factory=dict)


def facts_of(text: str, name: str) -> FileFacts | None:
    """What a fingerprint tells of its file; None for a text that is none."""
    try:
        fingerprint = Fingerprint.from_text(text)
    except ValueError:
        return None
    return FileFacts(name, fingerprint.frame_count, fingerprint.milliseconds / 1000, fingerprint.size)


class AlignJob:
    """Compares a file with what is known of a labelled video. Yields one :class:`Proposal`; nothing is written.

    Args:
        project: its file.
        media: the video of the project.
        path: the file to take for it.
        text: the file's fingerprint.
        caches: folders where indices of videos are kept; the first of them for new ones.
    """

    lane = Lane.IO

    def __init__(self, project: Path, media: int, path: Path, text: str, caches: tuple[Path, ...]) -> None:
        self.title = f"Comparing {path.name}"
        self._project, self._media, self._path, self._text, self._caches = project, media, path, text, caches

    def run(self, context: Context) -> Iterator[Progress]:
        from engine.media.alignment.matching import align, map_by_time
        from engine.media.video.reader import VideoReader

        yield Progress(0, 0, self.title)
        with contextlib.ExitStack() as stack:
            store = stack.enter_context(ProjectStore.open(self._project, read_only=True, context=context))
            video = stack.enter_context(VideoReader(self._path, cache=self._caches[0]))
            before = self._labelled_file(store, stack)
            old, own = _old_video(store, self._media, before, self._caches)
            steps = align(old, video)
            try:
                while True:
                    done, total = next(steps)
                    yield Progress(done, total, self.title)
            except StopIteration as stop:
                alignment: Alignment = stop.value
            mappings = {"time": map_by_time(old.times, video.index.times)}
            if alignment.found:
                mappings = {"pictures": alignment.mapping, **mappings}
            used = used_frames(store, self._media)[0].tolist()
            previews = _previews(used, old, before, mappings, video.size)
            shown: dict[int, Image] = {}
            for position in sorted({p for preview in previews for p in preview.places.values() if p >= 0}):
                with contextlib.suppress(PoseError):
                    shown[position] = video.read(position, PREVIEW_SIDE)
                yield Progress(1, 1, self.title)
            new = NewFile(self._path, self._text, video.frame_count, video.size)
        sampled = np.isin(alignment.anchors, own)
        yield Progress(
            1, 1, self.title,
            Proposal(
                self._media, new, int(sampled.sum()), int((alignment.agree & sampled).sum()),
                alignment.speed, alignment.offset, mappings, previews, shown,
            ),
        )  # fmt: skip

    def _labelled_file(self, store: ProjectStore, stack: contextlib.ExitStack) -> VideoReader | None:
        """The file that was labelled, where it can still be read."""
        from engine.media.video.index.index import content_key
        from engine.media.video.reader import VideoReader

        path = next((Path(m.path) for m in store.media() if m.id == self._media), None)
        text = fingerprints(store).get(self._media, "")
        try:
            if path is None or not text or content_key(path) != Fingerprint.from_text(text).key:
                return None
            return stack.enter_context(VideoReader(path, cache=self._caches[0]))
        except (PoseError, ValueError):
            return None


class FramePicturesJob:
    """Takes small pictures of frames, to know them by. Yields (content key, {frame: picture}); for a few seconds."""

    lane = Lane.IO

    def __init__(self, path: Path, key: str, indices: list[int], cache: Path) -> None:
        self.title = f"Checking {path.name}"
        self._path, self._key, self._indices, self._cache = path, key, indices, cache

    def run(self, context: Context) -> Iterator[Progress]:
        from engine.media.alignment.matching import gray_picture
        from engine.media.pages import READ_AS_PAGES
        from engine.media.video.reader import VideoReader

        if self._path.suffix.lower() in READ_AS_PAGES:
            return  # pages are known by the content of their file
        end = time.monotonic() + _SECONDS_AT_ONCE
        with VideoReader(self._path, cache=self._cache) as video:
            if video.index.key != self._key:
                return
            for n, index in enumerate(self._indices[:_PICTURES_AT_ONCE], 1):
                if time.monotonic() > end or index >= video.frame_count:
                    return
                with contextlib.suppress(PoseError):
                    picture = gray_picture(video.read(index))
                    yield Progress(n, len(self._indices), "", (self._key, {index: picture}))


def _old_video(
    store: ProjectStore, media: int, before: VideoReader | None, caches: tuple[Path, ...]
) -> tuple[OldVideo, list[int]]:
    """Times and pictures of the labelled video, and which of the pictures are those of the fingerprint."""
    from engine.media.alignment.fingerprint import sampled_frames
    from engine.media.alignment.matching import OldVideo, gray_picture
    from poseapp.project.relink.frame_images import kept_pictures

    count = len(store.frame_names(media))
    text = fingerprints(store).get(media, "")
    mark = Fingerprint.from_text(text) if text else None
    times = _old_times(mark, count, caches)
    pictures: dict[int, Image] = {}
    own: list[int] = []
    if mark is not None:
        own = sampled_frames(times[: mark.frame_count])
        pictures.update(zip(own, mark.samples))
        pictures.update({i: p for i, p in kept_pictures(store, mark.key).items() if i < count})
    if before is not None:
        used = used_frames(store, media)[0].tolist()
        step = max(1, -(-len(used) // _MOST_OLD_FRAMES))
        for index in sorted({*used[::step], *own}):
            if index < before.frame_count:
                with contextlib.suppress(PoseError):
                    pictures[index] = gray_picture(before.read(index))
    return OldVideo(times, pictures), sorted(set(own))


def _old_times(mark: Fingerprint | None, count: int, caches: tuple[Path, ...]) -> npt.NDArray[np.float64]:
    """(N,) seconds of the old frames: from the index where one is left, else evenly over the length."""
    from engine.media.video.index.index import index_path, load_index

    if mark is None:
        return np.arange(count) / 30
    for folder in caches:
        index = load_index(index_path(folder, mark.key), mark.key)
        if index is not None and index.frame_count == count:
            return index.times
    step = mark.milliseconds / 1000 / max(1, mark.frame_count - 1)
    return np.arange(count, dtype=np.float64) * (step if step > 0 else 1 / 30)


def _previews(
    used: list[int], old: OldVideo, before: VideoReader | None, mappings: dict[str, Mapping], size: tuple[int, int]
) -> tuple[Preview, ...]:
    """Some frames from the first to the last that holds something; those whose pictures are kept come first."""
    known = [i for i in used if i in old.pictures]
    pool = used if before is not None or len(known) < PREVIEWS else known
    pool = pool or sorted(old.pictures)
    chosen = [pool[i] for i in np.unique(np.linspace(0, len(pool) - 1, PREVIEWS).round().astype(int))] if pool else []
    items: list[Preview] = []
    for index in chosen:
        picture: Image | None = None
        if before is not None and index < before.frame_count:
            with contextlib.suppress(PoseError):
                picture = before.read(index, PREVIEW_SIDE)
        elif index in old.pictures:
            picture = _larger(old.pictures[index], size)
        positions = {method: int(mapping[index]) for method, mapping in mappings.items() if index < len(mapping)}
        items.append(Preview(index, picture, positions))
    return tuple(items)


def _larger(picture: Image, size: tuple[int, int]) -> Image:
    """A small grey picture as large as the others, and as wide as the film."""
    import cv2

    scale = PREVIEW_SIDE / max(size)
    wide = (max(1, round(size[0] * scale)), max(1, round(size[1] * scale)))
    large = cv2.resize(picture, wide, interpolation=cv2.INTER_CUBIC)
    return np.repeat(large[:, :, None], 3, axis=2)
