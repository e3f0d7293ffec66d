"""A label file that is opened again: what it says now, compared with what came from it and with the project.

The file is imported into a project of its own first (a draft), then compared pose by pose. A pose that the file has
changed and nobody else is changed; one that a person has changed or deleted meanwhile is kept as it is and listed; a
new one is added; one that is no longer in the file stays. All of it is one step of the history.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.formats.deeplabcut.categories import share_keypoints, union
from engine.schema.matching import is_numbered
from engine.schema.schema import Schema
from poseapp.project.formats.label_files import COCO, DATASET
from poseapp.project.label_update.archive import copy_archive, image_ids, same_records
from poseapp.project.label_update.matching import DraftPose, Key, Matcher, has_content, is_as_imported
from poseapp.project.label_update.sources import (
    NO_TRACK,
    LabelSource,
    SourceRecord,
    SourceTable,
    pose_digest,
    track_of_row,
)
from poseapp.project.model import Category, Edit, FrameEdit, FrameKey, FrameState, Instance
from poseapp.project.relink.fingerprints import fingerprints, keep_fingerprint
from poseapp.project.schema.migration import Sources, migrate_category, migrated
from poseapp.project.storage.file_names import to_stored
from poseapp.project.store import ProjectStore
from poseapp.project.tables import instance_rows
from poseapp.project.tables.original_rows import original_rows

_LISTED = 50
_VOTES = 50
_POSITIONAL = frozenset({"sleap"})
"""Kinds of files whose records have no ids."""
_BY_POSITION = frozenset({COCO, DATASET})
"""Formats in which a keypoint is known by its position; in all others by its name."""


@dataclass
class UpdateReport:
    """What opening a label file again brings.

    Attributes:
        images, video_frames: images, and frames of videos, that the project does not have.
        added, changed: poses that are new, and those that the file has changed and nobody else.
        conflicts: a sentence for each pose that the file and a person have changed; the person's stays.
        gone: poses that are no longer in the file; they stay.
        same: poses that are as they were imported.
        crowded: new poses in frames that hold other poses already.
        marks: frames that the file marks (negative, flagged) and the project does not.
        categories: names of categories with poses that the project does not have.
    """

    images: int = 0
    video_frames: int = 0
    added: int = 0
    changed: int = 0
    conflicts: list[str] = field(default_factory=list)
    gone: int = 0
    same: int = 0
    crowded: int = 0
    marks: int = 0
    categories: list[str] = field(default_factory=list)

    @property
    def changes_project(self) -> bool:
        """Whether taking it in changes what the project shows."""
        return bool(self.images or self.video_frames or self.added or self.changed or self.marks)

    def summary(self) -> str:
        """What is new, as "1 new image, 3 new poses, 2 changed poses"."""
        parts = [
            _count(self.images, "new image"),
            _count(self.video_frames, "new frame"),
            _count(self.added, "new pose"),
            _count(self.changed, "changed pose"),
            _count(self.marks, "newly marked frame"),
        ]
        return ", ".join(part for part in parts if part) or "nothing new"

    def remarks(self) -> list[str]:
        """What is not taken in, as sentences."""
        more = len(self.conflicts) - _LISTED
        sentences = self.conflicts[:_LISTED]
        if more > 0:
            sentences.append(f"{more:,} more poses are changed in the file and in the project; the project's stay")
        if self.gone:
            sentences.append(f"No longer in the file, kept in the project: {_count(self.gone, 'pose')}")
        return sentences


class LabelUpdate:
    """Compares a draft with a project, which is only read; :meth:`apply` takes the draft in.

    Args:
        store: the project. draft: a project that was made of the label files alone.
        title: what the step of the history is called.
        take_conflicts: what the file and a person have changed becomes as it is in the file.
    """

    def __init__(self, store: ProjectStore, draft: ProjectStore, title: str, *, take_conflicts: bool = False) -> None:
        self._store, self._draft, self._title = store, draft, title
        self._take_conflicts = take_conflicts
        self._sources = SourceTable(draft).all()
        self._by_names = all(source.kind not in _BY_POSITION for source in self._sources)
        self._compare()

    # --- comparing

    def _compare(self) -> None:
        table = SourceTable(self._store)
        results = {source.id: table.find(source.path) for source in self._sources}
        self._known = {index: source for index, source in results.items() if source is not None}
        self._base: dict[Key, SourceRecord] = {
            (index, record.key): record for index, source in self._known.items() for record in table.records(source.id)
        }
        self.report = UpdateReport()
        self._edits: defaultdict[FrameKey, list[tuple[Instance | None, DraftPose]]] = defaultdict(list)
        self._map_frames()
        self._read_draft()
        self._match()
        self._decide()
        self._mark()

    def _map_frames(self) -> None:
        """Find the frames of the draft in the project: by file, or by the image id of the COCO file before."""
        key_at = {location: key for key, location in _frames_with_places(self._store)}
        self._frames = {
            key: key_at[location] for key, location in _frames_with_places(self._draft) if location in key_at
        }
        self._moved: dict[FrameKey, Path] = {}
        for source in self._sources:
            before = self._known.get(source.id)
            if before is None or before.archive is None or source.archive is None:
                continue
            earlier = image_ids(self._store, before.archive)
            for identity, key in image_ids(self._draft, source.archive).items():
                target = earlier.get(identity)
                if key in self._frames or target is None or os.path.exists(self._store.frame_path(target)):
                    continue
                # The image was missing. It stays one frame, wherever the file is now.
                path = self._draft.frame_path(key)
                if self._is_image(self._store, target) and self._is_image(self._draft, key):
                    self._frames[key] = target
                    if path.exists():
                        self._moved[target] = path
        videos = {media.id for media in self._draft.media() if media.kind == "video"}
        new = [key for key in self._draft.frame_keys() if key not in self._frames]
        self.report.video_frames = sum(key.media in videos for key in new)
        self.report.images = len(new) - self.report.video_frames

    def _is_image(self, store: ProjectStore, key: FrameKey) -> bool:
        return next(media.kind for media in store.media() if media.id == key.media) == "images"

    def _read_draft(self) -> None:
        keys: dict[int, Key] = {}
        positional: set[int] = set()
        tracks: dict[int, int | None] = {}
        for source in self._sources:
            keys.update((r.instance, (source.id, r.key)) for r in SourceTable(self._draft).records(source.id))
            before = self._known.get(source.id)
            tracks.update((n, before.tracks.get(name) if before else None) for name, n in source.tracks.items())
            if source.kind in _POSITIONAL:
                positional.add(source.id)
        self._tracks = tracks
        poses = list(self._draft.all_instances())
        self._categories = self._map_categories(poses, keys)
        self._poses = [
            self._translated(
                DraftPose(key, self._frames.get(key), instance, keys.get(instance.id, (0, ""))), positional
            )
            for key, instance in poses
        ]

    def _map_categories(
        self, poses: Sequence[tuple[FrameKey, Instance]], keys: dict[int, Key]
    ) -> dict[int, tuple[Category, Sources]]:
        """For the categories of the draft that the project has: which, and where each of its points comes from."""
        own = {category.id: category for category in self._store.categories()}
        votes: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for _, instance in poses:
            record = self._base.get(keys.get(instance.id, (0, "")))
            if record is not None and votes[instance.category].total() < _VOTES:
                sql = "SELECT category FROM instance WHERE id = ?"
                if (row := self._store.database.row(sql, (record.instance,))) is not None:
                    votes[instance.category][int(row[0])] += 1
        results: dict[int, tuple[Category, Sources]] = {}
        taken: set[int] = set()
        for category in self._draft.categories():
            by_record = [index for index, _ in votes[category.id].most_common() if index in own]
            by_name = [c.id for c in own.values() if c.name == category.name]
            for index in dict.fromkeys((*by_record, *by_name)):
                order = point_order(category.schema, own[index].schema, self._by_names, index in by_record)
                if order is not None and index not in taken:  # two categories of a file with one name stay two
                    taken.add(index)
                    results[category.id] = (own[index], order)
                    break
        return results

    def _translated(self, pose: DraftPose, positional: set[int]) -> DraftPose:
        """The pose with the project's category and track, as far as it has them."""
        pose.positional = pose.key[0] in positional
        pose.draft_track = pose.instance.track
        pose.instance = replace(pose.instance, track=self._track(pose.draft_track))
        if pose.instance.category in self._categories:
            category, order = self._categories[pose.instance.category]
            pose.instance = migrated(pose.instance, category, order)
            pose.digest = pose_digest(instance_rows.to_row(pose.instance, pose.frame))
        return pose

    def _track(self, track: int | None) -> int | None:
        """The project's number of a track; numbers that the file itself gives stay."""
        return None if track is None else self._tracks.get(track, track)

    def _match(self) -> None:
        unknown = [source for source in self._sources if source.id not in self._known]
        archives = [source.archive for source in unknown if source.archive is not None]
        matcher = Matcher(
            self._store,
            self._base,
            original_rows(self._store) if unknown else {},
            same_records(self._store, self._draft, archives) if archives else {},
        )
        of_frame: defaultdict[FrameKey | None, list[DraftPose]] = defaultdict(list)
        for pose in self._poses:
            if pose.digest is not None:
                of_frame[pose.target].append(pose)
        for target, poses in of_frame.items():
            matcher.match(poses, target)
        # A file that was imported by a version that did not keep its tracks: they are those of the poses that match.
        learned: defaultdict[int, Counter[int]] = defaultdict(Counter)
        for pose in self._poses:
            if pose.record is None and pose.existing is not None and pose.draft_track in self._tracks:
                row = self._row(pose.existing)
                if row is not None and track_of_row(row) != NO_TRACK:
                    learned[pose.draft_track][track_of_row(row)] += 1
        for draft_track, counts in learned.items():
            if self._tracks[draft_track] is None:
                self._tracks[draft_track] = counts.most_common(1)[0][0]
        for pose in self._poses:
            pose.instance = replace(pose.instance, track=self._track(pose.draft_track))

    def _decide(self) -> None:
        occupied = {key for key, counts in self._store.counts().items() if counts.labelled or counts.predicted}
        for pose in self._poses:
            if pose.existing is None:
                self.report.added += 1
                self.report.crowded += pose.target in occupied
                self._edits[pose.frame].append((None, pose))
            elif pose.is_similar:  # labels of one object with other points: nobody knows which is right
                self._decide_conflict(pose, self._row(pose.existing), "a pose differs in the file and in the project")
            elif pose.record is None or (pose.record.digest == pose.digest and pose.record.track == self._number(pose)):
                self.report.same += 1
            else:
                self._decide_changed(pose, pose.record)
        used_categories = {pose.instance.category for pose in self._poses}
        self.report.categories = [
            category.name
            for category in self._draft.categories()
            if category.id not in self._categories and category.id in used_categories
        ]
        used = {pose.existing for pose in self._poses}
        self.report.gone = sum(
            record.instance not in used and self._row(record.instance) is not None for record in self._base.values()
        )

    def _decide_changed(self, pose: DraftPose, record: SourceRecord) -> None:
        row = self._row(record.instance)
        if row is not None and has_content(row, pose.digest, self._number(pose)):
            self.report.same += 1
        elif row is not None and is_as_imported(row, record):
            self.report.changed += 1
            self._edits[pose.frame].append((instance_rows.from_row(row), pose))
        else:
            what = "deleted" if row is None else "changed"
            self._decide_conflict(pose, row, f"a pose is changed in the file and was {what} in the project")

    def _decide_conflict(self, pose: DraftPose, row: instance_rows.Row | None, what: str) -> None:
        """The pose becomes as it is in the file, or stays and is listed."""
        if self._take_conflicts:
            self.report.changed += 1
            self._edits[pose.frame].append((None if row is None else instance_rows.from_row(row), pose))
        else:
            where = self._draft.frame(pose.frame).name
            self.report.conflicts.append(f"Frame {where}: {what}; it stays as it is here")

    def _number(self, pose: DraftPose) -> int:
        return NO_TRACK if pose.instance.track is None else pose.instance.track

    def _row(self, instance: int) -> instance_rows.Row | None:
        return self._store.database.row(f"{instance_rows.SELECT} WHERE id = ?", (instance,))

    def _mark(self) -> None:
        """Frames that the file calls negative or flags; once: what a person has changed since stays."""
        self._marks: dict[FrameKey, FrameState] = {}
        sql = "SELECT media, idx FROM frame WHERE state & 6"
        for key in (FrameKey(*row) for row in self._draft.database.rows(sql)):
            target = self._frames.get(key)
            state = self._draft.frame(key).state
            if target is not None:
                here = self._store.frame(target).state
                if all(source.id in self._known and source.complete for source in self._known.values()) and self._known:
                    continue
                counts = self._store.frame_counts(target)
                negative = here.negative or (state.negative and not counts.labelled)
                state = replace(here, flagged=here.flagged or state.flagged, negative=negative)
                if state == here:
                    continue
            self._marks[key] = state
        self.report.marks = len(self._marks)

    # --- taking in

    def apply(self) -> UpdateReport:
        """Take in what is new and what only the file has changed; remember the files as they are now.

        Raises:
            ProjectError: the project cannot be written; nothing was changed.
        """
        try:
            with self._store.database.write():
                if self._widen():
                    self._compare()
                self._add_frames()
                categories = self._add_categories()
                self._add_tracks()
                instances = self._apply_poses(categories)
                self._remember(instances, categories)
        finally:
            self._store.imported()
        return self.report

    def _widen(self) -> bool:
        """Points that a category of the file has beyond the project's category of its name join that."""
        widened = False
        for category in self._draft.categories():
            own = next((c for c in self._store.categories() if c.name == category.name), None)
            if own is None or category.id in self._categories or not self._is_joinable(own, category):
                continue
            schema = union(own.schema, category.schema)
            sources = tuple(own.schema.index.get(name) for name in schema.names)
            untouched = {
                record.instance for record in self._all_records()
                if (row := self._row(record.instance)) is not None and pose_digest(row) == record.digest
            }  # fmt: skip
            migrate_category(self._store, own, own.name, schema, sources)
            self._renew_digests(untouched)
            widened = True
        return widened

    def _is_joinable(self, own: Category, other: Category) -> bool:
        """Points of DeepLabCut tables come and go from one video to the next; half of them in common is one animal."""
        return all(source.kind == "dlc" for source in self._sources) and share_keypoints(
            own.schema.names, other.schema.names
        )

    def _all_records(self) -> Iterator[SourceRecord]:
        table = SourceTable(self._store)
        for source in table.all():
            yield from table.records(source.id)

    def _renew_digests(self, instances: set[int]) -> None:
        table = SourceTable(self._store)
        for source in table.all():
            records = list(table.records(source.id))
            rows_now = {r.instance: self._row(r.instance) for r in records if r.instance in instances}
            renewed = [
                r if (row := rows_now.get(r.instance)) is None else replace(r, digest=pose_digest(row)) for r in records
            ]
            if renewed != records:
                table.put(source, renewed)

    def _add_frames(self) -> None:
        media_of: dict[int, int] = {}
        own = {(m.kind, os.path.abspath(m.path)): m.id for m in self._store.media()}
        for media in self._draft.media():
            frames = [f for f in self._draft.frames(media.id) if f.key not in self._frames]
            if not frames:
                continue
            kind_and_path = (media.kind, os.path.abspath(media.path))
            index = own.get(kind_and_path)
            media_of[media.id] = self._store.add_media(media.kind, media.path).id if index is None else index
            sizes = [(f.name, f.width, f.height) for f in frames]
            self._frames.update(zip((f.key for f in frames), self._store.add_frames(media_of[media.id], sizes)))
            text = fingerprints(self._draft).get(media.id)
            if index is None and text is not None:
                keep_fingerprint(self._store, media_of[media.id], text)
        roots = {media.id: media.path for media in self._store.media()}
        for key, path in self._moved.items():
            name = os.path.relpath(path, roots[key.media]).replace(os.sep, "/")
            self._store.database.run("UPDATE frame SET name = ? WHERE media = ? AND idx = ?", (to_stored(name), *key))

    def _add_categories(self) -> dict[int, Category]:
        """The project's category for each of the draft."""
        results = {index: category for index, (category, _) in self._categories.items()}
        for category in self._draft.categories():
            if category.id not in results:
                results[category.id] = self._store.add_category(category.name, category.schema)
        return results

    def _add_tracks(self) -> None:
        new = [index for index, own in self._tracks.items() if own is None]
        self._tracks.update(zip(new, self._store.new_track_numbers(len(new)) if new else ()))
        names = self._draft.database.rows("SELECT number, name FROM track_name")
        SourceTable(self._store).name_tracks({self._track(n) or 0: name for n, name in names})

    def _apply_poses(self, categories: dict[int, Category]) -> dict[int, int]:
        """The step of the history; returns the project's instance for each of the draft."""
        instances = {pose.instance.id: pose.existing for pose in self._poses if pose.existing is not None}
        edits: list[FrameEdit] = []
        for frame in dict.fromkeys((*self._edits, *self._marks)):
            before: list[Instance] = []
            after: list[Instance] = []
            for old, pose in self._edits.get(frame, ()):
                index = self._store.new_ids(1)[0] if old is None else old.id
                category = pose.instance.category if pose.digest is not None else categories[pose.instance.category].id
                instances[pose.instance.id] = index
                track = self._track(pose.draft_track)
                if track is None and pose.is_similar and old is not None:
                    track = old.track
                after.append(replace(pose.instance, id=index, category=category, track=track))
                before += [] if old is None else [old]
            target = self._frames[frame]
            mark = self._marks.get(frame)
            here = self._store.frame(target).state
            state = None if mark is None or mark == here else (here, mark)
            edits.append(FrameEdit(target, tuple(before), tuple(after), state))
        self._store.apply(Edit(self._title, tuple(edits)))
        self._store.stop_merging()
        return instances

    def _remember(self, instances: dict[int, int], categories: dict[int, Category]) -> None:
        table = SourceTable(self._store)
        frames = dict(self._frames)
        category_ids = {index: category.id for index, category in categories.items()}
        digests: dict[int, tuple[int, int]] = {}
        for pose in self._poses:
            old = pose.instance.category if pose.digest is not None else category_ids[pose.instance.category]
            row = instance_rows.to_row(replace(pose.instance, category=old), pose.frame)
            digests[pose.instance.id] = pose_digest(row), self._track(pose.draft_track) or NO_TRACK
        for source in self._sources:
            before = self._known.get(source.id)
            archive = None if before is None else before.archive
            if source.archive is not None:
                archive = copy_archive(
                    self._store,
                    self._draft,
                    source,
                    archive,
                    frames,
                    instances,
                    category_ids,
                    lambda n: self._track(n) or n,
                )
            records = [
                SourceRecord(record.key, instances[record.instance], *digests[record.instance])
                for record in SourceTable(self._draft).records(source.id)
                if record.instance in instances
            ]
            listed = {record.instance for record in records}
            previous = [r for r in table.records(before.id) if r.instance not in listed] if before is not None else []
            tracks = {name: self._track(index) or index for name, index in source.tracks.items()}
            table.put(
                replace(source, id=0 if before is None else before.id, archive=archive, tracks=tracks),
                [*records, *self._still_missing(source, previous)],
            )

    def _still_missing(self, source: LabelSource, previous: list[SourceRecord]) -> list[SourceRecord]:
        """Records of poses that this reading of the file left out because their pictures are missing now."""
        return [] if source.complete else previous


def _frames_with_places(store: ProjectStore) -> Iterator[tuple[FrameKey, tuple[str, str | int]]]:
    """Frames and where their pictures are: folder and name, or video and number."""
    for media in store.media():
        root = os.path.abspath(media.path)
        for frame in store.frames(media.id):
            if media.kind == "video":
                yield frame.key, (root, frame.key.index)
            else:
                name = os.path.join(root, frame.name)
                yield frame.key, ("", os.path.normpath(name) if ".." in name else name)


def point_order(draft: Schema, own: Schema, by_names: bool, by_record: bool) -> Sources | None:
    """Which point of the draft's schema each point of the project's is; None where they are not the same category.

    Args:
        by_names: the points of such files are known by their names: another order, or some of them, is the same animal.
        by_record: poses of the one came from the same records as poses of the other.
    """
    if draft.names == own.names:
        return tuple(range(draft.num_keypoints))
    if by_names and set(draft.names) <= set(own.names):
        return tuple(draft.index.get(name) for name in own.names)
    if draft.num_keypoints == own.num_keypoints and (by_record or is_numbered(draft) or is_numbered(own)):
        return tuple(range(own.num_keypoints))  # a person has renamed points, or one of the two has no names
    return None


def _count(number: int, noun: str) -> str:
    return "" if not number else f"{number:,} {noun}" + ("" if number == 1 else "s")
