"""A window that runs a model over what an interrupted run has left; run by ``test_interrupted_run`` in its own process.

Args: project; a file to which the time and the number of each frame is written when the window has its result; the
number of frames after which the process kills itself, 0 for never.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from PySide6.QtCore import QTimer

from poseapp.app.application import make_application
from poseapp.commands import model
from poseapp.commands.model import RunResults
from poseapp.dialogs.run_model import GO_ON, RunModelDialog
from poseapp.jobs.inference import FrameResult
from poseapp.window.main_window import MainWindow


def main(project: Path, log: Path, killed_after: int) -> int:
    application = make_application()
    window = MainWindow()
    window.show()
    window.open_paths([project])
    file = log.open("a", buffering=1, encoding="utf-8")
    take = RunResults.take
    frames: set[int] = set()

    def noted(self: RunResults, results: list[FrameResult]) -> None:
        for result in results:
            file.write(f"{time.monotonic()} {result.key.index}\n")
            frames.add(result.key.index)
        take(self, results)
        if killed_after and len(frames) >= killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    RunResults.take = noted  # type: ignore[assignment,method-assign]

    def start() -> None:
        if window.session.store is None or window.runner.active():
            QTimer.singleShot(20, start)
            return
        dialog = RunModelDialog(window.session, "movenet_lightning", window)
        dialog.which.setCurrentIndex(dialog.which.findData(GO_ON))
        dialog.device.setCurrentIndex(dialog.device.findData("cpu"))
        dialog.run_requested.connect(lambda plan: model._run_plan(window.context, plan))
        dialog.run_button.click()
        window.runner.busy_changed.connect(lambda busy: None if busy else end())

    def end() -> None:
        window.close()
        file.close()
        application.quit()

    QTimer.singleShot(0, start)
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
