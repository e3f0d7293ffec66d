"""No exception leaves a method that Qt calls: C++ cannot handle one, and a list whose model raises ends the program.

``@guarded`` on a class wraps every method of it that overrides one of Qt's. An error of the user's data is logged and
told once; any other exception goes to ``sys.excepthook``, as if nobody had caught it. In both cases Qt gets a neutral
answer: no text, no rows, nothing painted.
"""

from __future__ import annotations

import functools
import logging
import sys
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import shiboken6
from PySide6.QtCore import QModelIndex, QObject, QSize, Qt, Signal

from engine.errors import PoseError

log = logging.getLogger(__name__)

Class = TypeVar("Class", bound=type)

NEUTRAL: dict[str, Callable[[], Any]] = {
    # models
    "data": lambda: None,
    "setData": lambda: False,
    "headerData": lambda: None,
    "rowCount": lambda: 0,
    "columnCount": lambda: 0,
    "hasChildren": lambda: False,
    "index": QModelIndex,
    "parent": QModelIndex,
    "flags": lambda: Qt.ItemFlag.NoItemFlags,
    "filterAcceptsRow": lambda: False,
    "lessThan": lambda: False,
    # painting
    "paint": lambda: None,
    "drawBackground": lambda: None,
    "drawForeground": lambda: None,
    "sizeHint": QSize,
    "minimumSizeHint": QSize,
    # events; all that end in "Event" are added by guarded()
    "event": lambda: False,
    "eventFilter": lambda: False,
    "viewportEvent": lambda: False,
}
"""What Qt is answered, by the name of the method."""

_reported: set[tuple[str, str]] = set()


class Faults(QObject):
    """Tells the window what cannot be shown.

    Signals:
        told(str): a sentence for the user; once for each place and reason, after Qt's call has ended.
    """

    told = Signal(str)
    _noted = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._noted.connect(self.told, Qt.ConnectionType.QueuedConnection)
        _listening.add(self)

    def note(self, text: str) -> None:
        """May be called while Qt paints."""
        if shiboken6.isValid(self):
            self._noted.emit(text)

    def forget(self) -> None:
        """Another project is shown: its faults are told anew."""
        _reported.clear()


_listening: weakref.WeakSet[Faults] = weakref.WeakSet()


def is_qt_method(name: str) -> bool:
    """Whether a method of this name overrides one that Qt calls."""
    return name in NEUTRAL or (name.endswith("Event") and not name.startswith("_"))


def guarded(cls: Class) -> Class:
    """Wrap the methods of a class that Qt calls."""
    for name, method in list(vars(cls).items()):
        if is_qt_method(name) and callable(method):
            setattr(cls, name, _wrapped(cls.__qualname__, name, method))
    return cls


def _wrapped(owner: str, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    neutral = NEUTRAL.get(name, lambda: None)

    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return method(*arguments, **options)
        except PoseError as error:
            _report(f"{owner}.{name}", error)
        except Exception:
            sys.excepthook(*sys.exc_info())
        return neutral()

    call.is_guarded = True  # type: ignore[attr-defined]
    return call


def _report(method: str, error: PoseError) -> None:
    key = (method, str(error))
    if key in _reported:
        return
    _reported.add(key)
    log.warning("%s cannot show: %s", method, error)
    for listener in list(_listening):
        listener.note(str(error))
