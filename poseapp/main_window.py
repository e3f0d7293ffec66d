"""The window: canvas in the middle, lists at the right, timeline below. Wiring, no logic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QLabel,
    QMainWindow,
    QMenu,
    QStackedWidget,
    QTabWidget,
    QToolBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from engine.contract.errors import PoseError
from poseapp import theme
from poseapp.actions import ACTIONS, BY_ID, MENUS, Action
from poseapp.canvas.hit_test import HitKind, HitTarget
from poseapp.canvas.view import CanvasView
from poseapp.commands import COMMANDS, labels, models
from poseapp.commands.context import Context
from poseapp.jobs.frames import FrameLoader
from poseapp.jobs.inference import ModelHost
from poseapp.jobs.job import Outcome
from poseapp.jobs.project_files import Opened, OpenJob
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training import TrainingRun
from poseapp.panels.empty import EmptyPage
from poseapp.panels.history import HistoryPanel
from poseapp.panels.instances import InstancesPanel
from poseapp.panels.job_tray import JobTray
from poseapp.panels.media_list import MediaList
from poseapp.panels.review import ReviewPanel
from poseapp.panels.timeline import Timeline
from poseapp.project.model import Change, FrameKey
from poseapp.project.store import ProjectStore
from poseapp.session import Session
from poseapp.settings import Settings
from poseapp.widgets.command_palette import CommandPalette
from poseapp.widgets.icons import icon, program_icon
from poseapp.widgets.keys_sheet import KeysSheet
from poseapp.widgets.toast import Toasts

EXCLUSIVE = ("tool:", "color:", "theme:")
READ_AHEAD = 2


class MainWindow(QMainWindow):
    """Everything the person sees. ``context`` is what its commands work with."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.setWindowTitle("poseapp")
        self.setWindowIcon(program_icon())
        self.setAcceptDrops(True)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.settings = settings or Settings()
        self.dark = theme.is_dark(self.settings.theme)
        self.colours = theme.tokens(dark=self.dark)
        self.session = Session(self)
        self.runner = JobRunner(self)
        self.loader = FrameLoader(self)
        self.canvas = CanvasView()
        self.canvas.set_style(replace(self.settings.canvas_style(), dark=self.dark))
        self.context = Context(self, self.session, self.canvas, self.runner, ModelHost(), self.loader, self.settings)
        self.monitors: list[QWidget] = []
        self.runs: list[TrainingRun] = []
        self._closing = False
        self.actions_by_id: dict[str, QAction] = {}
        self._make_actions()
        self._make_menus()
        self._make_middle()
        self._make_docks()
        self._make_status()
        self.toasts = Toasts(self.middle, self.colours)
        self.palette_box = CommandPalette(self, self._palette_actions)
        self.keys_sheet = KeysSheet(self)
        self._connect()
        self._show_project()
        self._restore()

    # --- building

    def _make_actions(self) -> None:
        groups: dict[str, QActionGroup] = {}
        for row in ACTIONS:
            made = QAction(row.text, self)
            made.setObjectName(row.id)
            made.setShortcuts([QKeySequence(key) for key in row.keys])
            keys = (
                f"  ({QKeySequence(row.keys[0]).toString(QKeySequence.SequenceFormat.NativeText)})" if row.keys else ""
            )
            made.setToolTip(f"{row.text.removesuffix('...')}{keys}\n{row.tip}".strip())
            made.setStatusTip(row.tip)
            made.setCheckable(bool(row.check))
            made.triggered.connect(lambda _checked=False, name=row.id: self.run(name))
            for prefix in EXCLUSIVE:
                if row.check.startswith(prefix):
                    groups.setdefault(prefix, QActionGroup(self)).addAction(made)
            self.actions_by_id[row.id] = made
            self.addAction(made)
        self._icons()

    def _icons(self) -> None:
        for row in ACTIONS:
            if row.icon:
                self.actions_by_id[row.id].setIcon(icon(row.icon, self.colours))

    def _make_menus(self) -> None:
        bar = self.menuBar()
        for name in MENUS:
            menu = QMenu(name, self)
            bar.addMenu(menu)
            group = 0
            for row in ACTIONS:
                if row.menu != name:
                    continue
                if row.group != group:
                    menu.addSeparator()
                    group = row.group
                menu.addAction(self.actions_by_id[row.id])
        self.tools = QToolBar("Tools")
        self.tools.setObjectName("tools")
        self.tools.setMovable(False)
        self.tools.setIconSize(theme.ICON_SIZE)
        self.tools.setContextMenuPolicy(Qt.ContextMenuPolicy.PreventContextMenu)
        group = None
        for row in sorted((r for r in ACTIONS if r.toolbar), key=_toolbar_place):
            if group is not None and _toolbar_place(row)[0] != group:
                self.tools.addSeparator()
            group = _toolbar_place(row)[0]
            self.tools.addAction(self.actions_by_id[row.id])
            button = self.tools.widgetForAction(self.actions_by_id[row.id])
            if isinstance(button, QToolButton):
                button.setAccessibleName(row.text.removesuffix("..."))
                button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, self.tools)

    def _make_middle(self) -> None:
        self.empty = EmptyPage(self.run, self.colours)
        self.empty.path_chosen.connect(lambda path: self.open_paths([path]))
        self.work = QWidget()
        column = QVBoxLayout(self.work)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self.timeline = Timeline(self.session, self.colours)
        column.addWidget(self.canvas, 1)
        column.addWidget(self.timeline)
        self.middle = QStackedWidget()
        self.middle.addWidget(self.empty)
        self.middle.addWidget(self.work)
        self.setCentralWidget(self.middle)

    def _make_docks(self) -> None:
        self.setTabPosition(Qt.DockWidgetArea.RightDockWidgetArea, QTabWidget.TabPosition.North)
        self.media = MediaList(self.session, self.loader, self.colours)
        self.instances = InstancesPanel(self.session, self.colours)
        self.review = ReviewPanel(self.session)
        self.history = HistoryPanel(self.session, self.colours)
        self.docks: list[QDockWidget] = []
        for title, panel in (
            ("Images", self.media),
            ("Poses", self.instances),
            ("Review", self.review),
            ("History", self.history),
        ):
            dock = QDockWidget(title, self)
            dock.setObjectName(f"dock{title}")
            dock.setWidget(panel)
            dock.setTitleBarWidget(QWidget())  # the tab is the title
            dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable)
            panel.setMinimumWidth(290)
            self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
            if self.docks:
                self.tabifyDockWidget(self.docks[0], dock)
            self.docks.append(dock)
        self.docks[0].raise_()
        self.resizeDocks(self.docks[:1], [320], Qt.Orientation.Horizontal)

    def _make_status(self) -> None:
        bar = self.statusBar()
        bar.setSizeGripEnabled(False)
        self.saved_label, self.model_label, self.place_label = QLabel(), QLabel(), QLabel()
        for made, role in ((self.saved_label, "soft"), (self.model_label, "soft"), (self.place_label, "hint")):
            made.setProperty("role", role)
            made.setContentsMargins(8, 0, 8, 0)
        self.tray = JobTray(self.runner, self)
        bar.addWidget(self.place_label)
        bar.addPermanentWidget(self.tray)
        bar.addPermanentWidget(self.model_label)
        bar.addPermanentWidget(self.saved_label)

    def _connect(self) -> None:
        session, canvas = self.session, self.canvas
        session.project_changed.connect(self._show_project)
        session.frame_changed.connect(self._show_frame)
        session.changed.connect(self._on_change)
        session.selection_changed.connect(self._show_selection)
        session.message.connect(self.tell)
        canvas.edit_requested.connect(session.apply)
        canvas.selection_requested.connect(lambda instances, points: session.select(instances, points))
        # After the gesture has ended: what follows may change the tool.
        canvas.box_drawn.connect(self._on_box, Qt.ConnectionType.QueuedConnection)
        canvas.pose_placed.connect(lambda placed: labels.new_pose(self.context, placed))
        canvas.visibility_requested.connect(lambda points, value: labels.set_visibility(self.context, points, value))
        canvas.accept_requested.connect(self._on_accept)
        canvas.hovered.connect(self._on_hover)
        canvas.tool_changed.connect(lambda _name: self.refresh_actions())
        canvas.space_tapped.connect(lambda back: self.run("previous_review" if back else "next_review"))
        self.loader.loaded.connect(self._on_loaded)
        self.loader.failed.connect(self._on_unreadable)
        for panel in (self.media, self.review, self.timeline):
            panel.frame_chosen.connect(self._on_frame_chosen)
        self.instances.visibility_requested.connect(lambda p, v: labels.set_visibility(self.context, p, v))
        self.runner.busy_changed.connect(lambda _busy: self.refresh_actions())
        self.tray.open_requested.connect(self._open_monitor)
        hints = QApplication.styleHints()
        hints.colorSchemeChanged.connect(self._on_system_theme)

    # --- commands

    def run(self, name: str) -> None:
        """Do a verb of the actions table, unless what it needs is missing."""
        if not self._has(BY_ID[name].needs):
            return
        try:
            COMMANDS[name](self.context)
        except PoseError as error:
            self.tell(str(error), "error")
        self.refresh_actions()

    def refresh_actions(self) -> None:
        """Which verbs can be done now, and how the switches stand."""
        for row in ACTIONS:
            action = self.actions_by_id[row.id]
            action.setEnabled(self._has(row.needs))
            if row.check:
                action.setChecked(self._is_on(row.check))
        store = self.session.store
        for name, text in (
            ("undo", None if store is None else store.undo_text()),
            ("redo", None if store is None else store.redo_text()),
        ):
            action = self.actions_by_id[name]
            action.setText(f"{BY_ID[name].text} {text[0].lower()}{text[1:]}" if text else BY_ID[name].text)
        device = f"  ·  {self.context.host.description}" if self.context.host.description else ""
        self.model_label.setText(f"Model: {self.settings.model}{device}")

    def _has(self, needs: str) -> bool:
        session = self.session
        if not needs:
            return True
        if session.store is None:
            return False
        return {
            "project": True,
            "frame": session.frame is not None,
            "selection": bool(session.selected),
            "points": bool(session.selected_points),
            "predictions": bool(session.predicted()),
            "undo": session.store.undo_text() is not None,
            "redo": session.store.redo_text() is not None,
        }[needs]

    def _is_on(self, check: str) -> bool:
        kind, _, value = check.partition(":")
        style, info = self.canvas.style_now, self.session.frame_info()
        if kind == "tool":
            return self.canvas.tool == value
        if kind == "color":
            return style.color_mode.value == value
        if kind == "theme":
            return self.settings.theme == value
        if kind in ("flagged", "reviewed"):
            return info is not None and bool(getattr(info.state, kind))
        return bool(getattr(style, kind))

    def _palette_actions(self) -> list[tuple[str, QAction]]:
        return [(row.menu, self.actions_by_id[row.id]) for row in ACTIONS if row.menu and row.id != "palette"]

    # --- what commands ask of the window

    def widget(self) -> QWidget:
        return self

    @Slot(str, str)
    def tell(self, text: str, kind: str = "info") -> None:
        """A short message in the corner."""
        self.toasts.show_message(text, kind)

    def show_palette(self) -> None:
        self.palette_box.open()

    def show_keys(self) -> None:
        self.keys_sheet.open()

    def close_window(self) -> None:
        self.close()

    def open_paths(self, paths: Iterable[Path | str]) -> None:
        """Open pictures, folders, labels or a project; what is open stays until the new one is ready."""
        wanted = [Path(path) for path in paths]
        missing = [path for path in wanted if not path.exists()]
        if missing or not wanted:
            self.tell(f"{missing[0] if missing else 'Nothing'}: there is no such file or folder", "error")
            return
        if self.session.path is not None and wanted == [self.session.path]:
            return

        def ready(results: list[Any]) -> None:
            for result in results:
                self._take_project(result)

        def ended(outcome: Outcome) -> None:
            if outcome.error is not None:
                self.tell(str(outcome.error), "error")

        self.runner.submit(OpenJob(wanted, self.session.path), on_results=ready, on_finished=ended)

    def _take_project(self, opened: Opened) -> None:
        if self.session.path is not None and opened.path == self.session.path:
            self.session.structure_changed()
        else:
            try:
                store = ProjectStore.open(opened.path)
            except PoseError as error:
                try:
                    store = ProjectStore.open(opened.path, read_only=True)
                except PoseError:
                    self.tell(str(error), "error")
                    return
                self.tell(f"{opened.path.name} is open in another window; it is shown read-only here", "warning")
            self.loader.clear()
            self.session.set_store(store)
            self.settings.add_recent(opened.path)
        if opened.problems:
            first = opened.problems[0]
            more = f" (and {len(opened.problems) - 1} more)" if len(opened.problems) > 1 else ""
            self.tell(f"{first}{more}", "warning")

    def follow_training(self, run: TrainingRun) -> None:
        """Show a training run in the status bar and in a monitor of its own."""
        self.runs.append(run)
        self.tray.add_run(run)
        run.finished.connect(lambda ok, message: self.tell(message, "good" if ok else "warning"))
        self._open_monitor(run)

    def _open_monitor(self, run: object) -> None:
        from poseapp.dialogs.training_monitor import TrainingMonitor  # brings pyqtgraph

        if not isinstance(run, TrainingRun):
            return
        for monitor in self.monitors:
            if isinstance(monitor, TrainingMonitor) and monitor.run is run:
                monitor.show()
                monitor.raise_()
                return
        monitor = TrainingMonitor(run, self)
        monitor.use_requested.connect(lambda model: models.use_model(self.context, model))
        self.monitors.append(monitor)
        monitor.show()

    # --- theme

    def set_theme(self, name: str) -> None:
        """ "system", "dark" or "light"."""
        self.settings.theme = name
        self._apply_theme()

    def _on_system_theme(self, _scheme: object) -> None:
        if self.settings.theme == "system":
            self._apply_theme()

    def _apply_theme(self) -> None:
        self.dark = theme.is_dark(self.settings.theme)
        self.colours = theme.tokens(dark=self.dark)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            theme.apply_theme(application, dark=self.dark)
        self._icons()
        for part in (self.media, self.instances, self.history, self.timeline, self.empty):
            part.set_colours(self.colours)
        self.toasts.colours = self.colours
        self.canvas.set_style(replace(self.canvas.style_now, dark=self.dark))
        self.refresh_actions()

    # --- showing

    def _show_project(self) -> None:
        opened = self.session.store is not None
        self.middle.setCurrentWidget(self.work if opened else self.empty)
        for dock in self.docks:
            dock.setVisible(opened)
        self.tools.setVisible(opened)
        if opened:
            self.docks[0].raise_()
        else:
            self.empty.set_recent(self.settings.recent)
        path = self.session.path
        self.setWindowTitle("poseapp" if path is None else f"{path.stem} - poseapp")
        self.canvas.set_tool("edit")
        self._show_frame(self.session.frame)
        self._show_saved()

    def _show_saved(self) -> None:
        if self.session.store is None:
            self.saved_label.setText("")
        else:
            self.saved_label.setText("Read only" if self.session.read_only else "All changes saved")

    def _show_frame(self, key: FrameKey | None) -> None:
        store = self.session.store
        info = self.session.frame_info()
        if store is None or key is None or info is None:
            self.canvas.set_frame(None, None)
            self.canvas.set_instances((), {})
            self.canvas.set_image(None)
            self.place_label.setText("")
        else:
            size = (info.width, info.height) if info.width and info.height else None
            place = self.session.position()
            ahead = [
                k for step in range(1, READ_AHEAD + 1) for k in self.session.frames[place + step : place + step + 1]
            ]
            ahead += list(self.session.frames[max(place - 1, 0) : place])
            path = store.frame_path(key)
            if size is not None and self.loader.cached(key, path) is None:
                self.canvas.set_frame(key, size)
                self._show_instances()
            self.loader.request(key, path, [(k, store.frame_path(k)) for k in ahead])
            self.place_label.setText(f"{info.name}   {place + 1} of {len(self.session.frames):,}")
        self.refresh_actions()

    def _on_loaded(self, key: FrameKey, pixels: Any) -> None:
        store = self.session.store
        if key != self.session.frame or store is None:
            return
        height, width = pixels.shape[:2]
        info = self.session.frame_info()
        if info is not None and not info.width and not store.read_only:
            store.set_frame_size(key, width, height)
        self.canvas.set_frame(key, (width, height))
        self._show_instances()
        self.canvas.set_image(pixels)

    def _on_unreadable(self, key: FrameKey, why: str) -> None:
        if key == self.session.frame:
            info = self.session.frame_info()
            size = (info.width, info.height) if info is not None and info.width else (640, 480)
            self.canvas.set_image(None)
            self.canvas.set_frame(key, size)
            self._show_instances()
            self.tell(f"{why}. Its labels are safe.", "warning")

    def _show_instances(self) -> None:
        self.canvas.set_instances(self.session.instances, self.session.schemas)
        self.canvas.set_selection(self.session.selected_instances, self.session.selected_points)

    def _on_change(self, change: Change) -> None:
        if change.structure or self.session.frame in change.frames:
            self._show_instances()
        self.refresh_actions()

    def _show_selection(self) -> None:
        self.canvas.set_selection(self.session.selected_instances, self.session.selected_points)
        self.refresh_actions()

    # --- the canvas speaks

    def _on_box(self, x1: float, y1: float, x2: float, y2: float) -> None:
        self.canvas.set_tool("edit")
        models.fill_box(self.context, (x1, y1, x2, y2))

    def _on_accept(self, instance: int) -> None:
        self.session.select(instances=[instance])
        labels.accept(self.context)

    def _on_hover(self, target: HitTarget | None) -> None:
        on_point = target is not None and target.kind is HitKind.POINT
        self.context.hovered = frozenset({(target.instance_id, target.index)}) if on_point and target else frozenset()

    def _on_frame_chosen(self, key: FrameKey) -> None:
        if not self.canvas.busy:
            self.session.go_to(key)

    # --- Qt

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_paths(paths)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Everything is saved: closing asks nothing, ends what runs and waits for it."""
        self._closing = True
        self.settings.keep_geometry("window", self.saveGeometry())
        self.settings.keep_geometry("docks", self.saveState())
        for run in self.runs:
            run.cancel()
        for monitor in self.monitors:
            monitor.close()
        self.runner.shutdown()
        self.loader.shutdown()
        for panel in (self.review, self.history):
            panel.rest()
        self.tray.hide()
        self.toasts.clear()
        self.session.close()
        self.settings.sync()
        super().closeEvent(event)

    def _restore(self) -> None:
        self.resize(QSize(1280, 800))
        geometry = self.settings.geometry("window")
        if geometry is not None:
            self.restoreGeometry(geometry)


_TOOLBAR_ORDER = (
    ("tool_edit", "tool_box", "tool_place"),
    ("undo", "redo"),
    ("run_frame", "run_range"),
    ("accept", "reject"),
    ("fit",),
    ("fine_tune", "export_coco"),
    ("palette",),
)


def _toolbar_place(row: Action) -> tuple[int, int]:
    for group, names in enumerate(_TOOLBAR_ORDER):
        if row.id in names:
            return group, names.index(row.id)
    return len(_TOOLBAR_ORDER), 0
