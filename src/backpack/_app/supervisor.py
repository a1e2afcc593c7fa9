"""
Keep one streaming process running for as long as anybody needs it.

All SpyGlass objects and servers of an application share it. Each is a
*resource*: it knows the messages that open it, and they are sent again to every
streaming process that is started, so that after a crash everything is as it
was.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from backpack._app.crashes import Blame
from backpack._app.notices import notify
from backpack._app.vitals import Vitals
from backpack._ipc.channel import ChannelClosed
from backpack._ipc.child import StreamingProcess, describe_exit
from backpack._ipc.interpreter import clean_environment
from backpack._ipc.messages import (
    PROTOCOL_VERSION,
    Closed,
    Failed,
    FromOutput,
    Hello,
    Log,
    Message,
    Opened,
    Ready,
    StreamReport,
    Unavailable,
)
from backpack._ipc.pythons import Pythons
from backpack._lib.event_loop import Loop
from backpack._lib.shortage import find_shortage, shortage
from backpack._lib.timing import Backoff
from backpack.errors import BackpackError, MissingDependencyError, error_from_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backpack._app.resource import RemoteResource

logger = logging.getLogger("backpack._ipc")

IDLE_SECONDS = 5.0
"""How long the streaming process outlives its last resource: a restart costs half a second."""

FLUSH_SECONDS = 5.0
"""How long it may take to end."""

STABLE_SECONDS = 1.0
"""A streaming process that ran so long was no failed start."""


class Supervisor:
    """
    Start the streaming process, restart it with back-off, end it when idle.

    Everything here runs on its loop's thread, which lives while there are
    resources; the public methods may be called from any thread.
    """

    def __init__(self) -> None:
        self._loop = Loop("spyglass-supervisor", self._turn)
        # Set before the first start, then only read.
        self.gst_log_file: str | None = None
        self.gst_log_level: str | None = None
        # From here on the thread's alone; read by others for statistics.
        self._resources: dict[int, RemoteResource] = {}
        # Resources that are being closed, and not confirmed to be closed yet.
        self._leaving: set[int] = set()
        self._child: StreamingProcess | None = None
        self._is_ready = False
        self._ready_at = 0.0
        self._vitals: Vitals | None = None
        self._next_start = 0.0
        self._idle_since = 0.0
        self._backoff = Backoff(0.1, 5.0)
        self._pythons = Pythons()
        self._blame = Blame()
        self._unavailable: BackpackError | None = None
        # What was logged last of why nothing can stream.
        self._complaint = ""
        # What became of the last streaming process.
        self.loss = ""
        self.starts = 0

    # --- for any thread ------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The process id of the streaming process, None while there is none."""
        child = self._child
        return None if child is None else child.pid

    @property
    def is_silent(self) -> bool:
        """Whether the streaming process does not answer, and may be hung."""
        vitals = self._vitals
        return vitals is not None and vitals.is_silent

    def open(self, resource: RemoteResource) -> None:
        """Keep a resource open from now on."""
        self._loop.post(lambda: self._add(resource))

    def send(self, resource: RemoteResource, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message of an open resource, if the streaming process is there."""
        copies = [os.dup(fd) for fd in fds]
        self._loop.post(lambda: self._send(message, copies, to=resource))

    def close(
        self, resource: RemoteResource, message: Message, *, then: Callable[[], None]
    ) -> None:
        """
        Close a resource.

        `Closed`, or the loss of the streaming process, ends the remote;
        ``then`` is called on our thread, once, where there is nothing to wait for.
        """
        self._loop.post(lambda: self._send_close(resource, message, then))

    def later(self, call: Callable[[], None]) -> None:
        """Call on our thread: what may wait, as a log may, and must not hold up the caller."""
        self._loop.post(call)

    def release(self, resource: RemoteResource) -> None:
        """Forget a resource, whether it was closed or not."""
        self._loop.post(lambda: self._remove(resource.id))

    def shut_down(self, wait_seconds: float = FLUSH_SECONDS) -> None:
        """End the streaming process and the thread, whatever is open."""
        self._loop.finish(lambda: self._end_all(wait_seconds), wait_seconds + 1.0)

    def abandon(self) -> None:
        """Close what a forked copy of this object holds. Called in the forked child only."""
        if self._child is not None:
            self._child.abandon()
        self._loop.abandon()

    # --- on the supervisor's thread ------------------------------------------

    def complain(self, error: BackpackError) -> None:
        """Log why nothing can stream, once, where nobody is told by an exception."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            text = f"This process cannot stream and will go on trying: {error}"
            notify(logger, logging.WARNING, text)

    def _turn(self) -> float | None:
        self._keep_running(time.monotonic())
        if not self._resources and self._child is None:
            self._forget_pythons()
            return Loop.DONE
        return self._timeout(time.monotonic())

    def _keep_running(self, now: float) -> None:
        """Start, give up on, or end the streaming process, as it is time to."""
        if self._child is None or self._vitals is None:
            if self._resources and now >= self._next_start:
                self._start()
            return
        self._child.tell_left_out()
        if self._is_ready and not self._resources and now >= self._idle_since + IDLE_SECONDS:
            self._end_child(FLUSH_SECONDS)
            self._forget_pythons()
            return
        with contextlib.suppress(ChannelClosed):
            self._child.channel.flush()
        verdict = self._vitals.look()
        if verdict:
            self._lost(verdict)

    def _timeout(self, now: float) -> float | None:
        if self._child is None or self._vitals is None:
            return max(0.0, self._next_start - now)
        wait = self._vitals.wait_seconds()
        if self._is_ready and not self._resources:
            wait = min(wait, max(0.0, self._idle_since + IDLE_SECONDS - now))
        # What the socket did not take at once is tried again soon.
        return min(wait, 0.01) if self._child.channel.has_pending else wait

    def _add(self, resource: RemoteResource) -> None:
        self._resources[resource.id] = resource
        self._leaving.discard(resource.id)
        if self._is_ready:
            self._open(resource)
        elif self._unavailable is not None:
            resource.on_worker_exit(self._unavailable)

    def _remove(self, resource_id: int) -> None:
        self._leaving.discard(resource_id)
        self._blame.forget(resource_id)
        if self._resources.pop(resource_id, None) is not None and not self._resources:
            self._idle_since = time.monotonic()

    def _send_close(
        self, resource: RemoteResource, message: Message, then: Callable[[], None]
    ) -> None:
        is_open = resource.id in self._resources and self._is_ready
        if is_open:
            self._send(message)
        if is_open and not self.is_silent:
            self._leaving.add(resource.id)
            if self._vitals is not None:
                # Whoever waits for nothing is told so.
                self._vitals.ask_soon()
        else:
            self._remove(resource.id)
            then()

    def _open(self, resource: RemoteResource) -> None:
        try:
            for message, fds in resource.opening():
                self._send(message, fds)
        except Exception as error:
            logger.exception("A stream or server could not be described.")
            resource.handle(Failed(resource.id, "OutputError", str(error)))

    def _send(
        self, message: Message, fds: Sequence[int] = (), *, to: RemoteResource | None = None
    ) -> None:
        """Send a message if there is somebody to take it, and close its descriptors."""
        try:
            concerns_us = to is None or to.id in self._resources
            if self._child is not None and self._is_ready and concerns_us:
                self._child.channel.send(message, fds)
        except ChannelClosed:
            # Its end of file is on the way and is handled there.
            logger.debug("The streaming process has gone.")
        finally:
            for fd in fds:
                os.close(fd)

    # --- the streaming process -----------------------------------------------

    def _start(self) -> None:
        try:
            python = self._pythons.choose()
        except MissingDependencyError as error:
            self._cannot_run(error)
            return
        environment = clean_environment(GST_DEBUG_FILE=self.gst_log_file)
        try:
            child = StreamingProcess(python, environment)
        except OSError as error:
            self._try_next_python(
                f"The Python {python} cannot be started: {error}.", shortage(error)
            )
            return
        self._blame.start_anew()
        self._child = child
        self._is_ready = False
        self._vitals = Vitals(child)
        self.starts += 1
        logger.debug("Started the streaming process %d under %s.", child.pid, child.python)
        self._loop.watch(child.channel.fileno(), self._on_channel)
        self._loop.watch(child.stderr.fileno(), child.read_stderr)
        self._loop.watch(child.pulse.fileno(), self._vitals.hear_answer)
        with contextlib.suppress(ChannelClosed):
            child.channel.send(
                Hello(
                    PROTOCOL_VERSION,
                    os.getpid(),
                    logging.getLogger("backpack").getEffectiveLevel(),
                    self.gst_log_level,
                    self._blame.passed_over,
                )
            )

    def _on_channel(self) -> None:
        if self._child is None or self._vitals is None:
            return
        try:
            messages = self._child.channel.receive()
        except ChannelClosed:
            self._lost()
            return
        self._vitals.heard()
        for message, fds in messages:
            for fd in fds:
                os.close(fd)
            self._handle(message)

    def _handle(self, message: Message) -> None:
        if isinstance(message, (Opened, Failed, Closed, StreamReport, FromOutput)):
            self._handle_resources(message)
        elif isinstance(message, Log):
            logging.getLogger(message.name).log(message.level, "%s", message.text)
        elif isinstance(message, Unavailable):
            self._pythons.explain(error_from_name(message.error, message.message))
        elif isinstance(message, Ready):
            self._on_ready(message)

    def _handle_resources(
        self, message: Opened | Failed | Closed | StreamReport | FromOutput
    ) -> None:
        resource = self._resources.get(message.id)
        if resource is None:
            return
        if isinstance(message, StreamReport):
            self._blame.note(message.id, message.numbers.get("encoder"))
        elif isinstance(message, Closed):
            if message.id not in self._leaving:
                # It gave up waiting for this, and was opened anew since.
                return
            self._remove(message.id)
        resource.handle(message)

    def _on_ready(self, message: Ready) -> None:
        if self._child is None or self._vitals is None:
            return
        if message.version != PROTOCOL_VERSION:
            logger.error("The streaming process speaks version %d.", message.version)
            return
        self._is_ready = True
        self._vitals.started()
        self._ready_at = time.monotonic()
        self._unavailable = None
        self._complaint = ""
        self._pythons.prove(self._child.python)
        logger.debug("Streaming under Python %s, %s.", message.python, message.gstreamer)
        for resource in list(self._resources.values()):
            self._open(resource)

    def _lost(self, verdict: str = "") -> None:
        """
        Deal with a streaming process that has gone, or is as good as gone.

        Args:
            verdict: Why it is given up. Empty: it has gone.

        """
        child, was_ready = self._child, self._is_ready
        if child is None:
            return
        status = self._end_child(0.0 if verdict else 1.0)
        became = f"{verdict} and was ended" if verdict else describe_exit(status)
        short = find_shortage(child.last_words())
        if not was_ready and (short is not None or not self._pythons.can(child.python)):
            reason = child.last_words() or f"it {became}"
            self._try_next_python(
                f"Under the Python {child.python} the streaming process failed: {reason}.", short
            )
            return
        if was_ready and time.monotonic() - self._ready_at >= STABLE_SECONDS:
            self._backoff.reset()
        wait = self._backoff.next_wait()
        self._next_start = time.monotonic() + wait
        advice = f" {short}" if short is not None else ""
        self.loss = f"The streaming process {became}; it is being started again.{advice}"
        next_step = f"; starting it again in {wait:.1f} s" if self._resources else ""
        text = f"The streaming process {became}{next_step}.{advice} {child.last_words()}"
        logger.warning("%s", text.rstrip())
        for name in [] if short is not None else self._blame.judge(status):
            logger.warning("The encoder %s crashed repeatedly and is passed over now.", name)
        for resource in list(self._resources.values()):
            resource.on_worker_exit(None)

    def _try_next_python(self, reason: str, short: BackpackError | None) -> None:
        """Go on to the next candidate, or say that none can run, as where something is short."""
        logger.debug("%s", reason)
        error = short or self._pythons.give_up(reason)
        if error is None:
            self._next_start = 0.0
        else:
            self._cannot_run(error)

    def _forget_pythons(self) -> None:
        self._pythons.forget()
        self._unavailable = None
        self._complaint = ""
        self._next_start = 0.0

    def _cannot_run(self, error: BackpackError) -> None:
        self._unavailable = error
        self._next_start = time.monotonic() + max(1.0, self._backoff.next_wait())
        for resource in list(self._resources.values()):
            resource.on_worker_exit(error)

    def _end_child(self, wait_seconds: float) -> int:
        child = self._child
        if child is None:
            return 0
        for fd in (child.channel.fileno(), child.stderr.fileno(), child.pulse.fileno()):
            self._loop.unwatch(fd)
        status = child.end(wait_seconds)
        self._child = self._vitals = None
        self._is_ready = False
        return status

    def _end_all(self, wait_seconds: float) -> None:
        resources = list(self._resources.values())
        self._resources.clear()
        self._leaving.clear()
        self.loss = ""
        self._end_child(wait_seconds)
        self._forget_pythons()
        for resource in resources:
            resource.on_worker_exit(None)
