"""Refinement: after a keypoint is dragged, the model proposes the rest of the pose; Enter takes it, Esc drops it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent

from engine.schema.schema import Schema
from poseapp.app.fault_guard import guarded
from poseapp.canvas.pose_geometry import apply_matrix, fit_similarity
from poseapp.canvas.template_pose import template_pose
from poseapp.canvas.tools.base import PlacedPose
from poseapp.commands.context import Context
from poseapp.jobs.refinement import AssistJob
from poseapp.project.edits.locks import keep_locked_points
from poseapp.project.model import ABSENT, OCCLUDED, VISIBLE, Edit, FrameEdit, FrameKey, Instance, State

PAUSE = 120
"""Milliseconds without another edit before the model runs."""
LEAST_SCORE = 0.15
"""Absent points are proposed from this score on, as in a prediction. (Of 45 people of COCO, after the first correction,
with 0.1 24 missing points were found and 87 proposed that nobody had labelled; with 0.16 17 and 23.)"""
LEAST_SHIFT = 2.0
"""Image pixels; a proposal that moves no keypoint farther is not shown."""


@guarded
class RefinementController(QObject):
    """Follows the edits of the canvas. The newest edit wins: the answer to an older one is ignored."""

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._request = 0
        self._target: tuple[FrameKey, Instance | None, Instance] | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE)
        self._pause.timeout.connect(self._ask)
        context.canvas.edit_requested.connect(self._on_edit)
        context.canvas.pose_placed.connect(self._on_placed)
        context.session.frame_changed.connect(self.drop)
        context.session.changed.connect(self._on_change)
        context.canvas.installEventFilter(self)

    def _on_edit(self, edit: Edit) -> None:
        """Ask for the rest of a pose of which some keypoints were moved by hand."""
        self.drop()
        if not self._context.settings.assist or len(edit.frames) != 1:
            return
        touched = edit.frames[0]
        if len(touched.after) != 1 or len(touched.before) != 1:
            return
        before, after = touched.before[0], touched.after[0]
        if before.keypoints.shape != after.keypoints.shape:
            return
        moved = (before.keypoints != after.keypoints).any(axis=1) & after.by_human & (after.visibility != ABSENT)
        if 0 < moved.sum() < (after.visibility != ABSENT).sum():
            self._target = touched.frame, before, after
            self._pause.start()

    def _on_placed(self, placed: PlacedPose) -> None:
        """Ask for the rest of a pose that was placed keypoint by keypoint and is in the session already."""
        self.drop()
        session = self._context.session
        chosen = session.selected
        if not self._context.settings.assist or session.frame is None or len(chosen) != 1:
            return
        if (~chosen[0].by_human).any() and chosen[0].by_human.any():
            self._target = session.frame, None, chosen[0]
            self._pause.start()

    def _on_change(self, change: Any) -> None:
        proposal = self._context.session.proposal
        if proposal is not None and proposal.frames[0].before[0].id in change.instances:
            self.drop()

    def _ask(self) -> None:
        context, target = self._context, self._target
        session, store = context.session, context.session.store
        if target is None or store is None or session.frame != target[0]:
            return
        frame, before, after = target
        now = next((i for i in session.instances if i.id == after.id), None)
        if now is None or not now.same_as(after) or not self._model_knows(after):
            return
        if not context.host.holds(context.choice):  # a drag does not load a model
            return
        path = store.frame_path(frame)
        pixels = context.loader.cached(frame, path)
        self._request += 1
        request = self._request
        box = likely_box(after, session.schema_of(after))
        if box is None:
            return
        image = path if pixels is None else pixels
        job = AssistJob(context.host, context.choice, image, frame.index, before, replace(after, box=box))

        def take(results: list[Any]) -> None:
            for points, scores, visible in results:
                if request == self._request and session.store is store and session.frame == frame:
                    self._propose(frame, after, points, scores, visible)

        context.runner.submit(job, urgent=True, on_results=take)

    def _model_knows(self, pose: Instance) -> bool:
        """Whether the chosen model predicts the keypoints of the pose, by their names."""
        schema = self._context.memory.schema_of(self._context.choice.model)
        return schema is not None and schema.names == self._context.session.schema_of(pose).names

    def _propose(
        self, frame: FrameKey, pose: Instance, points: np.ndarray, scores: np.ndarray, visible: np.ndarray | None
    ) -> None:
        now = next((i for i in self._context.session.instances if i.id == pose.id), None)
        if now is None or not now.same_as(pose):
            return
        proposed = proposal_of(pose, points, scores, visible)
        if proposed is not None:
            proposed = keep_locked_points(pose, proposed, self._context.session.locked_points)
        if proposed is not None and not np.array_equal(proposed.keypoints, pose.keypoints):
            edit = Edit("Take the model's suggestion", (FrameEdit(frame, (pose,), (proposed,)),))
            self._context.session.propose(edit)

    def drop(self, *_: object) -> None:
        """Drop the proposal and any pending request."""
        self._pause.stop()
        self._request += 1
        self._context.session.propose(None)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        is_escape = isinstance(event, QKeyEvent) and event.key() == Qt.Key.Key_Escape
        if is_escape and event.type() == QEvent.Type.KeyPress and self._context.session.proposal is not None:
            self.drop()
            return True
        return super().eventFilter(watched, event)


def likely_box(pose: Instance, schema: Schema) -> np.ndarray | None:
    """(4,) where the whole object may be: the box a model was given, else the template laid over the points.

    None for a single point, which says nothing of size and direction.
    """
    is_present = pose.visibility != ABSENT
    if pose.score is not None and pose.box is not None:
        return pose.box
    if is_present.sum() < 2 or np.ptp(pose.keypoints[is_present], axis=0).max() < 1:
        return None
    template = template_pose(schema)
    figure = apply_matrix(fit_similarity(template[is_present], pose.keypoints[is_present]), template)
    both = np.concatenate([figure, pose.keypoints[is_present]])
    return np.concatenate([both.min(axis=0), both.max(axis=0)])


def proposal_of(
    pose: Instance, points: np.ndarray, scores: np.ndarray, visible: np.ndarray | None = None
) -> Instance | None:
    """The pose with the model's places for the points that nobody has set, absent ones too; None when it says nothing
    new. Points that a person has made absent stay so.

    Args:
        points: (K, 2) image pixels.
        scores: (K,).
        visible: (K,) probability of being visible, where the model tells: below a half a point is occluded.
    """
    free = ~pose.by_human
    is_present = pose.visibility != ABSENT
    new = free & ~is_present & (scores >= LEAST_SCORE)
    moves = free & is_present & (np.linalg.norm(points - pose.keypoints, axis=1) > LEAST_SHIFT) | new
    if not moves.any():
        return None
    keypoints = pose.keypoints.copy()
    keypoints[moves] = points[moves]
    known = None if pose.scores is None else np.where(moves, scores, pose.scores)
    seen = np.where(new, VISIBLE, pose.visibility).astype(np.uint8)
    if visible is not None:
        seen[moves] = np.where(visible[moves] < 0.5, OCCLUDED, VISIBLE)
    box = pose.box
    if box is not None:
        box = np.concatenate(
            [np.minimum(box[:2], keypoints[moves].min(0)), np.maximum(box[2:], keypoints[moves].max(0))]
        )
    return replace(pose, keypoints=keypoints, visibility=seen, scores=known, box=box, state=State.LABELLED)
