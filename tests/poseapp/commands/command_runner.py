"""Random verbs on a project, one after the other, until killed; run by ``test_random_verbs`` in its own process."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Callable

import numpy as np

from engine.errors import ProjectError
from poseapp.project import edits
from poseapp.project.edits import groups, keyframes, tracks
from poseapp.project.edits.locks import without_locked
from poseapp.project.model import Edit, FrameEdit, FrameKey, Instance, State
from poseapp.project.queries.tracks import track_instances
from poseapp.project.relink.remap import NewFile, relink_video, remap_video
from poseapp.project.schema.migration import match_points, migrated
from poseapp.project.schema.part_colors import set_part_color
from poseapp.project.storage.chunked_write import ChunkedWrite
from poseapp.project.store import ProjectStore


class Verbs:
    """One random edit at a time."""

    def __init__(self, store: ProjectStore, chance: random.Random) -> None:
        self.store, self.chance = store, chance
        self.video = next(media.id for media in store.media() if media.kind == "video")
        self.categories = {category.id: category for category in store.categories()}
        self.verbs: list[Callable[[FrameKey, list[Instance], Instance], Edit | None]] = [
            self._new, self._move, self._visibility, self._whole, self._swap, self._delete, self._paste, self._box,
            self._review, self._state, self._category, self._group, self._track, self._fill, self._predict,
        ]  # fmt: skip

    def step(self, index: int) -> None:
        """Do something, and now and then take something back; sometimes in pieces that the next verb finishes."""
        roll = self.chance.random()
        if roll < 0.06:
            self.store.undo()
            return
        if roll < 0.08:
            self.store.redo()
            return
        if roll < 0.1:
            self._walk()
            return
        if roll < 0.14:
            self._remap(index)
            return
        if roll < 0.16:
            part = self.chance.choice(["face", "left paw", "右"])
            set_part_color(self.store, part, self.chance.choice([None, self.chance.randrange(1 << 24)]))
            return
        half_done = self.store.database.before_write is not None
        frame = self.chance.choice(self.frames)
        here = list(self.store.instances(frame))
        one = self.chance.choice(here) if here else None
        try:
            verb = self.chance.choice(self.verbs) if one is not None else self._new
            edit = verb(frame, here, one)  # type: ignore[arg-type]
        except ProjectError:
            return  # a verb may refuse; nothing has changed then
        if edit is None or not edit.frames:
            return
        if half_done:
            with contextlib.suppress(ProjectError):  # it was made of what was half done, and may be refused for that
                self.store.apply(edit)
        elif self.chance.random() < 0.2:
            self._apply_but_for_locked(edit, here)
        elif self.chance.random() < 0.2:
            self._some_pieces(self.store.apply_in_chunks(edit))
        else:
            self.store.apply(edit)

    @property
    def frames(self) -> list[FrameKey]:
        """Another file for a video has other frames."""
        return list(self.store.frame_keys())

    def _walk(self) -> None:
        """Some steps there or back, in pieces; what comes next finishes them."""
        self.store.database.finish_chunks()
        count, done = self.store.history_length()
        target = min(max(done + self.chance.randint(-6, 4), 0), count)
        self._some_pieces(self.store.jump_in_chunks(target))

    def _some_pieces(self, work: ChunkedWrite) -> None:
        for _ in range(self.chance.randint(0, 4)):
            if not work.done:
                work.advance(0.0)

    def _remap(self, index: int) -> None:
        """Another file for the video, with or without the labels going to other frames."""
        count = self.chance.randint(1, 9)
        path = self.store.path.parent / f"film{index}.mp4"
        new = NewFile(
            path, self.chance.choice(["", f"mark {index}"]), count, self.chance.choice([(100, 100), (50, 80)])
        )
        if self.chance.random() < 0.3:
            relink_video(self.store, self.video, new)
        else:
            self.store.database.finish_chunks()  # the number of frames is asked for here
            frames = len(self.store.frame_names(self.video))
            mapping = [self.chance.randint(-1, count - 1) for _ in range(frames)]
            remap_video(self.store, self.video, new, mapping, scale=self.chance.random() < 0.5)

    def _apply_but_for_locked(self, edit: Edit, here: list[Instance]) -> None:
        poses = {i.id for i in here if self.chance.random() < 0.2}
        points = {(i.id, k) for i in here for k in range(i.num_keypoints) if self.chance.random() < 0.2}
        free = without_locked(edit, poses, points)
        if free is None or not free.frames:
            return
        self.store.apply(free)
        for old in here:
            locked = [k for k in range(old.num_keypoints) if old.id in poses or (old.id, k) in points]
            if locked:
                now = self.store.instance(old.id)
                assert (now.keypoints[locked] == old.keypoints[locked]).all()
                assert (now.visibility[locked] == old.visibility[locked]).all()

    def _points(self, count: int) -> np.ndarray:
        return np.array([[self.chance.uniform(-5, 105) for _ in "xy"] for _ in range(count)])

    def _new(self, frame: FrameKey, *_: object) -> Edit:
        category = self.chance.choice(list(self.categories.values()))
        count = category.schema.num_keypoints
        seen = [self.chance.choice([0, 1, 2, 2]) for _ in range(count)]
        box = self.chance.choice([None, (0, 0, 50, 60)])
        created = edits.make_instance(self.store.new_ids(1)[0], category, self._points(count), seen, box=box)
        return edits.add_instance(frame, created)

    def _some(self, one: Instance) -> list[int]:
        return sorted(self.chance.sample(range(one.num_keypoints), self.chance.randint(1, one.num_keypoints)))

    def _move(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        return edits.move_keypoints(frame, one, {k: tuple(self._points(1)[0]) for k in self._some(one)})

    def _visibility(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        if self.chance.random() < 0.5:
            return edits.cycle_visibility(frame, one, self._some(one))
        return edits.set_visibility(frame, one, self._some(one), self.chance.choice([0, 1, 2]))

    def _whole(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        angle, scale = self.chance.uniform(-3, 3), self.chance.uniform(0.5, 2)
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        return edits.transform_pose(frame, one, [[cos, -sin, 3.5], [sin, cos, -2.25]])

    def _swap(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        schema = self.categories[one.category].schema
        return (edits.swap_sides if self.chance.random() < 0.5 else edits.mirror)(frame, one, schema)

    def _delete(self, frame: FrameKey, here: list[Instance], one: Instance) -> Edit:
        return edits.delete_instances(frame, here if self.chance.random() < 0.1 else [one])

    def _paste(self, frame: FrameKey, here: list[Instance], _: object) -> Edit:
        target = self.chance.choice(self.frames)
        return edits.paste(target, here[:2], self.store.new_ids(len(here[:2])), offset=(3, 4))

    def _box(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        return edits.move_box(frame, one, self.chance.choice([None, (1, 2, 30, 40), (40, 30, 2, 1)]))

    def _review(self, frame: FrameKey, here: list[Instance], _: object) -> Edit:
        if self.chance.random() < 0.3:
            return groups.delete_below_score([(frame, here)], self.chance.random())
        return (edits.accept if self.chance.random() < 0.7 else edits.reject)(frame, here)

    def _state(self, frame: FrameKey, *_: object) -> Edit:
        what = self.chance.choice(["reviewed", "flagged", "negative"])
        return edits.set_frame_state(frame, self.store.frame(frame).state, **{what: self.chance.random() < 0.5})

    def _category(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        category = self.chance.choice(list(self.categories.values()))
        if self.chance.random() < 0.5:
            return edits.set_category(frame, [one], category, self.categories)
        sources = match_points(self.categories[one.category].schema, category.schema)
        return Edit("Migrate", (FrameEdit(frame, (one,), (migrated(one, category, sources),)),))

    def _group(self, frame: FrameKey, here: list[Instance], one: Instance) -> Edit:
        if self.chance.random() < 0.5:
            return groups.merge_instances(frame, [i for i in here if i.category == one.category])
        return groups.split_instance(frame, one, self._some(one)[:1], self.store.new_ids(1)[0])

    def _track(self, frame: FrameKey, here: list[Instance], one: Instance) -> Edit:
        known = [i.track for key in self.frames for i in self.store.instances(key) if i.track is not None]
        if not known or self.chance.random() < 0.5:
            index = self.chance.choice(known) if known and self.chance.random() < 0.7 else None
            return tracks.assign_track(frame, here, one, index or self.store.new_track_numbers()[0])
        a, b = self.chance.choice(known), self.chance.choice(known)
        items = [item for n in {a, b} for item in track_instances(self.store, n, frame.media)]
        roll = self.chance.random()
        if roll < 0.3:
            return tracks.swap_tracks(items, a, b, frame)
        if roll < 0.5:
            return tracks.join_tracks(items, a, b, drop_overlap=True)
        if roll < 0.7:
            return tracks.split_track(items, a, frame, self.store.new_track_numbers()[0])
        return tracks.delete_track(items, a, only_predicted=roll < 0.9)

    def _fill(self, frame: FrameKey, _: object, one: Instance) -> Edit | None:
        if one.track is None:
            return None
        items = track_instances(self.store, one.track, frame.media)
        return keyframes.interpolate_track(items, self.store.new_ids, smooth=self.chance.random() < 0.5)

    def _predict(self, frame: FrameKey, _: object, one: Instance) -> Edit:
        from dataclasses import replace

        guess = replace(
            one,
            id=self.store.new_ids(1)[0],
            keypoints=self._points(one.num_keypoints),
            by_human=np.zeros(one.num_keypoints, np.bool_),
            scores=np.full(one.num_keypoints, 0.5),
            score=self.chance.random(),
            track=None,
            source="model",
            state=State.PREDICTED,
        )
        return edits.add_instance(frame, guess)


def main() -> None:
    path, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with ProjectStore.open(path) as store:
        verbs = Verbs(store, random.Random(seed))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for index in range(count):
            verbs.step(index)
            sys.stdout.write(f"{index}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
