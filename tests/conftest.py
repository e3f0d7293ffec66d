"""Fixtures of the whole suite: offscreen Qt, private settings, and a check that a test leaves nothing running."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# How long an example takes is not what is tested: disks wait, and machines are busy.
hypothesis.settings.register_profile("poseapp", deadline=None)
hypothesis.settings.load_profile("poseapp")

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    # Before any Qt import. `POSEAPP_TEST_PLATFORM=xcb` runs the suite in real windows.
    os.environ["QT_QPA_PLATFORM"] = os.environ.get("POSEAPP_TEST_PLATFORM", "offscreen")
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    os.environ.setdefault("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of real data and reference numbers; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("POSEAPP_TEST_DATA", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no test data in {folder} (set POSEAPP_TEST_DATA)")
    return folder


@pytest.fixture(scope="session")
def resources_dir() -> Path:
    return ROOT / "resources"


@pytest.fixture(autouse=True)
def private_user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings, models and caches of the person running the tests are neither read nor written."""
    home = tmp_path_factory.mktemp("user")
    for name, folder in {
        "XDG_CONFIG_HOME": "config",
        "XDG_DATA_HOME": "data",
        "XDG_CACHE_HOME": "cache",
        "XDG_STATE_HOME": "state",
        "POSEAPP_MODELS": "models",
    }.items():
        monkeypatch.setenv(name, str(home / folder))
    try:
        from PySide6.QtCore import QSettings
    except ImportError:  # the engine's tests run where Qt is not installed
        return home
    QSettings.setDefaultFormat(QSettings.Format.IniFormat)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(home / "config"))
    return home


@pytest.fixture(autouse=True)
def nothing_left_running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a thread or an active timer behind, and say which."""
    before = set(threading.enumerate())
    started: list[tuple[str, object]] = []
    try:
        from PySide6.QtCore import QThread, QTimer
    except ImportError:
        yield
        return

    def follow(cls: type, kind: str) -> None:
        original = cls.start  # type: ignore[attr-defined]

        def start(self: object, *args: object) -> object:
            started.append((kind, self))
            return original(self, *args)

        monkeypatch.setattr(cls, "start", start)

    follow(QThread, "QThread")
    follow(QTimer, "QTimer")
    yield
    left = _wait_until_quiet(before, started)
    assert not left, f"left running: {left}"


def _wait_until_quiet(before: set[threading.Thread], started: list[tuple[str, object]]) -> list[str]:
    deadline = time.monotonic() + 2.0
    while True:
        left = [
            f"thread {t.name}" for t in threading.enumerate() if t not in before and t.is_alive() and not _is_tool(t)
        ]
        left += [f"{kind} {_describe(item)}" for kind, item in started if _is_active(kind, item)]
        if not left or time.monotonic() > deadline:
            return left
        _run_qt_events()
        time.sleep(0.02)


def _run_qt_events() -> None:
    """Let short timers end and widgets that wait for their deletion go: without an event loop neither would."""
    from PySide6.QtCore import QCoreApplication, QEvent

    if QCoreApplication.instance() is not None:
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        QCoreApplication.processEvents()


def _is_tool(thread: threading.Thread) -> bool:
    """Threads of libraries that live as long as the process (progress monitors, records of Qt threads)."""
    return (
        isinstance(thread, threading._DummyThread) or "tqdm" in type(thread).__module__ or "tqdm" in thread.name.lower()
    )


def _is_active(kind: str, item: object) -> bool:
    try:
        return bool(item.isRunning() if kind == "QThread" else item.isActive())  # type: ignore[attr-defined]
    except RuntimeError:  # the C++ object is gone
        return False


def _describe(item: object) -> str:
    try:
        return f"{item.objectName() or type(item).__name__} of {item.parent()!r}"  # type: ignore[attr-defined]
    except RuntimeError:
        return repr(item)
