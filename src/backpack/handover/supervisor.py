"""
Keep one streaming process running for as long as anybody needs it.

All SpyGlass objects and servers of an application share it. Each is a
*tenant*: it knows the messages that open it, and they are sent again to every
streaming process that is started, so that after a crash everything is as it
was.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import itertools
import logging
import os
import selectors
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from backpack.errors import BackpackError, MissingDependencyError, error_from_name
from backpack.handover.backoff import Backoff
from backpack.handover.channel import ChannelClosed
from backpack.handover.child import StreamingProcess, describe_exit
from backpack.handover.interpreter import candidates, clean_environment
from backpack.handover.messages import (
    PROTOCOL_VERSION,
    Closed,
    Failed,
    Hello,
    Log,
    Message,
    Opened,
    Ready,
    StreamReport,
    Unavailable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Supervisor", "Tenant", "new_id", "shared_supervisor"]

logger = logging.getLogger("backpack.handover")

IDLE_SECONDS = 5.0
"""How long the streaming process outlives its last tenant: a restart costs half a second."""

START_SECONDS = 60.0
"""How long it may take to start: the first time GStreamer builds its registry."""

FLUSH_SECONDS = 5.0
"""How long it may take to end."""

STABLE_SECONDS = 1.0
"""A streaming process that ran so long was no failed start."""

_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
_CRASHES_FORGIVEN = 1

_DOCTOR = "`spyglass doctor` shows what is found and what is not."

_next_id = itertools.count(1)


def new_id() -> int:
    """Give a number that no other tenant of this process has."""
    return next(_next_id)


class Tenant(Protocol):
    """
    What the supervisor keeps open for somebody.

    All three methods are called on the supervisor's thread and must not wait.
    """

    id: int

    def opening(self) -> Sequence[tuple[Message, Sequence[int]]]:
        """Give the messages that open it anew; their descriptors become ours to close."""

    def handle(self, message: Opened | Failed | Closed | StreamReport) -> None:
        """Take a message that concerns this tenant."""

    def went_away(self, error: BackpackError | None) -> None:
        """Learn that the streaming process has gone; the error says why it cannot run."""


class Supervisor:
    """
    Start the streaming process, restart it with back-off, end it when idle.

    Its thread runs while there are tenants and owns all state but what the
    lock guards. Every public method may be called from any thread.
    """

    def __init__(self) -> None:
        # Guarded by the lock: what other threads hand to ours.
        self._lock = threading.Lock()
        self._commands: collections.deque[Callable[[], None]] = collections.deque()
        self._thread: threading.Thread | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        # Set before the first start, then only read.
        self.gst_log_file: str | None = None
        self.gst_log_level: str | None = None
        # From here on the thread's alone; read by others for statistics.
        self._tenants: dict[int, Tenant] = {}
        self._child: StreamingProcess | None = None
        self._is_ready = False
        self._ready_at = 0.0
        self._start_by = 0.0
        self._next_start = 0.0
        self._idle_since = 0.0
        self._backoff = Backoff(0.1, 5.0)
        self._pythons: list[str] = []
        self._unavailable: BackpackError | None = None
        # What kept the Pythons that were tried in this round from streaming.
        self._complaint: BackpackError | None = None
        # The Python that has streamed here: it can, whatever happens to it later.
        self._proven: str | None = None
        # Tenants that have said goodbye and are not confirmed yet.
        self._leaving: set[int] = set()
        # Encoders at work, by tenant, and how often each was in a crash.
        self._encoders: dict[int, str | None] = {}
        self._crashes: collections.Counter[str] = collections.Counter()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._on_wake)
        self.starts = 0

    # --- for any thread ------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """Give the process id of the streaming process, None while there is none."""
        child = self._child
        return None if child is None else child.pid

    def open(self, tenant: Tenant) -> None:
        """Keep a tenant open from now on."""
        self._post(lambda: self._add(tenant))

    def send(self, tenant: Tenant, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message of an open tenant, if the streaming process is there."""
        copies = [os.dup(fd) for fd in fds]
        self._post(lambda: self._send(message, copies, to=tenant))

    def close(self, tenant: Tenant, message: Message, *, then: Callable[[], None]) -> None:
        """
        Let a tenant go, and say goodbye for it.

        `Closed`, or the loss of the streaming process, ends the tenancy;
        ``then`` is called on our thread, once, where there is nothing to wait for.
        """
        self._post(lambda: self._goodbye(tenant, message, then))

    def later(self, call: Callable[[], None]) -> None:
        """Call on our thread: what may wait, as a log may, and must not hold up the caller."""
        self._post(call)

    def release(self, tenant: Tenant) -> None:
        """Forget a tenant, whether it said goodbye or not."""
        self._post(lambda: self._remove(tenant.id))

    def shut_down(self, wait_seconds: float = FLUSH_SECONDS) -> None:
        """End the streaming process and the thread, whatever is open."""
        with self._lock:
            thread = self._thread
            if thread is None:
                # Nothing runs, and at exit no thread can be started any more.
                return
            self._commands.append(lambda: self._end_all(wait_seconds))
        self._wake()
        thread.join(wait_seconds + 1.0)

    def abandon(self) -> None:
        """Close what a forked copy of this object holds. Called in the forked child only."""
        if self._child is not None:
            self._child.abandon()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _post(self, command: Callable[[], None]) -> None:
        with self._lock:
            self._commands.append(command)
            if self._thread is None:
                # Daemon: an application that forgets to stop must be able to
                # end. It is joined by `shut_down`, at exit at the latest.
                self._thread = threading.Thread(
                    target=self._run, name="spyglass-supervisor", daemon=True
                )
                self._thread.start()
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\1")

    # --- on the supervisor's thread ------------------------------------------

    def _run(self) -> None:
        while True:
            self._run_commands()
            now = time.monotonic()
            self._keep_running(now)
            if self._may_end():
                return
            try:
                for key, _ in self._selector.select(self._timeout(time.monotonic())):
                    key.data()
            except Exception:
                # This thread is all that keeps the streams of this process.
                logger.exception("What the streaming process said could not be followed.")

    def _on_wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _run_commands(self) -> None:
        while True:
            with self._lock:
                if not self._commands:
                    return
                command = self._commands.popleft()
            try:
                command()
            except Exception:
                # One tenant's fault must not take the streams of the others.
                logger.exception("A request to the streaming process failed.")

    def _may_end(self) -> bool:
        with self._lock:
            if self._commands or self._tenants or self._child is not None:
                return False
            self._forget_pythons()
            self._thread = None
            return True

    def _keep_running(self, now: float) -> None:
        """Start, give up on, or end the streaming process, as it is time to."""
        if self._child is None:
            if self._tenants and now >= self._next_start:
                self._start(now)
        elif not self._is_ready and now >= self._start_by:
            logger.warning("The streaming process did not start within %.0f s.", START_SECONDS)
            self._lost()
        elif not self._tenants and now >= self._idle_since + IDLE_SECONDS:
            self._end_child(FLUSH_SECONDS)
            self._forget_pythons()

    def _timeout(self, now: float) -> float | None:
        if self._child is None:
            return max(0.0, self._next_start - now) if self._tenants else None
        if not self._is_ready:
            return max(0.0, self._start_by - now)
        if not self._tenants:
            return max(0.0, self._idle_since + IDLE_SECONDS - now)
        # What the socket did not take at once is tried again soon.
        return 0.01 if self._child.channel.has_pending else None

    def _add(self, tenant: Tenant) -> None:
        self._tenants[tenant.id] = tenant
        self._leaving.discard(tenant.id)
        if self._is_ready:
            self._open(tenant)
        elif self._unavailable is not None:
            tenant.went_away(self._unavailable)

    def _remove(self, tenant_id: int) -> None:
        self._leaving.discard(tenant_id)
        self._encoders.pop(tenant_id, None)
        if self._tenants.pop(tenant_id, None) is not None and not self._tenants:
            self._idle_since = time.monotonic()

    def _goodbye(self, tenant: Tenant, message: Message, then: Callable[[], None]) -> None:
        if tenant.id in self._tenants and self._is_ready:
            self._leaving.add(tenant.id)
            self._send(message)
        else:
            self._remove(tenant.id)
            then()

    def _open(self, tenant: Tenant) -> None:
        try:
            for message, fds in tenant.opening():
                self._send(message, fds)
        except Exception as error:
            logger.exception("A stream or server could not be described.")
            tenant.handle(Failed(tenant.id, "OutputError", str(error)))

    def _send(self, message: Message, fds: Sequence[int] = (), *, to: Tenant | None = None) -> None:
        """Send a message if there is somebody to take it, and close its descriptors."""
        try:
            concerns_us = to is None or to.id in self._tenants
            if self._child is not None and self._is_ready and concerns_us:
                self._child.channel.send(message, fds)
        except ChannelClosed:
            # Its end of file is on the way and is handled there.
            logger.debug("The streaming process has gone.")
        finally:
            for fd in fds:
                os.close(fd)

    # --- the streaming process -----------------------------------------------

    def _start(self, now: float) -> None:
        if not self._pythons:
            self._pythons = candidates()
            self._complaint = None
        if not self._pythons:
            self._cannot_run(
                MissingDependencyError(
                    "No Python was found to run the streaming process. Install the system's "
                    "python3 with python3-gi and python3-gst-1.0, or set BACKPACK_PYTHON to a "
                    f"Python that has `gi`. {_DOCTOR}"
                )
            )
            return
        environment = clean_environment(GST_DEBUG_FILE=self.gst_log_file)
        try:
            child = StreamingProcess(self._pythons[0], environment)
        except OSError as error:
            self._try_next_python(f"The Python {self._pythons[0]} cannot be started: {error}.")
            return
        self._child = child
        self._is_ready = False
        self._start_by = now + START_SECONDS
        self.starts += 1
        logger.debug("Started the streaming process %d under %s.", child.pid, child.python)
        self._selector.register(child.channel.fileno(), selectors.EVENT_READ, self._on_channel)
        self._selector.register(child.stderr.fileno(), selectors.EVENT_READ, self._on_stderr)
        with contextlib.suppress(ChannelClosed):
            child.channel.send(
                Hello(
                    PROTOCOL_VERSION,
                    os.getpid(),
                    logging.getLogger("backpack").getEffectiveLevel(),
                    self.gst_log_level,
                    [name for name, n in self._crashes.items() if n > _CRASHES_FORGIVEN],
                )
            )

    def _on_channel(self) -> None:
        if self._child is None:
            return
        try:
            messages = self._child.channel.receive()
        except ChannelClosed:
            self._lost()
            return
        for message, fds in messages:
            for fd in fds:
                os.close(fd)
            self._handle(message)

    def _on_stderr(self) -> None:
        child = self._child
        if child is None:
            return
        lines = child.read_stderr()
        if lines is None:
            self._selector.unregister(child.stderr.fileno())
            return
        for line in lines:
            logger.info("streaming process: %s", line)

    def _handle(self, message: Message) -> None:
        if isinstance(message, (Opened, Failed, Closed, StreamReport)):
            self._handle_tenants(message)
        elif isinstance(message, Log):
            logging.getLogger(message.name).log(message.level, "%s", message.text)
        elif isinstance(message, Unavailable):
            self._complaint = error_from_name(message.error, message.message)
        elif isinstance(message, Ready):
            self._on_ready(message)

    def _handle_tenants(self, message: Opened | Failed | Closed | StreamReport) -> None:
        tenant = self._tenants.get(message.id)
        if tenant is None:
            return
        if isinstance(message, StreamReport):
            self._encoders[message.id] = message.numbers.get("encoder")
        elif isinstance(message, Closed):
            if message.id not in self._leaving:
                # It gave up waiting for this, and was opened anew since.
                return
            self._remove(message.id)
        tenant.handle(message)

    def _on_ready(self, message: Ready) -> None:
        if message.version != PROTOCOL_VERSION:
            logger.error("The streaming process speaks version %d.", message.version)
            return
        self._is_ready = True
        self._ready_at = time.monotonic()
        self._unavailable = None
        self._proven = self._child.python if self._child is not None else None
        logger.debug("Streaming under Python %s, %s.", message.python, message.gstreamer)
        for tenant in list(self._tenants.values()):
            self._open(tenant)

    def _lost(self) -> None:
        """Deal with a streaming process that has gone, or is as good as gone."""
        child, was_ready = self._child, self._is_ready
        if child is None:
            return
        encoders = {name for name in self._encoders.values() if name is not None}
        status = self._end_child(1.0)
        if not was_ready and child.python != self._proven:
            reason = child.last_words() or f"it {describe_exit(status)}"
            self._try_next_python(
                f"Under the Python {child.python} the streaming process failed: {reason}."
            )
            return
        if was_ready and time.monotonic() - self._ready_at >= STABLE_SECONDS:
            self._backoff.reset()
        wait = self._backoff.next_wait()
        self._next_start = time.monotonic() + wait
        logger.warning(
            "The streaming process %s; starting it again in %.1f s. %s",
            describe_exit(status),
            wait,
            child.last_words(),
        )
        if -status in _CRASHES:
            for name in encoders:
                self._blame(name)
        for tenant in list(self._tenants.values()):
            tenant.went_away(None)

    def _blame(self, encoder: str) -> None:
        self._crashes[encoder] += 1
        if self._crashes[encoder] == _CRASHES_FORGIVEN + 1:
            logger.warning("The encoder %s crashed repeatedly and is passed over now.", encoder)

    def _try_next_python(self, reason: str) -> None:
        """Go on to the next candidate, or say that none can run."""
        logger.debug("%s", reason)
        error = self._complaint = self._complaint or MissingDependencyError(
            f"{reason} Streaming runs under a Python that has PyGObject and GStreamer, on Debian "
            "and Ubuntu the system's: sudo apt install python3-gi python3-gst-1.0. Where "
            f"BACKPACK_PYTHON is set it must name such a Python. {_DOCTOR}"
        )
        del self._pythons[:1]
        if self._pythons:
            self._next_start = 0.0
        else:
            self._cannot_run(error)

    def _forget_pythons(self) -> None:
        """Choose anew next time: something may have been installed, or BACKPACK_PYTHON set."""
        self._pythons.clear()
        self._proven = self._unavailable = None
        self._next_start = 0.0

    def _cannot_run(self, error: BackpackError) -> None:
        if self._unavailable is None or str(self._unavailable) != str(error):
            logger.warning("SpyGlass cannot stream and will go on trying: %s", error)
        self._unavailable = error
        self._next_start = time.monotonic() + max(1.0, self._backoff.next_wait())
        for tenant in list(self._tenants.values()):
            tenant.went_away(error)

    def _end_child(self, wait_seconds: float) -> int:
        child = self._child
        if child is None:
            return 0
        for fd in (child.channel.fileno(), child.stderr.fileno()):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(fd)
        status = child.end(wait_seconds)
        self._child = None
        self._is_ready = False
        self._encoders.clear()
        return status

    def _end_all(self, wait_seconds: float) -> None:
        tenants = list(self._tenants.values())
        self._tenants.clear()
        self._leaving.clear()
        self._end_child(wait_seconds)
        self._forget_pythons()
        for tenant in tenants:
            tenant.went_away(None)


_shared: Supervisor | None = None
_shared_lock = threading.Lock()


def shared_supervisor() -> Supervisor:
    """Give the supervisor of this process; a forked child gets one of its own."""
    global _shared  # noqa: PLW0603 - one a process is the point
    with _shared_lock:
        if _shared is None:
            _shared = Supervisor()
        return _shared


def _at_exit() -> None:
    if _shared is not None:
        _shared.shut_down()


def _after_fork_in_child() -> None:
    global _shared, _shared_lock
    abandoned: Any = _shared
    _shared, _shared_lock = None, threading.Lock()
    if abandoned is not None:
        abandoned.abandon()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
