"""What shows that the verbs of Models, and assist, work."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from engine.utils.context import Context
from poseapp.dialogs.models import ModelsDialog
from poseapp.dialogs.run_model import RunModelDialog
from poseapp.dialogs.training.fine_tune import FineTuneDialog
from poseapp.jobs.base import Lane, Progress
from poseapp.project.model import State
from tests.poseapp.commands.steps.files import aside, opened
from tests.poseapp.commands.steps.person import Person, verb

SAMPLE = Path(__file__).resolve().parents[4] / "resources" / "sample"


class Endless:
    """Work that only a person ends."""

    title, lane = "Endless", Lane.IO

    def run(self, context: Context) -> Iterator[Progress]:
        while True:
            time.sleep(0.01)
            yield Progress(0, 0)


@verb("run_frame")
def _(me: Person) -> None:
    folder = aside(me, "photos", ())
    shutil.copyfile(SAMPLE / "astronaut.jpg", folder / "astronaut.jpg")
    me.window.settings.model = "movenet_lightning"
    me.window.open_paths([folder])
    opened(me, 1)
    me.bot.waitUntil(lambda: me.window.canvas.pixels is not None, timeout=8000)
    me.do()
    me.bot.waitUntil(lambda: bool(me.session.instances), timeout=60000)
    me.idle()
    assert {pose.state for pose in me.session.instances} == {State.PREDICTED}


@verb("run_range")
def _(me: Person) -> None:
    me.do()
    me.dialog(RunModelDialog)


@verb("cancel_jobs")
def _(me: Person) -> None:
    me.window.runner.submit(Endless())
    assert me.window.runner.active()
    me.do()
    me.bot.waitUntil(lambda: not me.window.runner.active(), timeout=5000)


@verb("models")
def _(me: Person) -> None:
    me.do()
    me.dialog(ModelsDialog)


@verb("fine_tune")
def _(me: Person) -> None:
    me.do()
    me.dialog(FineTuneDialog)


@verb("assist")
def _(me: Person) -> None:
    me.window.settings.model = "movenet_lightning"
    was = me.window.settings.assist
    for wanted in (not was, was):
        me.do()
        assert me.window.settings.assist is wanted
        assert me.checked() is wanted
        me.idle()
