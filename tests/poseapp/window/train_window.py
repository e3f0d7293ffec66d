"""A window that trains until it is killed; run by ``test_runs_survive`` in a process of its own. Args: the project."""

from __future__ import annotations

import sys
from pathlib import Path

from PySide6.QtCore import QTimer

from poseapp.app.application import make_application
from poseapp.commands import model
from poseapp.jobs.training.export import TrainingPlan
from poseapp.window.main_window import MainWindow

PLAN = TrainingPlan("tees", 1, "movenet_lightning", epochs=400, steps_per_epoch=2, batch=1, device="cpu")


def main(project: Path) -> int:
    application = make_application()
    window = MainWindow()
    window.show()
    window.open_paths([project])

    def start() -> None:
        if window.session.store is None or window.runner.active():
            QTimer.singleShot(20, start)
        else:
            model.start_training(window.context, PLAN)

    QTimer.singleShot(0, start)
    return application.exec()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
