"""Connects canvas and session: the canvas shows what the session holds, and its edits go to the session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Qt, Signal

from poseapp.canvas.hit_test import HitKind, HitTarget
from poseapp.canvas.keyboard_pointer import KeyboardPointer
from poseapp.canvas.tools.base import PlacedPose
from poseapp.commands import edit as edit_commands
from poseapp.commands import model
from poseapp.commands import pose as pose_commands
from poseapp.commands import review as review_commands
from poseapp.commands.context import Context, finish_placing
from poseapp.jobs.frames.playback_decoder import Shown
from poseapp.panels.notice import WaitingBadge
from poseapp.project.model import Change, Frame, FrameKey
from poseapp.project.schema.part_colors import part_colors
from poseapp.project.store import ProjectStore
from poseapp.window.refinement_controller import RefinementController

READ_AHEAD = 2
SIZE_UNKNOWN = (640, 480)
"""Size of the empty background for the labels of a picture that cannot be read and whose size is unknown."""


ARROWS = "Arrow keys now move the pointer (Shift: 10 px, Ctrl: 50 px, Space: click). D and A change the frame."


class CanvasController(QObject):
    """Connects a session, its canvas and the frame loader.

    Signals:
        picture_problem(text, of_video): why the picture cannot be shown; "" when it can be.
    """

    picture_problem = Signal(str, bool)

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context
        self._playing = False
        self._place = 0
        self._warned_frames: set[FrameKey] = set()
        self._session, self._canvas, self._loader = context.session, context.canvas, context.loader
        session, canvas = self._session, self._canvas
        session.project_changed.connect(self._on_project)
        session.frame_changed.connect(self.show_frame)
        session.changed.connect(self._on_change)
        session.selection_changed.connect(self._show_selection)
        session.proposal_changed.connect(self._show_proposal)
        session.hidden_changed.connect(self._show_hidden_and_locked)
        session.closing.connect(lambda: finish_placing(context))
        session.why_busy = self._why_busy
        canvas.edit_requested.connect(session.apply)
        canvas.selection_requested.connect(lambda instances, points: session.select(instances, points))
        # Queued, so that the gesture has ended: the handler may change the tool.
        canvas.box_drawn.connect(self._on_box, Qt.ConnectionType.QueuedConnection)
        canvas.pose_placed.connect(lambda placed: pose_commands.new_pose(context, placed))
        canvas.pose_placed.connect(self._after_placed, Qt.ConnectionType.QueuedConnection)
        canvas.visibility_requested.connect(lambda points, value: edit_commands.set_visibility(context, points, value))
        canvas.accept_requested.connect(self._on_accept)
        canvas.hovered.connect(self._on_hover)
        self.refinement = RefinementController(context, self)
        self.keyboard_pointer = KeyboardPointer(canvas)
        self.keyboard_pointer.started.connect(self._tell_arrows)
        self.waiting = WaitingBadge(canvas)
        self._loader.loaded.connect(self._on_loaded)
        self._loader.previewed.connect(self._on_previewed)
        self._loader.failed.connect(self._on_unreadable)

    # --- session to canvas

    def _on_project(self) -> None:
        self._canvas.set_first_tool()
        self._warned_frames.clear()
        store = self._session.store
        colors = () if store is None else part_colors(store)
        if colors != self._canvas.style_now.part_colors:
            self._canvas.set_style(replace(self._canvas.style_now, part_colors=colors))

    def _why_busy(self) -> str:
        """Leaving the frame would lose the keypoints placed so far, or leave a gesture without its picture."""
        if self._playing or not self._canvas.busy:
            return ""
        return self._canvas.active_tool.info.busy_hint

    def _tell_arrows(self) -> None:
        self._context.window.tell(ARROWS)

    def show_frame(self, key: FrameKey | None) -> None:
        """Request the picture of a frame. If it must be read first, its poses are shown at once."""
        self._playing = False
        store, info = self._session.store, self._session.frame_info(key)
        self.picture_problem.emit("", False)
        self.waiting.end()
        if store is None or key is None or info is None:
            self._canvas.set_frame(None, None)
            self._canvas.set_instances((), {})
            self._canvas.set_image(None)
            return
        path = store.frame_path(key)
        if info.width and info.height and self._loader.cached(key, path) is None:
            self._canvas.set_frame(key, (info.width, info.height))
            self._show_instances()
        frames, index = self._session.frames, self._session.position(key)
        behind, ahead = frames[max(index - READ_AHEAD, 0) : index], frames[index + 1 : index + 1 + READ_AHEAD]
        # Read ahead mostly in the direction of travel.
        near = [*ahead, *behind[-1:]] if index >= self._place else [*reversed(behind), *ahead[:1]]
        self._place = index
        if self._canvas.pixels is not None and self._loader.cached(key, path) is None:
            self.waiting.begin(f"Loading {info.name}; the image shown is of another frame")
        self._loader.request(key, path, [(k, store.frame_path(k)) for k in near])

    def show_playing(self, shown: Shown) -> None:
        """Show a frame of playback with its poses, read-only; the session stays at its frame until playback stops."""
        self._playing = True
        self.waiting.end()
        self.picture_problem.emit("", False)
        self._session.propose(None)
        if shown.pixels is not None:
            self._canvas.set_frame(None, (shown.pixels.shape[1], shown.pixels.shape[0]))
            self._canvas.set_image(shown.pixels)
        self._canvas.set_instances(shown.instances, self._session.schemas)
        self._canvas.set_selection((), ())

    def _on_loaded(self, key: FrameKey, pixels: Any) -> None:
        store = self._session.store
        if key != self._session.frame or store is None or self._playing:
            return
        self.picture_problem.emit("", False)
        self.waiting.end()
        height, width = pixels.shape[:2]
        info = self._session.frame_info()
        if info is not None and (info.width, info.height) != (width, height):
            self._on_other_size(store, info, width, height)
        self._canvas.set_frame(key, (width, height))
        self._show_instances()
        self._canvas.set_image(pixels)
        if self._session.proposal is None:
            # Paint now, before the lists. (With a proposal, the event loop paints both together.)
            self._canvas.viewport().repaint()

    def _on_other_size(self, store: ProjectStore, frame: Frame, width: int, height: int) -> None:
        """The size of the picture differs from the project: it was unknown, or the file was replaced."""
        if frame.width and frame.height and self._session.instances:
            if frame.key not in self._warned_frames:
                self._warned_frames.add(frame.key)
                known = f"{frame.width} x {frame.height}"
                self._context.window.tell(
                    f"This image is {width} x {height} pixels, but its labels were made on {known}. "
                    "Was it replaced? Check the positions of the labels.",
                    "warning",
                )
        elif not store.read_only:
            store.set_frame_size(frame.key, width, height)

    def _on_previewed(self, key: FrameKey, pixels: Any) -> None:
        """Show a frame near the one being read, without poses: nothing can be drawn on it."""
        if key == self._session.frame and not self._playing:
            self._canvas.set_frame(None, (pixels.shape[1], pixels.shape[0]))
            self._canvas.set_instances((), {})
            self._canvas.set_image(pixels)
            self.waiting.show_now()

    def _on_unreadable(self, key: FrameKey, why: str) -> None:
        if key != self._session.frame or self._playing:
            return
        self.waiting.end()
        info = self._session.frame_info()
        size = (info.width, info.height) if info is not None and info.width else SIZE_UNKNOWN
        self._canvas.set_image(None)
        self._canvas.set_frame(key, size)
        self._show_instances()
        store = self._session.store
        videos = () if store is None else [media.id for media in store.media() if media.kind == "video"]
        self.picture_problem.emit(f"{why}. Its labels are safe.", key.media in videos)

    def _on_change(self, change: Change) -> None:
        if not self._playing and (change.structure or self._session.frame in change.frames):
            self._show_instances()

    def _show_instances(self) -> None:
        self._canvas.set_instances(self._session.instances, self._session.schemas)
        self._show_selection()

    def _show_proposal(self) -> None:
        proposal = self._session.proposal
        self._canvas.set_ghosts(() if proposal is None else proposal.frames[0].after)

    def _show_hidden_and_locked(self) -> None:
        session = self._session
        self._canvas.set_hidden_and_locked(session.hidden, session.locked, session.hidden_points, session.locked_points)

    def _show_selection(self) -> None:
        if self._playing:
            return
        self._canvas.set_correcting(() if self._session.read_only else self._session.correcting)
        self._canvas.set_selection(self._session.selected_instances, self._session.selected_points)

    # --- canvas to session

    def _on_box(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self._canvas.set_first_tool()
        model.fill_box(self._context, (x1, y1, x2, y2))

    def _after_placed(self, placed: PlacedPose) -> None:
        placement = self._canvas.placement
        of_pose = None if placement is None or placement.pose is None else placement.pose.id
        if placed.instance is not None and placed.instance == of_pose and self._canvas.tool == "place":
            self._canvas.set_first_tool()

    def _on_accept(self, instance: int) -> None:
        self._session.select(instances=[instance])
        review_commands.accept(self._context)

    def _on_hover(self, target: HitTarget | None) -> None:
        on_point = target is not None and target.kind in (HitKind.POINT, HitKind.MISSING)
        self._context.hovered = frozenset({(target.instance_id, target.index)}) if on_point and target else frozenset()
