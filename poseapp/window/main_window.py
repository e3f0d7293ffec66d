"""The main window: canvas in the middle, lists on the right, timeline below. It connects the parts and has no logic."""

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
    QVBoxLayout,
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
from poseapp.canvas.tools import TOOLS
from poseapp.canvas.view import CanvasView
from poseapp.commands import edit as edit_commands
from poseapp.commands import model as model_commands
from poseapp.commands import project, view
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
from poseapp.window.actions import ACTIONS, BY_ID, DEFAULT_KEYS, Action
from poseapp.window.canvas_controller import CanvasController
from poseapp.window.label_checker import LabelChecker
from poseapp.window.menus import WindowActions
from poseapp.window.project_opener import ProjectOpener
from poseapp.window.project_watcher import ProjectWatcher
from poseapp.window.run_keeper import RunKeeper
from poseapp.window.video_watcher import VideoWatcher

LAYOUT_VERSION = 1
"""Version of the saved dock layout; Qt ignores a layout of another version."""


@guarded
class MainWindow(QMainWindow):
    """The main window. ``context`` is what its commands work with."""

    def __init__(self, settings: Settings | None = None) -> None:
        super().__init__()
        self.setObjectName("mainWindow")
        self.setWindowTitle("poseapp")
        self.setWindowIcon(program_icon())
        self.setAcceptDrops(True)
        self.setDockOptions(QMainWindow.DockOption.AnimatedDocks | QMainWindow.DockOption.AllowTabbedDocks)
        self.settings = settings or Settings()
        self.dark = theme.is_dark(self.settings.theme)
        self.colors = theme.tokens(dark=self.dark)
        self.session = Session(self)
        self.faults = Faults(self)
        self.faults.told.connect(lambda text: self.tell(text, "error"))
        self.runner = JobRunner(self)
        self.loader = FrameLoader(self, store=ThumbnailStore())
        self.canvas = CanvasView()
        self.canvas.setAcceptDrops(False)  # files dropped on it go to the window
        self.canvas.set_style(replace(self.settings.canvas_style(), dark=self.dark))
        self.context = Context(self, self.session, self.canvas, self.runner, ModelHost(), self.loader, self.settings)
        # Connected to the session first: the canvas shows a new frame before the lists do.
        self.controller = CanvasController(self.context, self)
        self.playback = Player(self.session, self.loader, self)
        self.opener = ProjectOpener(self.session, self.runner, self.settings, self)
        self.project_watcher = ProjectWatcher(self.session, self.runner, self)
        self.video_watcher = VideoWatcher(self.context, self.opener, self)
        self.monitors: list[QWidget] = []
        self.run_keeper = RunKeeper(self.runner, self)
        self.reports = Reports()
        self.checker = LabelChecker(self.session, self.runner, self)
        self.window_actions = WindowActions(self, self.colors, self.run, self._is_on)
        self.window_actions.fill_menus(self)
        self._refresh = QTimer(self)
        self._refresh.setSingleShot(True)
        self._refresh.setInterval(0)
        self._refresh.timeout.connect(self._refresh_when_released)
        self._refresh_due = False
        self.tools = self.window_actions.make_toolbar()
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, self.tools)
        self._make_middle()
        self._make_docks()
        self.tray = JobTray(self.runner, self)
        self.status = StatusLine(self.statusBar(), self.session, self.loader, self.tray, self.playback)
        self.minimap = Minimap(self.canvas)
        self.notice = CanvasNotice(self.canvas, self.colors, self.actions_by_id["find_video"])
        self.toasts = Toasts(self.middle, self.colors)
        self.toasts.stand_in(self.canvas)
        self.palette_box = CommandPalette(self, self._palette_actions)
        self.keys_sheet = KeysSheet(self, ACTIONS, [line for tool in TOOLS for line in tool.info.mouse])
        self._apply_keys()
        self._connect()
        self._restore()
        self._show_project()
        self.refresh_actions_now()

    # --- building

    def _make_middle(self) -> None:
        self.empty = EmptyPage(self.run, {row.id: row.icon for row in ACTIONS}, self.colors)
        self.timeline = Timeline(self.session, self.loader, self.colors, track_color)
        self.play_bar = PlayBar(self.playback, self.colors)
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
        self.media = MediaList(self.session, self.loader, self.colors)
        self.instances = InstancesPanel(self.session, self.colors)
        self.review = ReviewPanel(self.session)
        self.history = HistoryPanel(self.session, self.colors)
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
        for source in (session.message, self.opener.told, self.checker.told):
            source.connect(self.tell)
        self.controller.picture_problem.connect(self.notice.tell)
        self.notice.retry_requested.connect(lambda: self.controller.show_frame(session.frame))
        self.opener.reported.connect(self.report)
        self.opener.imported.connect(self.checker.check_import)
        self.checker.reported.connect(self.report)
        self.opener.offered.connect(self._ask_about_labels)
        self.opener.previewed.connect(self._show_preview)
        self.opener.size_asked.connect(self._ask_about_sizes)
        self.project_watcher.renamed.connect(self._on_renamed)
        self.project_watcher.gone.connect(lambda path: project.ask_to_save_again(self.context, path))
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
        self.canvas.released.connect(self._on_released)
        self.playback.playing_changed.connect(lambda _playing: self.refresh_actions())
        self.playback.shown.connect(self.controller.show_playing)
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
        return self.window_actions.by_id

    def run(self, name: str) -> None:
        """Run an action by its id, unless something it needs is missing. Playback stops first."""
        if name not in KEEPS_PLAYING:
            self.playback.stop()
        if not self.window_actions.can_run(name, self.session):
            if self.session.read_only and BY_ID[name].writes:
                self.tell("The project is open for reading only here; nothing was changed", "warning")
            return
        try:
            BY_ID[name].run(self.context)
        except PoseError as error:
            self.tell(str(error), "error")
        if BY_ID[name].check:  # Qt has toggled the check mark, whatever the command did
            self.refresh_actions()

    @Slot()
    def refresh_actions(self) -> None:
        """Update which actions are enabled and checked, and the model in use: once, after the pending events."""
        self._refresh_due = True
        if not self._refresh.isActive():
            self._refresh.start()

    def _refresh_when_released(self) -> None:
        """A drag selects first and edits when it ends: one refresh, at the end."""
        if not self.canvas.pressed:
            self.refresh_actions_now()

    def refresh_actions_now(self) -> None:
        """Do a pending refresh now."""
        if not self._refresh_due:
            return
        self._refresh_due = False
        self._refresh.stop()
        self.window_actions.refresh(self.session)
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

    # --- what commands use

    @property
    def action_table(self) -> Sequence[Action]:
        """All actions, for those who list them with their shortcuts."""
        return ACTIONS

    def widget(self) -> QWidget:
        return self

    @Slot(str, str)
    def tell(self, text: str, kind: str = "info") -> None:
        """Show a short message in the corner."""
        self.toasts.show_message(text, kind)

    @Slot(object)
    def report(self, report: Report) -> None:
        """Show a message in the corner, with a button that lists every remark."""
        self.reports.add(report)
        self.toasts.show_message(report.headline(), report.kind, ToastAction("Show", self.show_report))

    def _show_preview(self, offer: LabelOffer, path: Path) -> None:
        from poseapp.dialogs.import_labels import ImportLabelsDialog

        dialog = ImportLabelsDialog(offer, self)
        dialog.accepted_import.connect(
            lambda theirs: self.opener.import_labels(path, offer.label_size, take_conflicts=theirs)
        )
        dialog.open()

    def _ask_about_labels(self, offers: Sequence[LabelOffer]) -> None:
        from poseapp.dialogs.label_offers import ask_about_labels

        ask_about_labels(offers, self.opener.take_offers, self.opener.decline_offers, self)

    def _ask_about_sizes(self, question: LabelSizesDiffer, go_on: Callable[[LabelSize], None]) -> None:
        from poseapp.dialogs.label_offers import ask_about_sizes

        ask_about_sizes(question, go_on, self)

    def show_report(self) -> None:
        """Show the newest report; earlier ones can be chosen there."""
        if self.reports.all:
            self.checker.show_reports(self.reports.all)
        else:
            self.tell("No import, export or run has made a remark since the window was opened.")

    def show_import_reports(self) -> None:
        """Show what the imports of this project had to remark."""
        self.checker.show_import_reports()

    def check_labels(self) -> None:
        """Run all checks over the labels of the project, and show what they find."""
        self.checker.check_all()

    def show_palette(self) -> None:
        self.palette_box.open()

    def set_keys(self, keymap: dict[str, tuple[str, ...]]) -> None:
        """Use these shortcuts from now on and save them."""
        self.settings.keep_key_changes(changes_of(keymap, DEFAULT_KEYS))
        self._apply_keys()

    def _apply_keys(self) -> None:
        keymap = with_changes(self.settings.key_changes(), DEFAULT_KEYS)
        self.window_actions.set_keys(keymap)
        self.keys_sheet.set_keys(keymap)

    def show_keys(self) -> None:
        self.keys_sheet.open()

    def close_window(self) -> None:
        self.close()

    def preview_labels(self, path: Path) -> None:
        """Show what importing labels into the open project would do."""
        self.opener.preview_labels(path)

    def open_paths(self, paths: Iterable[Path | str]) -> None:
        """Open pictures, folders, labels or a project; the current project stays open until the new one is ready."""
        self.opener.open(paths)

    @property
    def runs(self) -> list[TrainingRun]:
        """Training runs of this window, finished ones included."""
        return self.run_keeper.runs

    def follow_training(self, run: TrainingRun) -> None:
        """Show a training run in the status bar and in its own monitor window."""
        self.run_keeper.add(run)

    def find_runs(self) -> None:
        """Look for training runs that an earlier window left running or interrupted."""
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
        self.colors = theme.tokens(dark=self.dark)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            theme.apply_theme(application, dark=self.dark)
        for part in (
            self.window_actions,
            self.media,
            self.instances,
            self.history,
            self.timeline,
            self.play_bar,
            self.empty,
            self.notice,
        ):
            part.set_colors(self.colors)
        self.toasts.colors = self.colors
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

    def _on_released(self) -> None:
        if self._refresh_due:
            self.refresh_actions()

    def _on_frame_chosen(self, key: FrameKey) -> None:
        self.playback.stop()
        self.session.go_to(key)

    # --- Qt

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:  # Qt asks next which actions are enabled
            self.refresh_actions_now()
        return super().event(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """A press on the canvas during playback only stops it, so that nothing is moved by accident."""
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
        """Labels are always saved, so closing asks only about training runs; other work is stopped and waited for."""
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
        self.controller.waiting.end()
        self.session.close()
        for panel in (self.media, self.review, self.history, self.timeline):
            panel.rest()
        self.settings.sync()
        # Stop every timer, also one that a late event has just started: a closed window does nothing more.
        for timer in self.findChildren(QTimer):
            timer.stop()
        super().closeEvent(event)


def _dock(title: str, panel: QWidget, window: QMainWindow) -> QDockWidget:
    """A tab on the right that can be detached. In the window the tab is its title; detached it has a title bar."""
    dock = QDockWidget(tr(title), window)
    dock.setObjectName(f"dock{title}")
    page = QWidget()
    page.setMinimumWidth(290)
    column = QVBoxLayout(page)
    column.setContentsMargins(0, 0, 0, 0)
    column.addWidget(panel)
    dock.setWidget(page)
    # Qt counts the pages behind the open tab as visible. A hidden panel reads nothing until it is shown.
    dock.visibilityChanged.connect(panel.setVisible)
    feature = QDockWidget.DockWidgetFeature
    dock.setFeatures(feature.DockWidgetMovable | feature.DockWidgetFloatable)
    bare = QWidget(dock)
    dock.setTitleBarWidget(bare)
    dock.topLevelChanged.connect(lambda floating: dock.setTitleBarWidget(None if floating else bare))  # type: ignore[arg-type]
    return dock
