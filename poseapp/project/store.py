"""A project: media, frames, categories, instances and their history, in one file.

Every change is on the disk when the call returns; there is no saving. One store at a time may write to a file, any
number may read it meanwhile. A store may go from thread to thread, but is used by one at a time; a worker opens its
own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.schema.schema import Schema
from engine.utils.context import Context
from poseapp.project.model import (
    Category,
    Change,
    Counts,
    Edit,
    Frame,
    FrameCounts,
    FrameKey,
    Instance,
    Media,
    State,
    Step,
    Summary,
)
from poseapp.project.queries.frame_keys import FrameKeys
from poseapp.project.queries.frame_query import FrameQuery, find_frames
from poseapp.project.storage.chunked_write import ChunkedWrite, Pieces, run_through
from poseapp.project.storage.database import Database
from poseapp.project.tables.categories import CategoryDelta, CategoryTable, write_categories
from poseapp.project.tables.edit_diff import blocks, check_once, compare_instances, compare_states
from poseapp.project.tables.frames import FrameTable
from poseapp.project.tables.history import FrameDelta, History, InstanceDelta, write_instances, write_states
from poseapp.project.tables.instance_rows import COLUMNS
from poseapp.project.tables.instances import InstanceTable
from poseapp.project.tables.media_state import MediaDelta, counted_once, grow, settle

_NEXT_INSTANCE, _NEXT_TRACK = "next_instance", "next_track"
_TRACK = COLUMNS.index("track")


class ProjectStore:
    """An open project file; a context manager that closes it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._db = database
        self._frames = FrameTable(database)
        self._categories = CategoryTable(database)
        self._history = History(database, self._categories.forget)
        self._instances = InstanceTable(database, self._categories.all)
        self._seen_version = database.data_version()
        self._next_id = max(database.meta(_NEXT_INSTANCE, 1), self._instances.last_id() + 1)
        self._next_track = 1

    @classmethod
    def create(cls, path: Path | str) -> ProjectStore:
        """Make a new project and open it for writing.

        Raises:
            ProjectError: there is a file already, or the folder cannot be written.
        """
        return cls(Database.create(Path(path)))

    @classmethod
    def open(cls, path: Path | str, read_only: bool = False, context: Context | None = None) -> ProjectStore:
        """Open a project.

        Args:
            context: of long work that the store is opened for; see :meth:`Database.open`.

        Raises:
            ProjectError: missing, no project, of a newer version, damaged, or open for writing elsewhere.
            Cancelled: the work was cancelled.
        """
        return cls(Database.open(Path(path), read_only, context))

    def close(self) -> None:
        """Let go of the file; harmless when called twice."""
        self._db.close()

    def __enter__(self) -> ProjectStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> Path:
        return self._db.path

    @property
    def read_only(self) -> bool:
        return self._db.read_only

    # --- media and frames

    def media(self) -> list[Media]:
        self._refresh()
        return list(self._frames.media().values())

    def add_media(self, kind: str, path: Path | str) -> Media:
        """Add a folder of images ("images") or a video file ("video"); its frames are added with :meth:`add_frames`."""
        return self._frames.add_media(kind, path)

    def move_media(self, media_id: int, path: Path | str) -> Media:
        """Tell where a folder of images or a video lies now."""
        return self._frames.move_media(media_id, path)

    def stored_path(self, path: Path | str) -> str:
        """A path as it stands in the project: relative below or beside its file, so that both can be moved together."""
        return self._frames.stored(path)

    def add_frames(self, media_id: int, frames: Sequence[tuple[str, int, int]]) -> list[FrameKey]:
        """Append frames (name below the media's root, width, height; 0 while unknown); returns their keys."""
        return self._frames.add(media_id, frames)

    def frames(self, media_id: int | None = None) -> list[Frame]:
        """Frames in order of media and index."""
        return self._frames.all(media_id)

    def frame_names(self, media_id: int) -> list[str]:
        """Names of the frames of a media row, in order."""
        return self._frames.names(media_id)

    def frame_keys(self) -> FrameKeys:
        """All frames in order; a sequence that holds numbers, not objects."""
        return self._frames.keys()

    def find_frames(self, query: FrameQuery) -> FrameKeys:
        """The frames that meet a query, in its order."""
        return find_frames(self._db, query)

    def frame_marks(self) -> npt.NDArray[np.uint8]:
        """(N,) of all frames in order: bits 1 labelled, 2 predicted, 4 reviewed, 8 flagged, 16 negative."""
        return self._frames.marks()

    def review_queue(self) -> FrameKeys:
        """Frames with predictions, the least certain first; then frames in which a model found nothing."""
        return self._frames.review_queue()

    def waits_for_review(self, key: FrameKey) -> bool:
        """Whether a frame is in :meth:`review_queue`."""
        return self._frames.waits_for_review(key)

    def frame_count(self) -> int:
        return self._frames.count()

    def frame(self, key: FrameKey) -> Frame:
        """Raises ProjectError when there is no such frame."""
        return self._frames.get(key)

    def frame_path(self, key: FrameKey) -> Path:
        """The image file of a frame, or the video that it is in; the file may be missing."""
        self._refresh()
        return self._frames.path(key)

    def set_frame_size(self, key: FrameKey, width: int, height: int) -> None:
        self._frames.set_sizes([(key, width, height)])

    def categories(self) -> list[Category]:
        self._refresh()
        return list(self._categories.all().values())

    def category(self, category_id: int) -> Category:
        """Raises ProjectError when there is no such category."""
        self._refresh()
        return self._categories.get(category_id)

    def add_category(self, name: str, schema: Schema) -> Category:
        """Add a category outside the history, as imports do; see :meth:`add_category_step`."""
        return self._categories.add(name, schema)

    def add_category_step(self, name: str, schema: Schema) -> tuple[Category, Change]:
        """Add a category as a step of the history."""
        return self.apply_with_category(Category(0, name, schema), Edit(f"Add category {name}", ()))

    def apply_with_category(self, new: Category, edit: Edit) -> tuple[Category, Change]:
        """Add a category and do the edit that first uses it, as one step: undo takes both back.

        Args:
            new: its id is a placeholder, which the instances of ``edit`` have too.

        Raises:
            ProjectError: as :meth:`apply`; nothing was changed.
        """
        try:
            with self._db.write():
                category = self._categories.add(new.name, new.schema)
                frames = tuple(
                    replace(
                        frame,
                        after=tuple(
                            replace(i, category=category.id) if i.category == new.id else i for i in frame.after
                        ),
                    )
                    for frame in edit.frames
                )
                added = (self._categories.added(category),)
                return category, run_through(self._applied(replace(edit, frames=frames), added))
        except BaseException:
            self._categories.forget()
            raise

    def edit_category(self, category_id: int, *, name: str | None = None, schema: Schema | None = None) -> Change:
        """As :meth:`update_category`, as one step of the history. A category that stays as it is leaves no step.

        Raises:
            ProjectError: as :meth:`update_category`.
        """
        return self.edit_categories({category_id: (name, schema)})

    def edit_categories(self, changes: Mapping[int, tuple[str | None, Schema | None]], text: str = "") -> Change:
        """As :meth:`edit_category`, of several categories as one step.

        Args:
            changes: new name and schema by category; None = as before.
            text: of the step; "" = made of the name of the last category.

        Raises:
            ProjectError: as :meth:`update_category`; nothing was changed.
        """
        self._db.finish_chunks()
        compared = [self._categories.compare(category_id, *change) for category_id, change in changes.items()]
        touched = [delta for delta, _ in compared if delta.after]
        if not touched:
            return Change()
        with self._db.write():
            write_categories(self._db, touched)
            text = text or f"Edit skeleton {compared[-1][1].name}"
            for _ in self._history.record(text, "", (), (), categories=touched):
                pass  # a step without instances is written in one piece
        self._categories.forget()
        return Change(structure=True)

    def update_category(self, category_id: int, *, name: str | None = None, schema: Schema | None = None) -> Category:
        """Rename a category, or change names, limbs, colors and sigmas of its points.

        Raises:
            ProjectError: the number of points would change although there are instances, here or in the history.
        """
        return self._categories.update(category_id, name, schema)

    # --- instances

    def instances(self, key: FrameKey) -> tuple[Instance, ...]:
        """The instances of a frame in drawing order, the oldest first."""
        return self._instances.of_frame(key)

    def instance(self, instance_id: int) -> Instance:
        """Raises ProjectError when there is no such instance."""
        return self._instances.get(instance_id)[1]

    def frame_of(self, instance_id: int) -> FrameKey:
        """Raises ProjectError when there is no such instance."""
        return self._instances.get(instance_id)[0]

    def find(
        self,
        *,
        state: State | None = None,
        category: int | None = None,
        track: int | None = None,
        max_score: float | None = None,
        max_keypoint_score: float | None = None,
        max_visible: int | None = None,
        by_score: bool = False,
    ) -> list[tuple[FrameKey, int]]:
        """Frame and id of the instances that fit every given condition, by frame or by score, the lowest first.

        ``max_keypoint_score`` asks for a visible point with at most that score, ``max_visible`` for at most so many
        points.
        """
        conditions: dict[str, Any] = {
            "state = ?": None if state is None else int(state is State.LABELLED),
            "category = ?": category,
            "track = ?": track,
            "score <= ?": max_score,
            "min_score <= ?": max_keypoint_score,
            "num_visible <= ?": max_visible,
        }
        return self._instances.find({sql: value for sql, value in conditions.items() if value is not None}, by_score)

    def all_instances(self, state: State | None = None) -> Iterator[tuple[FrameKey, Instance]]:
        """Every instance with its frame, frame by frame, read in blocks."""
        return self._instances.all(state)

    def new_ids(self, count: int) -> range:
        """Ids for new instances, never given before and never again."""
        first = self._next_id
        self._next_id += count
        return range(first, first + count)

    def new_track_numbers(self, count: int = 1) -> range:
        """Numbers for new tracks that no track has, nor had: also not one that was deleted or undone."""
        tracks = self.tracks()
        first = max(self._next_track, self._db.meta(_NEXT_TRACK, 1), 1 + (tracks[-1] if tracks else 0))
        self._next_track = first + count
        return range(first, self._next_track)

    def keep_new_numbers(self) -> None:
        """Remember the ids and track numbers that were given, where instances are written outside the history."""
        self._keep_numbers(self._next_id, self._next_track)

    def counts(self) -> Counts:
        """Counts of every frame that holds instances; ``counts[key]`` is all zero for the others. Read each time."""
        return self._frames.counts()

    def frame_counts(self, key: FrameKey) -> FrameCounts:
        return self._frames.counts_of(key)

    def tracks(self) -> list[int]:
        """Numbers of the tracks that instances have."""
        return self._instances.tracks()

    def summary(self) -> Summary:
        """Totals of the whole project."""
        return self._frames.summary()

    # --- edits

    def apply(self, edit: Edit) -> Change:
        """Do an edit as one step of the history; it is durable when this returns.

        What could be redone is forgotten. An edit that changes nothing leaves no step.

        Raises:
            ProjectError: ``before`` is not what the project holds, or ``after`` does not fit; nothing was changed.
        """
        with self._db.write():
            return run_through(self._applied(edit))

    def apply_in_chunks(self, edit: Edit) -> ChunkedWrite:
        """As :meth:`apply`, begun: whoever asks for it does it bit by bit."""
        return ChunkedWrite(self._db, self._applied(edit))

    def _applied(self, edit: Edit, categories: Sequence[CategoryDelta] = ()) -> Pieces[Change]:
        touched: list[InstanceDelta] = []
        for block in blocks(edit.frames):
            block_delta = compare_instances(self._db, self._frames, self._categories.all(), block)
            write_instances(self._db, block_delta)
            touched += block_delta
            yield len(touched)
        check_once(t.instance for t in touched)
        states = compare_states(self._frames, edit.frames)
        if not touched and not states and not categories:
            return Change()
        return (yield from self._kept(edit.text, edit.merge_key, touched, states, categories=categories))

    def undo(self) -> Change | None:
        """Take the last step back; None when there is none."""
        position = self._history.position
        return self.jump_to(position - 1) if position else None

    def redo(self) -> Change | None:
        """Do the step again that was taken back last; None when there is none."""
        position = self._history.position
        return self.jump_to(position + 1) if position < self._history.last() else None

    def undo_text(self) -> str | None:
        """What undo would take back, or None."""
        return self._history.undo_text()

    def redo_text(self) -> str | None:
        """What redo would do again, or None."""
        return self._history.redo_text()

    def history(self) -> list[Step]:
        """All steps, oldest first; those that redo would bring back are not ``done``."""
        return self._history.steps()

    def jump_to(self, step: int) -> Change:
        """Undo or redo until ``step`` is the last one done; 0 takes everything back.

        Raises:
            ProjectError: there is no such step.
        """
        with self._db.write():
            return run_through(self._walked(step))

    def jump_in_chunks(self, step: int) -> ChunkedWrite:
        """As :meth:`jump_to`, begun: whoever asks for it does it bit by bit."""
        return ChunkedWrite(self._db, self._walked(step))

    def _walked(self, step: int) -> Pieces[Change]:
        change = yield from self._history.walk(step)
        if change.media:
            self._frames.forget()
        return change

    def stop_merging(self) -> None:
        """The next edit is a step of its own, whatever its merge key."""
        self._history.stop_merging()

    def history_length(self) -> tuple[int, int]:
        """How many steps there are, and how many of them are done."""
        return self._history.last(), self._history.position

    def history_page(self, first: int, count: int) -> list[Step]:
        """Steps ``first``, ``first + 1``, ...; counted from 1."""
        return self._history.steps(first, count)

    def record(
        self,
        text: str,
        touched: Sequence[InstanceDelta],
        states: Sequence[FrameDelta],
        media: Sequence[MediaDelta] = (),
        categories: Sequence[CategoryDelta] = (),
    ) -> Change:
        """Do what has been compared already, row by row, as one step; durable when this returns.

        Args:
            media: videos that become another file; frames that this takes away must be empty afterwards.
            categories: categories that come with the step.
        """
        with self._db.write():
            write_categories(self._db, categories)
            for m in media:
                grow(self._db, m.media, m.after)
            with counted_once(self._db, [m.media for m in media]):
                write_instances(self._db, touched)
            step = self._kept(text, "", touched, states, media, categories)
            change = run_through(step) if touched or states or media or categories else Change()
            for m in media:
                settle(self._db, m.media, m.after)
        if media:
            self._frames.forget()
        if categories:
            self._categories.forget()
        return change

    # --- within

    def imported(self) -> None:
        """Forget what is cached after an importer has written to the tables."""
        self._frames.forget()
        self._categories.forget()
        self._next_id = max(self._next_id, self._db.meta(_NEXT_INSTANCE, 1), self._instances.last_id() + 1)

    def _refresh(self) -> None:
        """A reader beside a writer sees what the writer has done since."""
        if self.read_only and (version := self._db.data_version()) != self._seen_version:
            self._seen_version = version
            self.imported()

    def _kept(
        self,
        text: str,
        merge_key: str,
        touched: Sequence[InstanceDelta],
        states: Sequence[FrameDelta],
        media: Sequence[MediaDelta] = (),
        categories: Sequence[CategoryDelta] = (),
    ) -> Pieces[Change]:
        """States and history of a step whose instances have been written. Within a transaction, in pieces."""
        write_states(self._db, states)
        yield from self._history.record(text, merge_key, touched, states, media, categories)
        self._reserve(touched)
        frames = frozenset(t.frame for t in touched) | frozenset(s.frame for s in states)
        videos = frozenset(m.media for m in media)
        return Change(frames, frozenset(t.instance for t in touched), bool(videos or categories), videos)

    def _reserve(self, touched: Iterable[InstanceDelta]) -> None:
        added = [t for t in touched if t.after is not None]
        self._next_id = max(self._next_id, 1 + max((t.instance for t in added if t.before is None), default=0))
        track = max((t.after.get(_TRACK) or 0 for t in added if t.after), default=0)
        self._keep_numbers(self._next_id, 1 + track)

    def _keep_numbers(self, next_instance: int, next_track: int) -> None:
        for key, value in ((_NEXT_INSTANCE, next_instance), (_NEXT_TRACK, next_track)):
            if value > self._db.meta(key, 1):
                self._db.set_meta(key, value)
