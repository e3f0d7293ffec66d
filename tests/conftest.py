"""Fixtures of the whole suite: offscreen Qt, private settings, and a check that a test leaves nothing running.

The suite runs in as many processes as the machine has room for (`-n auto`, which `./run test` asks for). Each of them
gets its share of the cores, its own temporary folder and, with the fixtures below, its own settings and caches.
"""

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
# On a build server a change must not fail for an example that has nothing to do with it: there the examples are the
# same in every run. On the machines of people they differ, and new faults are found.
hypothesis.settings.register_profile("server", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("server" if os.environ.get("CI") else "poseapp")

ROOT = Path(__file__).resolve().parent.parent
QUIET_SECONDS = 60.0
"""How long a test may take to become quiet on a machine that does other work. It costs nothing: the check ends as soon
as nothing runs any more."""
MEMORY_PER_PROCESS = 3 << 30
MAX_PROCESSES = 16


def pytest_configure(config: pytest.Config) -> None:
    # Before any Qt import. `POSEAPP_TEST_PLATFORM=xcb` runs the suite in real windows.
    os.environ["QT_QPA_PLATFORM"] = os.environ.get("POSEAPP_TEST_PLATFORM", "offscreen")
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    if not config.getoption("numprocesses", None):  # what starts other processes runs no test, and must decide nothing
        processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
        # torch and the libraries below numpy ask for it when they are loaded, and so do the processes of tests.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(2, _cores() // processes))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: a process a core, as far as there is memory for torch and a window in each."""
    return max(1, min(_cores(), _free_memory() // MEMORY_PER_PROCESS, MAX_PROCESSES))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _free_memory() -> int:
    try:
        import psutil
    except ImportError:
        return MEMORY_PER_PROCESS * MAX_PROCESSES
    return int(psutil.virtual_memory().available)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of the files listed in slow_files.txt are slow, as those marked so."""
    lines = (ROOT / "tests" / "slow_files.txt").read_text(encoding="utf-8").splitlines()
    slow_files = {ROOT / line for line in lines if line and not line.startswith("#")}
    for item in items:
        if item.path in slow_files:
            item.add_marker(pytest.mark.slow)


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


@pytest.fixture
def qtbot(qapp: object, request: pytest.FixtureRequest) -> object:
    """pytest-qt's, with more patience."""
    from tests.patient_bot import PatientBot

    return PatientBot(request)


@pytest.fixture(autouse=True)
def nothing_left_running(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that leaves a thread, an active timer or an open window behind, and say which."""
    threads_before = set(threading.enumerate())
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
    left = _wait_until_quiet(threads_before, started)
    assert not left, f"left running: {left}"


def _wait_until_quiet(threads_before: set[threading.Thread], started: list[tuple[str, object]]) -> list[str]:
    """Run the event loop until nothing is left, and return what still is when the time is over."""
    deadline = time.monotonic() + QUIET_SECONDS
    while True:
        left = [
            f"thread {thread.name}"
            for thread in threading.enumerate()
            if thread not in threads_before and thread.is_alive() and not _is_tool(thread)
        ]
        left += [f"{kind} {_describe(item)}" for kind, item in started if _is_active(kind, item)]
        left += _open_windows()
        if not left or time.monotonic() > deadline:
            return left
        _run_event_loop(20)


def _open_windows() -> list[str]:
    from PySide6.QtWidgets import QApplication

    if QApplication.instance() is None:
        return []
    return [f"window {_describe(widget)}" for widget in QApplication.topLevelWidgets() if widget.isVisible()]


def _run_event_loop(milliseconds: int) -> None:
    """Let short timers end, threads deliver what they have, and widgets that wait for their deletion go."""
    from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QTimer

    if QCoreApplication.instance() is None:
        time.sleep(milliseconds / 1000)
        return
    # Deferred deletions of a loop that has ended already are done by no later one.
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


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
