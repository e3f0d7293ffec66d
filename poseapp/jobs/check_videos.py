"""Whether the videos of a project are still the files that were labelled. No Qt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from engine.errors import Cancelled, PoseError
from engine.media.alignment.fingerprint import Fingerprint, Similarity, compare, fingerprint
from engine.media.video.index.folder import index_home
from engine.media.video.index.index import content_key
from engine.utils.context import Context
from poseapp.jobs.base import Lane, Progress

_SHARES = 1000


@dataclass(frozen=True)
class VideoCheck:
    """What was found of one video.

    Attributes:
        media: its number in the project.
        path: the file that was looked at.
        fits: frame i of the file is frame i of the labels.
        text: what a person should know; "" when it is the very file.
        fingerprint: of the file, as text; "" when it could not be read.
        kept: fingerprint that was kept with the labels; "" when none was.
    """

    media: int
    path: Path
    fits: bool
    text: str = ""
    fingerprint: str = ""
    kept: str = ""

    @property
    def differs(self) -> bool:
        """Another file is there, and can be read: its frames may be other ones than those that were labelled."""
        return not self.fits and bool(self.fingerprint) and bool(self.kept)


class CheckVideosJob:
    """Compares files with the fingerprints kept with the labels. Yields one :class:`VideoCheck` a file.

    A file that is byte for byte the same costs nothing to speak of; of another one some frames are read.

    Args:
        items: media, file, fingerprint that was kept.
    """

    lane = Lane.IO

    def __init__(self, items: Sequence[tuple[int, Path, str]]) -> None:
        self._items = list(items)
        self.title = "Checking " + (self._items[0][1].name if len(self._items) == 1 else f"{len(self._items)} videos")

    def run(self, context: Context) -> Iterator[Progress]:
        yield Progress(0, len(self._items), self.title)
        for done, item in enumerate(self._items):
            part = Context(partial(self._show, context, done), lambda: context.is_cancelled)
            yield Progress(done + 1, len(self._items), self.title, check_video(*item, part))

    def _show(self, context: Context, before: int, share: int, whole: int, _text: str) -> None:
        """Progress within one file, after so many others."""
        context.progress(before * whole + share, len(self._items) * whole)


def check_video(media: int, path: Path, stored: str, context: Context | None = None) -> VideoCheck:
    """Compare one file with the fingerprint that was kept; "" = none was, then any video fits."""
    from engine.media.source import is_video, open_media, prepare_index

    try:
        before = Fingerprint.from_text(stored) if stored else None
        if before is not None and content_key(path) == before.key:
            return VideoCheck(media, path, True, fingerprint=stored, kept=stored)
        if context is not None and is_video(path):  # the index of a long one takes time, and is kept
            prepare_index(path, index_home(), lambda share: context.progress(round(_SHARES * share), _SHARES))
        with open_media(path, cache=index_home()) as source:
            now = fingerprint(source)
    except Cancelled:
        raise
    except (PoseError, ValueError) as error:
        return VideoCheck(media, path, False, f"{error}. Its labels are safe.")
    text = now.to_text()
    if before is None:
        return VideoCheck(media, path, True, f"{path.name} is used; nothing is known about the labelled video", text)
    similarity = compare(before, now)
    if similarity is Similarity.DIFFERENT:
        seconds = _seconds(before), _seconds(now)
        why = f"{path.name} is not the video that was labelled: "
        why += "it shows something else" if seconds[0] == seconds[1] else f"it lasts {seconds[1]} s, not {seconds[0]} s"
        return VideoCheck(media, path, False, why, text, stored)
    if now.frame_count != before.frame_count or now.size != before.size:
        sizes = f"{before.frame_count} frames of {_size(before)}, now {now.frame_count} of {_size(now)}"
        why = f"{path.name} was re-encoded since it was labelled ({sizes}): labels may be on other frames or positions"
        return VideoCheck(media, path, False, why, text, stored)
    why = f"{path.name} was re-encoded since it was labelled; number and size of its frames agree"
    return VideoCheck(media, path, True, why, text)


def _seconds(value: Fingerprint) -> str:
    """How long a player says it lasts: the last frame is shown as long as the others are on average."""
    return f"{value.milliseconds / 1000 * value.frame_count / max(1, value.frame_count - 1):.2f}"


def _size(value: Fingerprint) -> str:
    return f"{value.size[0]} x {value.size[1]}"
