"""The open project, the current frame and the selection. Views listen to it, commands change it; it knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from PySide6.QtCore import QObject, Signal

from engine.errors import PoseError
from engine.schema.schema import Schema
from poseapp.project.edits.locks import PointRef, selectable, without_locked
from poseapp.project.model import Category, Change, Edit, Frame, FrameKey, Instance, State
from poseapp.project.queries.frame_keys import NO_FRAMES, FrameKeys
from poseapp.project.schema.migration import Sources, migrate_category, settle_all_names, settle_names
from poseapp.project.storage.snapshots import Snapshot, restore_snapshot
from poseapp.project.store import ProjectStore
from poseapp.session.background_queries import Queries
from poseapp.session.chunked_edits import ChunkedEdits
from poseapp.session.correcting import under_correction
from poseapp.session.frame_range import FrameRange
from poseapp.session.review_queue import ReviewQueue

__all__ = ["PointRef", "Session"]

T = TypeVar("T")


class Session(QObject):
    """The open project and the position in it. All methods must be called in the UI thread.

    Signals:
        project_changed(): another project is open, or none; views read everything again.
        changed(Change): an edit, undo or import changed these frames and instances.
        frame_changed(FrameKey | None): another frame is current.
        selection_changed(): other instances or keypoints are selected.
        media_changed(): a video was replaced by another file; just before ``changed`` and ``frame_changed``.
        hidden_changed(): other instances or keypoints are hidden or locked.
        proposal_changed(): another edit is proposed, or none.
        closing(): the project is about to close; unfinished work can still be saved.
        leave_refused(): another frame was requested and refused, see :attr:`why_busy`.
        message(text, kind): a message for the user; kind is "info", "good", "warning" or "error".
    """

    project_changed = Signal()
    changed = Signal(object)
    frame_changed = Signal(object)
    selection_changed = Signal()
    media_changed = Signal()
    hidden_changed = Signal()
    proposal_changed = Signal()
    closing = Signal()
    leave_refused = Signal()
    message = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.store: ProjectStore | None = None
        self._keys = NO_FRAMES
        self._frame: FrameKey | None = None
        self._listed: FrameKeys | None = None
        self._listed_index = -1
        self._instances: tuple[Instance, ...] = ()
        self._selected: frozenset[int] = frozenset()
        self._points: frozenset[PointRef] = frozenset()
        self._categories: list[Category] = []
        self._schemas: dict[int, Schema] = {}
        # Also those of categories that an undo has just removed: views paint their old rows until they refresh.
        self._shown_schemas: dict[int, Schema] = {}
        self._category: int | None = None
        self.hidden: frozenset[int] = frozenset()
        self.locked: frozenset[int] = frozenset()
        self.hidden_points: frozenset[PointRef] = frozenset()
        self.locked_points: frozenset[PointRef] = frozenset()
        self.correcting: frozenset[int] = frozenset()
        """Predictions of the current frame, and those corrected into labels, until Enter accepts them."""
        self.proposal: Edit | None = None
        self.why_busy: Callable[[], str] = str
        """Says why the current frame cannot be left now (the canvas sets it); "" when it can."""
        self.frame_range = FrameRange(self)
        self.queries = Queries(self)
        self.chunked_edits = ChunkedEdits(self)
        self.review = ReviewQueue(self)
        self.queries.failed.connect(lambda text: self.message.emit(text, "error"))
        self.chunked_edits.failed.connect(self._on_long_step_failed)
        self.changed.connect(lambda _change: self.queries.edited())

    # --- project

    def set_store(self, store: ProjectStore | None) -> None:
        """Show a project from its first frame; the previous one is closed."""
        if self.store is not None:
            self.closing.emit()
        self.queries.use(None)
        self.chunked_edits.finish()
        if self.store is not None and self.store is not store:
            self.store.close()
        self.store = store
        if store is not None and not store.read_only:
            self._try(lambda: settle_all_names(store))
        self._category, self._listed, self._listed_index = None, None, -1
        self._selected = self.hidden = self.locked = self.correcting = frozenset()
        self._points = self.hidden_points = self.locked_points = frozenset()
        self.frame_range.clear()
        self._read_structure()
        self._frame = self._keys[0] if self._keys else None
        self._read_instances()
        self.project_changed.emit()
        self.hidden_changed.emit()
        self.frame_changed.emit(self._frame)
        self.selection_changed.emit()

    def close(self) -> None:
        if self.store is not None:
            self.set_store(None)

    @property
    def path(self) -> Path | None:
        return None if self.store is None else self.store.path

    @property
    def read_only(self) -> bool:
        return self.store is not None and self.store.read_only

    def _read_structure(self) -> None:
        self._keys = NO_FRAMES if self.store is None else self.store.frame_keys()
        self.queries.use(self.store, len(self._keys))
        self._read_categories()

    def _read_categories(self) -> None:
        self._categories = [] if self.store is None else self.store.categories()
        self._schemas = {c.id: c.schema for c in self._categories}
        self._shown_schemas |= self._schemas

    # --- frames

    @property
    def frame(self) -> FrameKey | None:
        return self._frame

    @property
    def frames(self) -> FrameKeys:
        return self._keys

    def position(self, key: FrameKey | None = None) -> int:
        """Index of a frame (default: the current one) in :attr:`frames`; -1 when there is none."""
        return self._keys.position(self._frame if key is None else key)

    def frame_info(self, key: FrameKey | None = None) -> Frame | None:
        asked = self._frame if key is None else key
        return None if self.store is None or asked is None else self.store.frame(asked)

    def is_blocked(self) -> bool:
        """Whether the current frame cannot be left now; says why in a message."""
        reason = self.why_busy()
        if reason:
            self.message.emit(reason, "warning")
            self.leave_refused.emit()
        return bool(reason)

    def go_to(self, key: FrameKey) -> None:
        """Show a frame and clear the selection. Refused while something is unfinished (:attr:`why_busy`)."""
        if key == self._frame or key not in self._keys or self.is_blocked():
            return
        self._frame = key
        if self._listed is not None and self._listed.position(key) >= 0:
            self._listed_index = -1
        self.correcting = frozenset()
        had_selection = bool(self._selected or self._points)
        self._selected, self._points = frozenset(), frozenset()
        self._read_instances()
        self.frame_changed.emit(key)
        if had_selection:
            self.selection_changed.emit()

    def step(self, by: int) -> None:
        """Move by some frames (negative: back) in the list as filtered and sorted (:attr:`listed`), up to its ends."""
        keys = self._keys if self._listed is None or not len(self._listed) else self._listed
        if not keys:
            return
        position = keys.position(self._frame)
        if position >= 0:
            target = position + by
        elif self._frame is None:
            target = 0
        else:  # the frame has left the list: count from where it was, or would be by its number
            start = self._listed_index if self._listed_index >= 0 else keys.place_for(self._frame)
            target = start + by - (by > 0)
        self.go_to(keys[min(max(target, 0), len(keys) - 1)])

    @property
    def listed(self) -> FrameKeys | None:
        """The frames that the list shows, in its order; None for all frames in project order."""
        return self._listed

    def set_listed(self, keys: FrameKeys | None) -> None:
        """Set which frames the list shows."""
        before = -1 if self._listed is None else self._listed.position(self._frame)
        self._listed = keys
        if before >= 0:
            self._listed_index = before
        if keys is None or keys.position(self._frame) >= 0:
            self._listed_index = -1

    # --- instances

    @property
    def instances(self) -> tuple[Instance, ...]:
        """Instances of the current frame, in drawing order."""
        return self._instances

    def predicted(self) -> list[Instance]:
        """Predictions of the current frame."""
        return [i for i in self._instances if i.state is State.PREDICTED]

    @property
    def nothing_found(self) -> bool:
        """Whether a model found nothing in the current frame and nobody has reviewed it yet."""
        info = None if self._instances else self.frame_info()
        if info is None:
            return False
        return info.state.nothing_found and not info.state.negative and not info.state.reviewed

    @property
    def schemas(self) -> Mapping[int, Schema]:
        return self._schemas

    def categories(self) -> list[Category]:
        return self._categories

    @property
    def category(self) -> Category | None:
        """The category of new instances: that of the selection, else the chosen one, else the first."""
        categories = {c.id: c for c in self.categories()}
        for instance in self.selected:
            return categories.get(instance.category)
        if self._category in categories:
            return categories[self._category]
        return next(iter(categories.values()), None)

    def choose_category(self, category: int) -> None:
        self._category = category

    def find_category(self, schema: Schema, name: str | None = None) -> Category | None:
        """The category with the keypoints of a schema; of several, the one of this name."""
        alike = [category for category in self._categories if category.schema.names == schema.names]
        return next((category for category in alike if category.name == name), alike[0] if alike else None)

    def free_category_name(self, name: str) -> str:
        """A name that no category has yet: this one, if need be with a number."""
        taken = {category.name for category in self._categories}
        return next(n for n in (name, *(f"{name} {i}" for i in range(2, 1000))) if n not in taken)

    def add_category(self, name: str, schema: Schema) -> Category | None:
        """Add a category as one step, under a free name; None when it was refused, with a message."""
        store = self.store
        if store is None:
            return None
        self.chunked_edits.finish()
        added = self._try(lambda: store.add_category_step(self.free_category_name(name), schema))
        if added is None:
            return None
        self._read_categories()
        self._tell(added[1])
        return added[0]

    def update_category(self, category: Category, name: str, schema: Schema) -> bool:
        """Change names, limbs, colors and sigmas of a category, as one step. True when it was done."""
        store = self.store
        done = None if store is None else self._try(lambda: store.edit_category(category.id, name=name, schema=schema))
        self._structure()
        return done is not None

    def migrate(self, source: Category, name: str, schema: Schema, sources: Sources) -> Category | None:
        """:func:`~poseapp.project.schema.migration.migrate_category`; None when it was refused, with a message."""
        store = self.store
        done = None if store is None else self._try(lambda: migrate_category(store, source, name, schema, sources))
        if done is None:
            self._structure()
            return None
        self._read_categories()
        self._tell(replace(done[1], structure=True))
        return done[0]

    def _try(self, work: Callable[[], T]) -> T | None:
        """Do something; None when it was refused, which a message says."""
        try:
            return work()
        except PoseError as error:
            self.message.emit(str(error), "error")
            return None

    def _on_long_step_failed(self, text: str) -> None:
        """It was rolled back: read again what may have been read meanwhile."""
        self.message.emit(text, "error")
        if self.store is not None:
            self.store.imported()
            self._structure()

    def _structure(self) -> None:
        self._read_categories()
        self._read_instances()
        self.changed.emit(Change(structure=True))

    def schema_of(self, instance: Instance) -> Schema:
        return self._shown_schemas[instance.category]

    def _read_instances(self) -> None:
        before, known = self._instances, self.store is not None and self._frame is not None
        instances = self._try(lambda: self.store.instances(self._frame)) if known else ()  # type: ignore[union-attr,arg-type]
        self._instances = instances or ()
        if any(instance.category not in self._schemas for instance in self._instances):
            self._read_categories()  # a long redo has added some, and goes on
        self.correcting = under_correction(self.correcting, before, self._instances)

    # --- selection

    @property
    def selected_instances(self) -> frozenset[int]:
        return self._selected

    @property
    def selected_points(self) -> frozenset[PointRef]:
        return self._points

    @property
    def selected(self) -> list[Instance]:
        """The selected instances, and those with selected keypoints, in drawing order."""
        ids = self._selected | {instance for instance, _ in self._points}
        return [instance for instance in self._instances if instance.id in ids]

    def select(self, instances: Collection[int] = (), points: Collection[PointRef] = ()) -> None:
        """Select instances and keypoints of the current frame; unknown ones are ignored."""
        sizes = {i.id: i.num_keypoints for i in self._instances}
        chosen = frozenset(i for i in instances if i in sizes)
        marked = frozenset((i, k) for i, k in points if i in sizes and 0 <= k < sizes[i])
        if (chosen, marked) != (self._selected, self._points):
            self._selected, self._points = chosen, marked
            self.selection_changed.emit()

    def hide_and_lock(self, hidden: Collection[int], locked: Collection[int]) -> None:
        """Set which instances are hidden, and which are locked: drawn, but not changed by any edit.

        Neither is written to the project, and neither can be selected.
        """
        self.hidden, self.locked = frozenset(hidden), frozenset(locked)
        self._hidden_or_locked()

    def hide_and_lock_points(self, hidden: Collection[PointRef], locked: Collection[PointRef]) -> None:
        """As :meth:`hide_and_lock`, for single keypoints."""
        self.hidden_points, self.locked_points = frozenset(hidden), frozenset(locked)
        self._hidden_or_locked()

    def _hidden_or_locked(self) -> None:
        self.hidden_changed.emit()
        poses, points = self.hidden | self.locked, self.hidden_points | self.locked_points
        self.select(*selectable(self._selected, self._points, poses, points))

    # --- edits

    def end_correction(self, instances: Collection[int]) -> None:
        """The correction of these poses is finished."""
        if self.correcting & frozenset(instances):
            self.correcting -= frozenset(instances)
            self.selection_changed.emit()

    def propose(self, edit: Edit | None) -> None:
        """Propose an edit that a person may accept (:meth:`take_proposal`) or ignore; None to withdraw it."""
        if edit is not self.proposal:
            self.proposal = edit
            self.proposal_changed.emit()

    def take_proposal(self) -> bool:
        """Apply the proposed edit; False when there is none."""
        edit = self.proposal
        self.propose(None)
        return edit is not None and self.apply(edit)

    def apply(self, edit: Edit) -> bool:
        """Apply an edit, except to what is locked. True when it was done; a refusal changes nothing and is shown."""
        if self.store is None:
            return False
        self.chunked_edits.finish()
        free = without_locked(edit, self.locked, self.locked_points)
        if free is None:
            self.message.emit("Locked: cannot be changed. Ctrl+Shift+H unlocks all.", "info")
            return False
        try:
            change = self.store.apply(free)
        except PoseError as error:
            self.message.emit(str(error), "error")
            self._tell(Change(frozenset({self._frame} if self._frame else ())))
            return False
        self._tell(change)
        return True

    def apply_with_category(self, category: Category, edit: Edit) -> Category | None:
        """Add a category and apply the edit that first uses it, as one step; a refusal changes nothing.

        Args:
            category: its id is a placeholder, which the new instances of the edit have too.

        Returns:
            The category as it was added; None when it was refused.
        """
        store = self.store
        if store is None:
            return None
        self.chunked_edits.finish()

        done = self._try(lambda: store.apply_with_category(category, edit))
        if done is None:
            return None
        self._read_categories()
        self._tell(done[1])
        return done[0]

    def undo(self) -> None:
        self._step_history(-1)

    def redo(self) -> None:
        self._step_history(1)

    def _step_history(self, direction: int) -> None:
        if self.store is not None:
            self.chunked_edits.finish()
            count, done = self.store.history_length()
            if 0 <= done + direction <= count:
                self.jump_to(done + direction)

    def jump_to(self, step: int) -> None:
        """Undo or redo up to a step of the history: at once, or in chunks when much has to change."""
        store = self.store
        if store is not None:
            text = "Undoing" if step < store.history_length()[1] else "Redoing"
            self.chunked_edits.start(lambda: store.jump_in_chunks(step), text, self._on_history_changed)

    def _on_history_changed(self, change: Change, *, show: bool = True) -> None:
        store = self.store
        kind = None if store is None else self._try(lambda: settle_names(store, change))
        if kind is not None:
            self._read_categories()
            self._category, change = kind.id, replace(change, structure=True)
        elif change.structure and not change.media:
            self._read_categories()
        self._tell(change, show=show)

    def restore(self, snapshot: Snapshot) -> bool:
        """Restore a snapshot as one step. True when it was done."""
        store = self.store
        change = None if store is None else self._try(lambda: restore_snapshot(store, snapshot))
        if change is not None:
            self._on_history_changed(change, show=False)
        return change is not None

    def structure_changed(self) -> None:
        """Media, frames or categories were added or removed (an import)."""
        self._read_structure()
        if self._frame not in self._keys:
            self._frame = self._keys[0] if self._keys else None
            self._read_instances()
            self.frame_changed.emit(self._frame)
        else:
            self._read_instances()
        self.changed.emit(Change(structure=True))

    def announce(self, change: Change) -> None:
        """Tell the views about a change that was made in the store directly."""
        self._tell(change)

    def _follow_media(self) -> None:
        """A video was replaced by another file: its frames may differ, and pictures must be read again."""
        self._read_structure()
        self.frame_range.clear()
        self._frame = None if self._frame is None else self._keys.nearest(self._frame)
        self.media_changed.emit()

    def _tell(self, change: Change, *, show: bool = False) -> None:
        """Tell the views. With ``show``, go to a changed frame if the current one has not changed: undo is seen."""
        if change.media:
            self._follow_media()
        elif show and change.frames and self._frame not in change.frames:
            self.go_to(min(change.frames))
        self._read_instances()
        here = {i.id: i.num_keypoints for i in self._instances}
        selected = frozenset(i for i in self._selected if i in here)
        points = frozenset((i, k) for i, k in self._points if i in here and k < here[i])
        lost = (selected, points) != (self._selected, self._points)
        self._selected, self._points = selected, points
        self.changed.emit(change)
        if change.media:
            self.frame_changed.emit(self._frame)
        if lost:
            self.selection_changed.emit()
