"""Long random runs against a plain model in memory: edits, merges, undo, redo, jumps, reopening."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.schema.schema import schema_from_names
from poseapp.project import edits
from poseapp.project.model import Edit, FrameEdit, FrameKey, FrameState, Instance, State
from poseapp.project.store import ProjectStore

FRAMES = [FrameKey(1, n) for n in range(3)]
NAMES = ["nose", "left_ear", "right_ear"]
State_ = tuple[dict[int, tuple[FrameKey, Instance]], dict[FrameKey, FrameState]]


class ProjectMachine(RuleBasedStateMachine):
    """``past`` holds the model's state after each step; ``now`` is the place in it."""

    @initialize()
    def start(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.store = ProjectStore.create(Path(self._folder.name) / "x.pose")
        media = self.store.add_media("images", self._folder.name)
        self.store.add_frames(media.id, [(f"{n}.png", 10, 10) for n in range(len(FRAMES))])
        self.category = self.store.add_category("mouse", schema_from_names("mouse", NAMES))
        self.past: list[State_] = [({}, dict.fromkeys(FRAMES, FrameState()))]
        self.now = 0
        self.keys = [""]
        self.may_merge = False

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self._folder.cleanup()

    def _here(self, frame: FrameKey) -> list[Instance]:
        return [i for key, i in self.past[self.now][0].values() if key == frame]

    def _apply(self, edit: Edit, merge_key: str = "") -> None:
        edit = replace(edit, merge_key=merge_key)
        instances, states = copy.copy(self.past[self.now][0]), dict(self.past[self.now][1])
        changed = False
        for part in edit.frames:
            after = {i.id: i for i in part.after}
            for before in part.before:
                if before.id not in after or not after[before.id].same_as(before):
                    changed = True
                del instances[before.id]
            changed |= any(i.id not in {b.id for b in part.before} for i in part.after)
            instances.update((i.id, (part.frame, i)) for i in part.after)
            if part.state is not None and part.state[0] != part.state[1]:
                changed, states[part.frame] = True, part.state[1]
        self.store.apply(edit)
        if not changed:
            return
        del self.past[self.now + 1 :], self.keys[self.now + 1 :]
        merged = merge_key and self.may_merge and self.now and self.keys[self.now] == merge_key
        if merged:
            self.past[self.now] = (instances, states)
            if _same(self.past[self.now], self.past[self.now - 1]):
                self.past.pop()
                self.keys.pop()
                self.now -= 1
        else:
            self.past.append((instances, states))
            self.keys.append(merge_key)
            self.now += 1
        self.may_merge = True

    @rule(
        frame=st.sampled_from(FRAMES), seed=st.integers(0, 99), count=st.integers(1, 3), key=st.sampled_from(["", "k"])
    )
    def add(self, frame: FrameKey, seed: int, count: int, key: str) -> None:
        random = np.random.default_rng(seed)
        new = [
            Instance(
                id=i,
                category=self.category.id,
                keypoints=random.random((3, 2)),
                visibility=random.integers(0, 3, 3, dtype=np.uint8),
                by_human=np.zeros(3, bool),
                scores=random.random(3),
                score=float(random.random()),
                state=State.PREDICTED,
                source="net",
            )
            for i in self.store.new_ids(count)
        ]
        self._apply(edits.add_instance(frame, *new), key)

    @rule(frame=st.sampled_from(FRAMES), data=st.data(), key=st.sampled_from(["", "k", "m"]))
    def change(self, frame: FrameKey, data: st.DataObject, key: str) -> None:
        here = self._here(frame)
        if not here:
            return
        one = data.draw(st.sampled_from(here))
        verbs = {
            "move": lambda: edits.move_keypoints(frame, one, {data.draw(st.integers(0, 2)): (1.0, 2.0)}),
            "absent": lambda: edits.set_visibility(frame, one, [0, 1], 0),
            "accept": lambda: edits.accept(frame, here),
            "reject": lambda: edits.reject(frame, here),
            "delete": lambda: edits.delete_instances(frame, [one]),
            "swap": lambda: edits.swap_sides(frame, one, self.category.schema),
            "box": lambda: edits.move_box(frame, one, data.draw(st.sampled_from([None, (0, 0, 1, 1)]))),
        }
        self._apply(verbs[data.draw(st.sampled_from(sorted(verbs)))](), key)

    @rule(data=st.data(), key=st.sampled_from(["", "k"]))
    def change_several_frames(self, data: st.DataObject, key: str) -> None:
        parts = []
        for frame in FRAMES:
            here = self._here(frame)
            if here and data.draw(st.booleans()):
                state = self.past[self.now][1][frame]
                flip = (state, replace(state, flagged=not state.flagged))
                parts.append(FrameEdit(frame, tuple(here), tuple(replace(i, track=5) for i in here[1:]), flip))
        self._apply(Edit("Several", tuple(parts)), key)

    @rule()
    def undo(self) -> None:
        assert (self.store.undo() is None) == (self.now == 0)
        self.may_merge &= self.now == 0
        self.now = max(self.now - 1, 0)

    @rule()
    def redo(self) -> None:
        last = self.now == len(self.past) - 1
        assert (self.store.redo() is None) == last
        self.may_merge &= last
        self.now += not last

    @precondition(lambda self: len(self.past) > 1)
    @rule(data=st.data())
    def jump(self, data: st.DataObject) -> None:
        self.now = data.draw(st.integers(0, len(self.past) - 1))
        self.store.jump_to(self.now)
        self.may_merge = False

    @rule()
    def reopen(self) -> None:
        path = self.store.path
        self.store.close()
        self.store = ProjectStore.open(path)
        self.may_merge = False

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        if not hasattr(self, "store"):
            return
        instances, states = self.past[self.now]
        for frame in FRAMES:
            result = self.store.instances(frame)
            expected = sorted(self._here(frame), key=lambda i: i.id)
            assert [i.id for i in result] == [i.id for i in expected]
            assert all(a.same_as(b) for a, b in zip(result, expected))
            assert self.store.frame(frame).state == states[frame]
            counts = self.store.counts()[frame]
            assert counts.labelled == sum(i.state is State.LABELLED for i in expected)
            assert counts.predicted == sum(i.state is State.PREDICTED for i in expected)
        steps = self.store.history()
        assert len(steps) == len(self.past) - 1
        assert sum(s.done for s in steps) == self.now
        assert len(instances) == self.store.summary().labelled + self.store.summary().predicted


def _same(a: State_, b: State_) -> bool:
    return (
        a[1] == b[1]
        and a[0].keys() == b[0].keys()
        and all(a[0][i][0] == b[0][i][0] and a[0][i][1].same_as(b[0][i][1]) for i in a[0])
    )


TestRandomEdits = ProjectMachine.TestCase
TestRandomEdits.settings = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
