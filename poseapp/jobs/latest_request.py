"""A worker thread for requests of which only the newest is of interest, with results in the UI thread.

Views ask for more than can be read while somebody scrubs, scrolls or types. So each request has a name, and of the
requests with one name only the newest counts: an older one that still waits is dropped, one that runs is told to stop,
and its result is not delivered.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from PySide6.QtCore import QObject, Qt, Signal, Slot

from engine.errors import Cancelled, PoseError

log = logging.getLogger(__name__)

Resource = TypeVar("Resource")

_INTERRUPT_SECONDS = 0.05


@dataclass(eq=False)
class Request(Generic[Resource]):
    """One piece of work. What it works with is given to ``work``, together with the request itself.

    Attributes:
        name: a newer request of this name replaces it.
        work: runs in the worker's thread. It may raise Cancelled when :meth:`is_cancelled` says so; if it does without,
            the request is put back and runs again.
        on_result, on_part, on_error: called in the UI thread, unless the request was cancelled meanwhile.
    """

    name: Hashable
    work: Callable[[Resource, Request[Resource]], Any]
    on_result: Callable[[Any], None]
    on_error: Callable[[Exception], None] | None
    on_part: Callable[[Any], None] | None
    _send: Callable[[Request[Resource], str, Any], None]
    cancelled: bool = False

    def is_cancelled(self) -> bool:
        """Whether the result is of no interest any more."""
        return self.cancelled

    def send(self, part: Any) -> None:
        """In the worker's thread: deliver something before the result."""
        if not self.cancelled:
            self._send(self, "part", part)


class LatestRequestWorker(QObject, Generic[Resource]):
    """One thread, started by the first request. All methods belong to the UI thread.

    Args:
        name: of the thread, "poseapp-" is put before it.
        open_resource: makes what the work needs (a reader, a connection), in the worker's thread before the first
            request; it is closed there by :meth:`release` and :meth:`stop`. What it raises is the error of the request.
        interrupt: makes work that is blocked in the resource return soon; called from the UI thread.
        seconds_to_wait: how long the next request should wait; asked in the worker's thread before each.
        newest_first: serve the request that was made last first; else they are served in turn.
        max_waiting: beyond so many waiting requests the oldest is dropped; 0 = no limit.
    """

    _delivered = Signal(object, str, object)

    def __init__(
        self,
        name: str,
        open_resource: Callable[[], AbstractContextManager[Resource]] = contextlib.nullcontext,  # type: ignore[assignment]
        parent: QObject | None = None,
        *,
        interrupt: Callable[[Resource], None] | None = None,
        seconds_to_wait: Callable[[Hashable], float] | None = None,
        newest_first: bool = False,
        max_waiting: int = 0,
    ) -> None:
        super().__init__(parent)
        self._name = f"poseapp-{name}"
        self._open_resource = open_resource
        self._interrupt = interrupt
        self._seconds_to_wait = seconds_to_wait
        self._newest_first, self._max_waiting = newest_first, max_waiting
        self._pending: dict[Hashable, Request[Resource]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False
        # Shared with the thread, guarded by the condition:
        self._wake = threading.Condition()
        self._waiting: OrderedDict[Hashable, Request[Resource]] = OrderedDict()
        self._running: Request[Resource] | None = None
        self._resource: Resource | None = None
        self._is_open = False
        self._releasing = self._ending = False
        self._delivered.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    def request(
        self,
        name: Hashable,
        work: Callable[[Resource, Request[Resource]], Any],
        on_result: Callable[[Any], None],
        *,
        on_error: Callable[[Exception], None] | None = None,
        on_part: Callable[[Any], None] | None = None,
    ) -> None:
        """Run ``work`` in the thread and give what it returns to ``on_result``; replaces a request of the same name.

        Args:
            on_error: gets what ``work`` raised; without it, that is only logged.
            on_part: gets what ``work`` sends on the way.
        """
        if self._is_closed:
            return
        with self._wake:
            self._cancel(name)
            request = Request(name, work, on_result, on_error, on_part, self._delivered.emit)
            self._pending[name] = self._waiting[name] = request
            if self._max_waiting and len(self._waiting) > self._max_waiting:
                self._cancel(next(iter(self._waiting)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
                self._thread.start()
            self._wake.notify()

    def is_pending(self, name: Hashable) -> bool:
        """Whether a request of this name waits, runs, or is about to be delivered."""
        return name in self._pending

    def forget(self, name: Hashable) -> None:
        """The result of this request is of no interest any more."""
        with self._wake:
            self._cancel(name)

    def forget_all(self, *, but: Collection[Hashable] = ()) -> None:
        """Forget every request, except those of these names."""
        with self._wake:
            for name in [name for name in self._pending if name not in but]:
                self._cancel(name)

    def release(self) -> None:
        """Forget every request and close the resource, in the thread and soon; the next request opens it anew."""
        with self._wake:
            self.forget_all()
            self._releasing = True
            self._wake.notify()

    def close(self) -> None:
        """As :meth:`stop`, for good: later requests are ignored."""
        self.stop()
        self._is_closed = True

    def stop(self) -> None:
        """Forget every request, end the thread and wait for it. The next request starts a new one."""
        with self._wake:
            self.forget_all()
            self._ending = True
            self._wake.notify()
        thread, self._thread = self._thread, None
        while thread is not None and thread.is_alive():
            with self._wake:
                self._interrupt_work()  # each time: the work may enter the resource more than once
            thread.join(None if self._interrupt is None else _INTERRUPT_SECONDS)
        self._releasing = self._ending = False

    def _cancel(self, name: Hashable) -> None:
        """The lock is held."""
        self._waiting.pop(name, None)
        request = self._pending.pop(name, None)
        if request is not None:
            request.cancelled = True
        if self._running is not None and self._running.name == name and self._running.cancelled:
            self._interrupt_work()  # also one that was cancelled before: it may not have entered the resource then

    def _interrupt_work(self) -> None:
        """The lock is held."""
        if self._interrupt is not None and self._resource is not None and self._running is not None:
            self._interrupt(self._resource)

    @Slot(object, str, object)
    def _deliver(self, request: Request[Resource], what: str, value: Any) -> None:
        if request.cancelled:
            return
        if what == "part":
            if request.on_part is not None:
                request.on_part(value)
            return
        self._pending.pop(request.name, None)
        if what == "result":
            request.on_result(value)
        elif request.on_error is not None:
            request.on_error(value)

    # --- in the worker's thread

    def _serve(self) -> None:
        with ExitStack() as resources:
            while True:
                request = self._next()
                if request is not None:
                    self._run(request, resources)
                else:
                    with self._wake:
                        self._resource, self._is_open = None, False
                        is_ending = self._ending
                    resources.close()
                    if is_ending:
                        return
                del request  # its result may be large; an idle worker must not keep it

    def _next(self) -> Request[Resource] | None:
        """The next request, when there is one; None when the resource is to be closed."""
        with self._wake:
            self._running = None
            while not (self._ending or self._releasing):
                if not self._waiting:
                    self._wake.wait()
                    continue
                name = next(reversed(self._waiting)) if self._newest_first else next(iter(self._waiting))
                seconds = 0.0 if self._seconds_to_wait is None else self._seconds_to_wait(name)
                if seconds <= 0:
                    self._running = self._waiting.pop(name)
                    return self._running
                self._wake.wait(seconds)
            self._releasing = False
            return None

    def _run(self, request: Request[Resource], resources: ExitStack) -> None:
        try:
            if not self._is_open:
                resource = resources.enter_context(self._open_resource())
                with self._wake:
                    self._resource, self._is_open = resource, True
            result = request.work(self._resource, request)  # type: ignore[arg-type]
        except Cancelled:
            with self._wake:
                if not (request.cancelled or self._ending):
                    self._waiting[request.name] = request
        except Exception as error:  # the worker must outlive any work
            if not isinstance(error, PoseError | OSError):
                log.exception("a request of %s failed", self._name)
            elif request.on_error is None:
                log.info("a request of %s failed: %s", self._name, error)
            self._delivered.emit(request, "error", error)
        else:
            self._delivered.emit(request, "result", result)
