"""Published weights fetched from the window, from a server of this computer."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from engine.errors import Cancelled, PoseError
from engine.models.catalog import ModelEntry, find_model
from engine.utils.context import Context
from poseapp.commands.model import download_model
from poseapp.dialogs.models import ModelsDialog
from poseapp.jobs.download import DownloadJob
from poseapp.window.main_window import MainWindow

DATA = b"weights" * 50_000


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelEntry]:
    """A published row whose file a server here has."""
    row = find_model("coco_res50_256x192")
    served = tmp_path / "served"
    served.mkdir()
    name = row.url.rsplit("/", 1)[-1]
    (served / name).write_bytes(DATA)
    monkeypatch.setenv("POSEAPP_MODELS", str(tmp_path / "models"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    monkeypatch.delenv("POSEAPP_MODEL_MIRROR", raising=False)
    url = f"http://127.0.0.1:{server.server_port}/{name}"
    yield replace(row, url=url, digest=hashlib.sha256(DATA).hexdigest()[:8])
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_file_arrives_with_progress(entry: ModelEntry) -> None:
    steps = list(DownloadJob(entry).run(Context()))
    assert Path(steps[-1].result).read_bytes() == DATA
    assert steps[-1].done == steps[-1].total


def test_a_wrong_file_is_refused(entry: ModelEntry) -> None:
    with pytest.raises(PoseError):
        list(DownloadJob(replace(entry, digest="00000000")).run(Context()))
    assert entry.weights_file is not None
    assert not entry.weights_file.exists()


def test_a_cancelled_job_ends_the_transfer(entry: ModelEntry) -> None:
    context = Context(lambda done, _total, _text: context.cancel() if done else None)
    with pytest.raises(Cancelled):
        list(DownloadJob(entry).run(context))
    assert entry.weights_file is not None
    assert not entry.weights_file.exists()


def test_the_dialog_offers_what_is_not_here_and_shows_it_when_it_came(
    window: MainWindow, entry: ModelEntry, qtbot: QtBot
) -> None:
    dialog = ModelsDialog("movenet_thunder", window)
    dialog.show()
    assert entry.id not in dialog.ids()
    dialog.which.setCurrentIndex(1)
    assert entry.id in dialog.ids()
    dialog.refresh(entry.id)
    assert dialog.download_button.isVisible()
    assert not dialog.use_button.isEnabled()
    expected: list[ModelEntry] = []
    dialog.download_wanted.connect(expected.append)
    dialog.download_button.click()
    assert [row.id for row in expected] == [entry.id]
    download_model(window.context, entry, dialog)
    qtbot.waitUntil(lambda: not window.runner.active(), timeout=10000)
    qtbot.waitUntil(lambda: not dialog.download_button.isVisible(), timeout=2000)
    assert dialog.entry() is not None
    assert dialog.use_button.isEnabled()
    dialog.close()
