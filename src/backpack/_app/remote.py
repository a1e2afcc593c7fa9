"""The application's handle of a stream or server in the streaming process."""

from __future__ import annotations

import logging
import threading
from concurrent import futures
from concurrent.futures import Future
from typing import TYPE_CHECKING

from backpack._app.notices import notify
from backpack._app.resource import new_id
from backpack._app.shared_supervisor import shared_supervisor
from backpack._ipc.messages import (
    Closed,
    Failed,
    FromOutput,
    Message,
    Opened,
    StreamReport,
)
from backpack.errors import (
    BackpackError,
    MissingDependencyError,
    ShortageError,
    StateError,
    error_from_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backpack._app.supervisor import Supervisor

logger = logging.getLogger("backpack._ipc")

OPEN_SECONDS = 10.0
"""How long opening waits for the streaming process; what takes longer goes on without it."""


class RemoteHandle:
    """
    A resource of the streaming process on behalf of a SpyGlass or a server.

    `open`, `send` and `close` may be called from any thread. The callbacks
    come on the supervisor's thread.

    A failure to open is reported once: raised by `open` if it waits, else
    passed to ``on_failed`` or ``on_lost``. The log does not repeat what the
    caller is about to catch.

    Args:
        opening: Gives the messages that open it anew, with descriptors that
            the receiver closes.
        on_opened: Takes what the streaming process says of the open thing.
        on_failed: Takes the reason why this thing cannot be opened, or has
            broken. The streaming process itself runs.
        on_lost: Called when the streaming process is not there: with the
            reason where none can run, with None where it is being restarted.
        on_report: Takes the numbers of a stream.
        on_word: Takes what an output of a stream has to say.

    """

    def __init__(
        self,
        *,
        opening: Callable[[int], Sequence[tuple[Message, Sequence[int]]]],
        on_opened: Callable[[Opened], None],
        on_failed: Callable[[BackpackError], None],
        on_lost: Callable[[BackpackError | None], None],
        on_report: Callable[[StreamReport], None] | None = None,
        on_word: Callable[[FromOutput], None] | None = None,
    ) -> None:
        self.id = new_id()
        self._opening = opening
        self._on_opened = on_opened
        self._on_failed = on_failed
        self._on_lost = on_lost
        self._on_report = on_report
        self._on_word = on_word
        # Guards those below.
        self._lock = threading.Lock()
        # How opening went: one of each life, from the end of the one before. Cancelled where
        # nobody waits for it any more.
        self._opened: Future[BackpackError | None] = Future()
        # Whether transient errors are raised, too.
        self._is_required = False
        # Done once it is closed; None while it is not being closed.
        self._closed: Future[None] | None = None

    # --- for any thread ------------------------------------------------------

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor of this process."""
        return shared_supervisor()

    def open(self, *, required: bool, timeout: float = OPEN_SECONDS) -> None:
        """
        Open it, and wait for the answer. After `close` it can be opened anew.

        Args:
            required: Whether to raise also where nothing can stream here, or
                nothing has answered in time. Otherwise the supervisor says so
                and goes on trying.
            timeout: Seconds to wait.

        Raises:
            BackpackError: What keeps it from opening.

        """
        opened, self._is_required = self._opened, required
        self.supervisor.open(self)
        try:
            error = opened.result(timeout)
        except futures.TimeoutError:
            error = self._time_out(opened, timeout)
        if error is not None and (required or not _is_transient(error)):
            raise error

    def _time_out(
        self, opened: Future[BackpackError | None], timeout: float
    ) -> BackpackError | None:
        if not opened.cancel():
            # The answer has come just now.
            return opened.result()
        error = StateError(f"The streaming process has not answered within {timeout:.0f} s.")
        if not self._is_required:
            notify(logger, logging.WARNING, f"{error} It is opened as soon as there is an answer.")
        return error

    def give_up(self) -> None:
        """Let an `open` that waits on another thread return, and the next one."""
        self._set_opened(StateError("It was stopped while it was being started."))

    @property
    def is_awaited(self) -> bool:
        """Whether an `open` waits for the answer, or is about to."""
        return not self._opened.done()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message if the streaming process is there; never waits."""
        self.supervisor.send(self, message, fds)

    def close(self, message: Message, timeout: float) -> bool:
        """Close it, and tell whether that was confirmed in time. It can be opened anew then."""
        closed: Future[None] = Future()
        with self._lock:
            self._closed = closed
        self.supervisor.close(self, message, then=self._set_closed)
        confirmed, _ = futures.wait([closed], timeout)
        self.supervisor.release(self)
        with self._lock:
            self._closed = None
            self._opened = Future()
        return bool(confirmed)

    # --- on the supervisor's thread ------------------------------------------

    def opening(self) -> Sequence[tuple[Message, Sequence[int]]]:
        """Return the messages that open it anew."""
        return self._opening(self.id)

    def handle(self, message: Opened | Failed | Closed | StreamReport | FromOutput) -> None:
        """Take an answer of the streaming process."""
        if isinstance(message, Opened):
            self._on_opened(message)
            self._set_opened(None)
        elif isinstance(message, Failed):
            error = error_from_name(message.error, message.message)
            if not self._raises(error):
                self._on_failed(error)
            self._set_opened(error)
        elif isinstance(message, Closed):
            self._set_closed()
        elif isinstance(message, FromOutput):
            if self._on_word is not None:
                self._on_word(message)
        elif self._on_report is not None:
            self._on_report(message)

    def on_worker_exit(self, error: BackpackError | None) -> None:
        """Called when the streaming process has gone."""
        if error is None:
            self._on_lost(None)
        else:
            if not self._raises(error):
                self.supervisor.complain(error)
                self._on_lost(error)
            self._set_opened(error)
        # Closing that was under way will not be confirmed.
        self._set_closed()

    def _raises(self, error: BackpackError) -> bool:
        """Return whether somebody waits for us whom the error will be raised to."""
        return self.is_awaited and (self._is_required or not _is_transient(error))

    def _set_opened(self, error: BackpackError | None) -> None:
        with self._lock:
            # The first answer counts: what opened and then broke has opened.
            if not self._opened.done():
                self._opened.set_result(error)

    def _set_closed(self) -> None:
        with self._lock:
            if self._closed is not None and not self._closed.done():
                self._closed.set_result(None)


def _is_transient(error: BackpackError) -> bool:
    """Return whether an error may pass by itself, unlike a mistake in what was asked."""
    return isinstance(error, (MissingDependencyError, ShortageError, StateError))
