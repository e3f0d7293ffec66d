"""The window: canvas in the middle, lists at the right, timeline below. Wiring, no logic."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QEvent, QObject, QSize, Qt, QTimer, Slot
from PySide6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QMainWindow,
    QStackedWidget,
    QTabWidget,
    QWidget,
)

from engine.errors import PoseError
from engine.utils.plain_text import one_line
from poseapp.app import theme
from poseapp.app.fault_guard import Faults, guarded
from poseapp.app.i18n import tr
from poseapp.app.reports import Report, Reports
from poseapp.app.settings import Settings
from poseapp.app.shortcuts import changes_of, with_changes
from poseapp.canvas.minimap import Minimap
from poseapp.canvas.render.colors import track_color
from poseapp.canvas.view import CanvasView
from poseapp.commands import COMMANDS, project, view
from poseapp.commands import edit as edit_commands
from poseapp.commands import model as model_commands
from poseapp.commands.context import Context
from poseapp.commands.playback import KEEPS_PLAYING
from poseapp.jobs.frames.loader import FrameLoader
from poseapp.jobs.frames.thumbnails import ThumbnailStore
from poseapp.jobs.inference import ModelHost
from poseapp.jobs.runner import JobRunner
from poseapp.jobs.training.run import TrainingRun
from poseapp.panels.banners import ReadOnlyBanner
from poseapp.panels.frames.list import MediaList
from poseapp.panels.history import HistoryPanel
from poseapp.panels.instances.panel import InstancesPanel
from poseapp.panels.job_tray import JobTray
from poseapp.panels.notice import CanvasNotice
from poseapp.panels.review import ReviewPanel
from poseapp.panels.status_bar import StatusLine
from poseapp.panels.timeline.playback_bar import PlayBar, TimelineSplitter, stacked
from poseapp.panels.timeline.widget import Timeline
from poseapp.panels.welcome import EmptyPage
from poseapp.project.formats.label_sizes import LabelSize, LabelSizesDiffer
from poseapp.project.formats.report import LabelOffer
from poseapp.project.model import Change, FrameKey
from poseapp.session.playback import Player
from poseapp.session.session import Session
from poseapp.widgets.command_palette import CommandPalette
from poseapp.widgets.icons import program_icon
from poseapp.widgets.shortcuts_sheet import KeysSheet
from poseapp.widgets.toast import ToastAction, Toasts
from poseapp.window.actions import ACTIONS, BY_ID, writes
from poseapp.window.canvas_controller import CanvasLink
from poseapp.window.menus import WindowActions
from poseapp.window.project_opener import Opener
from poseapp.window.project_watcher import FileWatch
from poseapp.window.run_keeper import RunKeeper
from poseapp.window.video_watcher import VideoFiles

LAYOUT_VERSION = 1
"""Of the saved arrangement of docks; a newer one makes Qt forget the old."""


@guarded
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
        self.faults = Faults(self)
        self.faults.told.connect(lambda text: self.tell(text, "error"))
        self.runner = JobRunner(self)
        self.loader = FrameLoader(self, store=ThumbnailStore())
        self.canvas = CanvasView()
        self.canvas.setAcceptDrops(False)  # what is dropped on it is for the window
        self.canvas.set_style(replace(self.settings.canvas_style(), dark=self.dark))
        self.context = Context(self, self.session, self.canvas, self.runner, ModelHost(), self.loader, self.settings)
        # First of all that listens to the session: the canvas shows a new frame before the lists do.
        self.link = CanvasLink(self.context, self)
        self.playback = Player(self.session, self.loader, self)
        self.opener = Opener(self.session, self.runner, self.settings, self)
        self.file_watch = FileWatch(self.session, self)
        self.video_files = VideoFiles(self.context, self.opener, self)
        self.monitors: list[QWidget] = []
        self.run_keeper = RunKeeper(self.runner, self)
        self.reports = Reports()
        self.actions_now = WindowActions(self, self.colours, self.run, self._is_on)
        self.actions_now.fill_menus(self)
        self.tools = self.actions_now.make_toolbar()
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, self.tools)
        self._make_middle()
        self._make_docks()
        self.tray = JobTray(self.runner, self)
        self.status = StatusLine(self.statusBar(), self.session, self.loader, self.tray, self.playback)
        self.minimap = Minimap(self.canvas)
        self.notice = CanvasNotice(self.canvas, self.colours, self.actions_by_id["find_video"])
        self.toasts = Toasts(self.middle, self.colours)
        self.toasts.stand_in(self.canvas)
        self.palette_box = CommandPalette(self, self._palette_actions)
        self.keys_sheet = KeysSheet(self)
        self._apply_keys()
        self._connect()
        self._restore()
        self._show_project()

    # --- building

    def _make_middle(self) -> None:
        self.empty = EmptyPage(self.run, self.colours)
        self.timeline = Timeline(self.session, self.loader, self.colours, track_color)
        self.play_bar = PlayBar(self.playback, self.colours)
        self.timeline.set_controls(self.play_bar)
        self.splitter = TimelineSplitter(self.canvas, self.timeline)
        self.banner = ReadOnlyBanner(self.session)
        self.work = stacked(self.banner, self.splitter)
        self.middle: QStackedWidget = QStackedWidget()
        self.middle.addWidget(self.empty)
        self.middle.addWidget(self.work)
        self.setCentralWidget(self.middle)

    def _make_docks(self) -> None:
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
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
            dock = _dock(title, panel, self)
            self.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
            if self.docks:
                self.tabifyDockWidget(self.docks[0], dock)
            self.docks.append(dock)
        self.docks[0].raise_()
        self.resizeDocks(self.docks[:1], [320], Qt.Orientation.Horizontal)

    def _connect(self) -> None:
        session = self.session
        session.project_changed.connect(self._show_project)
        session.frame_changed.connect(lambda _key: self.refresh_actions())
        session.changed.connect(self._on_change)
        session.selection_changed.connect(self.refresh_actions)
        for source in (session.message, self.opener.told):
            source.connect(self.tell)
        self.link.noticed.connect(self.notice.tell)
        self.notice.retry_requested.connect(lambda: self.link.show_frame(session.frame))
        self.opener.reported.connect(self.report)
        self.opener.offered.connect(self._ask_about_labels)
        self.opener.size_asked.connect(self._ask_about_sizes)
        self.file_watch.renamed.connect(self._on_renamed)
        self.file_watch.gone.connect(lambda path: project.ask_to_save_again(self.context, path))
        self.opener.replacing.connect(self.loader.clear)
        self.opener.replacing.connect(self.faults.forget)
        self.banner.retry_requested.connect(self.opener.retry_writing)
        self.empty.path_chosen.connect(lambda path: self.open_paths([path]))
        for panel in (self.media, self.review, self.timeline):
            panel.frame_chosen.connect(self._on_frame_chosen)
        self.instances.parts_requested.connect(lambda parts: view.draw_parts(self.context, parts))
        self.instances.part_color_requested.connect(lambda p, c: view.set_part_color(self.context, p, c))
        self.canvas.style_changed.connect(lambda: self.instances.set_look(*view.look_of_parts(self.canvas.style_now)))
        self.instances.set_look(*view.look_of_parts(self.canvas.style_now))
        self.instances.visibility_requested.connect(lambda p, v: edit_commands.set_visibility(self.context, p, v))
        self.canvas.tool_changed.connect(lambda _name: self.refresh_actions())
        self.playback.playing_changed.connect(lambda _playing: self.refresh_actions())
        self.playback.shown.connect(self.link.show_playing)
        self.playback.shown.connect(lambda shown: self.timeline.show_playing(shown, self.playback.rate()))
        self.play_bar.play_requested.connect(lambda: self.run("play"))
        self.canvas.viewport().installEventFilter(self)
        self.canvas.space_tapped.connect(lambda back: self.run("previous_review" if back else "next_review"))
        self.runner.busy_changed.connect(lambda _busy: self.refresh_actions())
        self.tray.open_requested.connect(self._open_monitor)
        self.run_keeper.added.connect(self._on_run_added)
        self.run_keeper.told.connect(self.tell)
        self.run_keeper.discarded.connect(self._on_run_discarded)
        self.run_keeper.ready_to_close.connect(self.close)
        self.status.model.clicked.connect(lambda: self.run("models"))
        QApplication.styleHints().colorSchemeChanged.connect(self._on_system_theme)

    def _restore(self) -> None:
        self.resize(QSize(1280, 800))
        geometry, docks = self.settings.geometry("window"), self.settings.geometry("docks")
        self.splitter.restore(self.settings.geometry("timeline"))
        if geometry is not None:
            self.restoreGeometry(geometry)
        if docks is not None:
            self.restoreState(docks, LAYOUT_VERSION)

    # --- commands

    @property
    def actions_by_id(self) -> dict[str, QAction]:
        return self.actions_now.by_id

    def run(self, name: str) -> None:
        """Do a verb of the actions table, unless what it needs is missing. What plays stops first."""
        if name not in KEEPS_PLAYING:
            self.playback.stop()
        if not self.actions_now.can_run(name, self.session):
            if self.session.read_only and writes(BY_ID[name]):
                self.tell("The project is open for reading only here; nothing was changed", "warning")
            return
        try:
            COMMANDS[name](self.context)
        except PoseError as error:
            self.tell(str(error), "error")
        if BY_ID[name].check:  # Qt has set the tick, whatever the verb made of it
            self.refresh_actions()

    @Slot()
    def refresh_actions(self) -> None:
        """Which verbs can be done now, how the switches stand, which model is in use."""
        self.actions_now.refresh(self.session)
        self.status.show_model(self.context.model, self.context.host.description)

    def _is_on(self, check: str) -> bool:
        kind, _, value = check.partition(":")
        style = self.canvas.style_now
        if kind == "tool":
            return self.canvas.tool == value
        if kind == "color":
            return style.color_mode.value == value
        if kind == "theme":
            return self.settings.theme == value
        if kind == "assist":
            return self.settings.assist
        if kind == "playing":
            return self.playback.playing
        if kind in ("flagged", "reviewed", "negative"):
            info = self.session.frame_info()
            return info is not None and bool(getattr(info.state, kind))
        return bool(getattr(style, kind))

    def _palette_actions(self) -> list[tuple[str, QAction]]:
        return [(tr(row.menu), self.actions_by_id[row.id]) for row in ACTIONS if row.menu and row.id != "palette"]

    # --- what commands ask of the window

    def widget(self) -> QWidget:
        return self

    @Slot(str, str)
    def tell(self, text: str, kind: str = "info") -> None:
        """A short message in the corner."""
        self.toasts.show_message(text, kind)

    @Slot(object)
    def report(self, report: Report) -> None:
        """A message in the corner, whose button shows every remark."""
        self.reports.add(report)
        self.toasts.show_message(report.headline(), report.kind, ToastAction("Show", self.show_report))

    def _ask_about_labels(self, offers: Sequence[LabelOffer]) -> None:
        from poseapp.dialogs.label_offers import ask_about_labels

        ask_about_labels(offers, self.opener.take_offers, self.opener.decline_offers, self)

    def _ask_about_sizes(self, question: LabelSizesDiffer, go_on: Callable[[LabelSize], None]) -> None:
        from poseapp.dialogs.label_offers import ask_about_sizes

        ask_about_sizes(question, go_on, self)

    def show_report(self) -> None:
        """The newest report, with those before it to choose from."""
        from poseapp.dialogs.report import ReportDialog

        if self.reports.all:
            ReportDialog(self.reports.all, self).show()
        else:
            self.tell("No import, export or run has made a remark since the window was opened.")

    def show_palette(self) -> None:
        self.palette_box.open()

    def set_keys(self, keymap: dict[str, tuple[str, ...]]) -> None:
        """Use these keys from now on and remember them."""
        self.settings.keep_key_changes(changes_of(keymap))
        self._apply_keys()

    def _apply_keys(self) -> None:
        keymap = with_changes(self.settings.key_changes())
        self.actions_now.set_keys(keymap)
        self.keys_sheet.set_keys(keymap)

    def show_keys(self) -> None:
        self.keys_sheet.open()

    def close_window(self) -> None:
        self.close()

    def open_paths(self, paths: Iterable[Path | str]) -> None:
        """Open pictures, folders, labels or a project; what is open stays until the new one is ready."""
        self.opener.open(paths)

    @property
    def runs(self) -> list[TrainingRun]:
        """Training runs of this window."""
        return self.run_keeper.runs

    def follow_training(self, run: TrainingRun) -> None:
        """Show a training run in the status bar and in a monitor of its own."""
        self.run_keeper.add(run)

    def find_runs(self) -> None:
        """Look for training runs that an earlier window has left."""
        self.run_keeper.look()

    def _on_run_added(self, run: TrainingRun, show: bool) -> None:
        self.tray.add_run(run)
        run.finished.connect(lambda _ok, _message: self.context.memory.forget())
        if show:
            self._open_monitor(run)

    def _on_run_discarded(self, run: TrainingRun) -> None:
        undo = ToastAction("Undo", lambda: self.run_keeper.bring_back(run))
        self.toasts.show_message(f"{run.plan.name} is in the trash of the training runs", "warning", undo)

    def _open_monitor(self, run: object) -> None:
        from poseapp.dialogs.training.monitor import TrainingMonitor  # brings pyqtgraph

        if not isinstance(run, TrainingRun):
            return
        for monitor in self.monitors:
            if isinstance(monitor, TrainingMonitor) and monitor.run is run:
                monitor.show()
                monitor.raise_()
                return
        monitor = TrainingMonitor(run, self)
        monitor.use_requested.connect(lambda model: model_commands.use_model(self.context, model))
        monitor.resume_requested.connect(lambda: self.run_keeper.resume(run))
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
        for part in (
            self.actions_now,
            self.media,
            self.instances,
            self.history,
            self.timeline,
            self.play_bar,
            self.empty,
            self.notice,
        ):
            part.set_colours(self.colours)
        self.toasts.colours = self.colours
        self.canvas.set_style(replace(self.canvas.style_now, dark=self.dark))
        self.refresh_actions()

    # --- session

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
        self.setWindowTitle("poseapp" if path is None else f"{one_line(path.stem)} - poseapp")
        self.refresh_actions()

    def _on_renamed(self, path: Path) -> None:
        self.settings.add_recent(path)
        self.setWindowTitle(f"{one_line(path.stem)} - poseapp")
        self.tell(f"The project file is called {path.name} now; edits go there", "info")

    def _on_change(self, _change: Change) -> None:
        self.refresh_actions()

    def _on_frame_chosen(self, key: FrameKey) -> None:
        self.playback.stop()
        self.session.go_to(key)

    # --- Qt

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A press on the canvas stops what plays, and does nothing else: nothing is moved by accident."""
        press = (QEvent.Type.MouseButtonPress, QEvent.Type.MouseButtonDblClick)
        if event.type() in press and self.playback.playing:
            self.playback.stop()
            return True
        return super().eventFilter(watched, event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        paths = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if paths:
            event.acceptProposedAction()
            self.open_paths(paths)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Labels are saved: closing asks only about training runs, ends everything else and waits for it."""
        if not self.run_keeper.may_close():
            event.ignore()
            return
        self.settings.keep_geometry("window", self.saveGeometry())
        if self.session.store is not None:  # the docks are hidden otherwise
            self.settings.keep_geometry("docks", self.saveState(LAYOUT_VERSION))
        if self.splitter.by_hand:
            self.settings.keep_geometry("timeline", self.splitter.saveState())
        for monitor in self.monitors:
            monitor.close()
        self.playback.shutdown()
        self.runner.shutdown()
        self.loader.shutdown()
        self.tray.hide()
        self.toasts.clear()
        self.link.waiting.end()
        self.session.close()
        for panel in (self.media, self.review, self.history, self.timeline):
            panel.rest()
        self.settings.sync()
        # Every timer of the window, also one that a late event has just started: a closed window does nothing more.
        for timer in self.findChildren(QTimer):
            timer.stop()
        super().closeEvent(event)


def _dock(title: str, panel: QWidget, window: QMainWindow) -> QDockWidget:
    """A tab at the right that can be torn off. In the window the tab is its title; on its own it has a frame."""
    dock = QDockWidget(tr(title), window)
    dock.setObjectName(f"dock{title}")
    dock.setWidget(panel)
    panel.setMinimumWidth(290)
    feature = QDockWidget.DockWidgetFeature
    dock.setFeatures(feature.DockWidgetMovable | feature.DockWidgetFloatable)
    bare = QWidget(dock)
    dock.setTitleBarWidget(bare)
    dock.topLevelChanged.connect(lambda floating: dock.setTitleBarWidget(None if floating else bare))  # type: ignore[arg-type]
    return dock
