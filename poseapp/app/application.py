"""Makes the QApplication and the window, and keeps them going."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import QSettings, Qt, QTimer
from PySide6.QtWidgets import QApplication

from engine.utils.plain_text import OneLineFormatter
from poseapp import __version__
from poseapp.app import data_folders, gc_control, language, theme
from poseapp.app.log_file import start_log, stop_log
from poseapp.app.settings import APPLICATION, ORGANISATION, Settings
from poseapp.window.main_window import MainWindow

SWITCH_SECONDS = 0.0005


def make_application(arguments: Sequence[str] = ()) -> QApplication:
    """The application object with font and theme; the one that exists already, if there is one."""
    existing = QApplication.instance()
    if isinstance(existing, QApplication):
        application = existing
    else:
        QApplication.setHighDpiScaleFactorRoundingPolicy(Qt.HighDpiScaleFactorRoundingPolicy.PassThrough)
        application = QApplication([sys.argv[0], *arguments])
    application.setOrganizationName(ORGANISATION)
    application.setApplicationName(APPLICATION)
    application.setApplicationDisplayName("poseapp")
    application.setApplicationVersion(__version__)
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    settings = Settings()
    data_folders.apply(settings.places())
    theme.load_font(application, language.apply_language(application, settings.language))
    theme.apply_theme(application, dark=theme.is_dark(settings.theme))
    return application


def answer_quickly() -> None:
    """Worker threads leave the interpreter to the window after half a millisecond.

    By default they keep it for 5 ms whenever the window asks, and one painting asks twenty times: while a folder of
    200,000 pictures was listed, the window stood still for 100 to 200 ms, now for 20 to 60. Listing takes no longer.
    """
    sys.setswitchinterval(SWITCH_SECONDS)


def run(paths: Sequence[Path], *, sample: bool = False) -> int:
    """Show the window until it is closed; returns the exit status."""
    terminal = logging.StreamHandler()
    terminal.setFormatter(OneLineFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[terminal])
    application = make_application()
    answer_quickly()
    start_log(data_folders.log_folder())
    window = MainWindow()
    gc_control.freeze_objects(collect=True)
    window.show()
    hint = language.font_hint(window.settings.language)
    if hint:
        window.tell(hint, "error")
    QTimer.singleShot(0, window.find_runs)
    # At the end of a session nobody is asked: training goes on as long as the system lets it.
    application.commitDataRequest.connect(window.run_keeper.leave_all)
    if paths:
        QTimer.singleShot(0, lambda: window.open_paths(paths))
    elif sample:
        QTimer.singleShot(0, lambda: window.run("open_sample"))
    # Python hears of Ctrl+C only when it gets to run; a slow beat lets it.
    beat = QTimer()
    beat.timeout.connect(lambda: None)
    beat.start(250)
    signal.signal(signal.SIGINT, lambda *_: window.close())
    try:
        return application.exec()
    finally:
        beat.stop()
        stop_log()
