"""Opens project files one after the other in a real window, as a person would; run by ``test_mutants`` in a process of
its own, which a crash may end.

Args: the files. Prints a line for each before it is opened; whatever nobody catches goes to standard error.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QDeadlineTimer, QEventLoop
from PySide6.QtWidgets import QApplication

from poseapp.app.application import make_application
from poseapp.window.main_window import MainWindow


def _wait(application: QApplication, window: MainWindow, milliseconds: int = 5000) -> None:
    """Until nothing is under way any more."""
    deadline = QDeadlineTimer(milliseconds)
    for _ in range(5):
        application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
    while window.runner.active() and not deadline.hasExpired():
        application.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(files: list[Path]) -> int:
    application = make_application()
    window = MainWindow()
    window.resize(1200, 800)
    window.show()
    for file in files:
        _say(file.name)
        window.open_paths([file])
        _wait(application, window)
        for dock in window.docks:
            dock.raise_()
            _wait(application, window, 500)
        for verb in ("next_frame", "fit", "undo", "redo", "next_review"):
            window.refresh_actions_now()
            if verb in window.actions_by_id and window.actions_by_id[verb].isEnabled():
                window.run(verb)
                _wait(application, window, 500)
        window.instances.tree.expandAll()
        window.grab()
        _wait(application, window, 200)
        window.session.set_store(None)
    window.close()
    _say("end")
    return 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
