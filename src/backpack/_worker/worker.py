"""The main loop of the streaming process, with all its servers and streams."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from backpack._gst.gi import GLib, Gst
from backpack._gst.main_loop import call_soon, watch, when_all_done
from backpack._ipc.channel import Channel, ChannelClosed
from backpack._ipc.messages import (
    AttachRing,
    Closed,
    CloseServer,
    CloseStream,
    Failed,
    Hello,
    Message,
    Opened,
    OpenServer,
    OpenStream,
    Shutdown,
    ToOutput,
)
from backpack._ipc.ring import RingReader
from backpack._ipc.settings import StreamSettings
from backpack._lib.shortage import shortage
from backpack._worker.governor import Governor, time_on_cpu
from backpack._worker.servers import WorkerServers
from backpack._worker.stream import WorkerStream, as_failure
from backpack.errors import BackpackError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_REPORT_MS = 1000
_LAST_FRAME_SECONDS = 0.2
FLUSH_SECONDS = 5.0
"""How long outputs may deliver what they have when the application has gone."""
LONGEST_FLUSH_SECONDS = 30.0
"""The same, while they get somewhere."""


class Worker:
    """
    Do what the application asks for, on GLib's main loop.

    Everything here runs on the main thread; what other threads have to say
    comes by `GLib.idle_add`.

    Args:
        channel: Our end of the control channel.
        on_ending: Called when the end begins, and when it is to take longer:
            with the seconds after which whatever hangs is not waited for.
        on_app_exit: Called when the application has gone without closing what it had open.

    """

    def __init__(
        self,
        channel: Channel,
        *,
        on_ending: Callable[[float], None],
        on_app_exit: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._on_ending = on_ending
        self._on_app_exit = on_app_exit
        self._is_ending = False
        # Whether an output delivers meanwhile, which may take longer.
        self._is_flushing = False
        self._loop = GLib.MainLoop()
        self._servers = WorkerServers(self._on_servers_changed)
        self._streams: dict[int, WorkerStream] = {}
        self._passed_over: set[str] = set()
        self._governor = Governor()
        # Sources of the main loop; 0: none.
        self._report_timer = 0
        self._flush_timer = 0
        self._handlers: dict[type[Message], Callable[[Any, list[int]], None]] = {
            Hello: self._on_hello,
            OpenServer: self._on_open_server,
            CloseServer: self._on_close_server,
            OpenStream: self._on_open_stream,
            AttachRing: self._on_attach_ring,
            CloseStream: self._on_close_stream,
            ToOutput: self._on_to_output,
            Shutdown: self._on_shutdown,
        }

    def run(self) -> None:
        """Serve until the application ends it, or has gone, and all is delivered."""
        watch(self._channel.fileno(), self._on_readable)
        self._loop.run()

    def _end(self, *, app_has_gone: bool) -> None:
        """Begin to end. Idempotent."""
        if app_has_gone:
            self._on_app_exit()
            for stream in self._streams.values():
                stream.on_app_exit()
        if self._is_ending:
            return
        self._is_ending = True
        self._on_ending(FLUSH_SECONDS)
        longest_seconds = LONGEST_FLUSH_SECONDS if app_has_gone else 0.0
        for stream in list(self._streams.values()):
            stream.close(_LAST_FRAME_SECONDS, FLUSH_SECONDS, longest_seconds=longest_seconds)
        self._end_when_empty()

    def _end_when_empty(self) -> None:
        if self._is_ending and not self._streams:
            when_all_done(self._servers.close(), self._loop.quit)

    # --- the channel -----------------------------------------------------------

    def _on_readable(self, _fd: int, _condition: GLib.IOCondition) -> bool:
        try:
            messages = self._channel.receive()
        except ChannelClosed:
            self._end(app_has_gone=True)
            return GLib.SOURCE_REMOVE
        for message, fds in messages:
            handler = self._handlers.get(type(message))
            if handler is None:
                logger.error("%s is no message for us.", type(message).__name__)
                continue
            try:
                handler(message, fds)
            except Exception as error:
                # One order's fault must not take the channel along.
                short = shortage(error)
                if short is not None and hasattr(message, "id"):
                    self._on_failed(message.id, short)
                    continue
                logger.exception("%s could not be followed.", type(message).__name__)
        return GLib.SOURCE_CONTINUE

    def say(self, message: Message) -> None:
        """Send a message. Any thread."""
        # Where nobody is left to read it, whoever reads from him notices.
        with contextlib.suppress(ChannelClosed):
            self._channel.send(message)
        if self._channel.has_pending:
            call_soon(self._flush_soon)

    def _flush_soon(self) -> None:
        if not self._flush_timer:
            self._flush_timer = GLib.timeout_add(10, self._flush)

    def _flush(self) -> bool:
        with contextlib.suppress(ChannelClosed):
            self._channel.flush()
            if self._channel.has_pending:
                return GLib.SOURCE_CONTINUE
        self._flush_timer = 0
        return GLib.SOURCE_REMOVE

    # --- orders ----------------------------------------------------------------

    def _on_hello(self, hello: Hello, _: list[int]) -> None:
        logging.getLogger("backpack").setLevel(hello.log_level)
        self._passed_over.update(hello.passed_over)
        if hello.gst_log_level is not None:
            Gst.debug_set_active(True)  # noqa: FBT003 - GStreamer's own call
            Gst.debug_set_threshold_from_string(hello.gst_log_level, True)  # noqa: FBT003
        self._watch_parent(hello.parent_pid)

    def _watch_parent(self, pid: int) -> None:
        """
        End with the application even where the channel does not.

        A process that it has forked holds a copy of the channel's other end.
        """
        if not hasattr(os, "pidfd_open"):
            return
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self._end(app_has_gone=True)
            return
        except OSError:
            return
        watch(fd, self._on_parent_gone)

    def _on_parent_gone(self, fd: int, _condition: GLib.IOCondition) -> bool:
        os.close(fd)
        self._end(app_has_gone=True)
        return GLib.SOURCE_REMOVE

    def _on_shutdown(self, _message: Shutdown, _: list[int]) -> None:
        self._end(app_has_gone=False)

    def _on_open_server(self, order: OpenServer, _: list[int]) -> None:
        self._servers.open(order, self._on_server_open, self._on_failed)

    def _on_server_open(self, number: int, port: int) -> None:
        self.say(Opened(number, {"port": port}))

    def _on_failed(self, number: int, error: BackpackError) -> None:
        self.say(Failed(number, type(error).__name__, str(error)))

    def _on_close_server(self, order: CloseServer, _: list[int]) -> None:
        closing = self._servers.close_server(order.id)
        when_all_done([closing], lambda: self.say(Closed(order.id)))

    def _on_open_stream(self, order: OpenStream, _: list[int]) -> None:
        try:
            settings = StreamSettings(**order.settings)
        except (BackpackError, TypeError) as error:
            self._on_failed(order.id, SettingsError(str(error)))
            return
        try:
            stream = WorkerStream(
                order,
                settings,
                passed_over=self._passed_over,
                say=self.say,
                on_stats_changed=self.report_soon,
                on_closed=self._on_stream_closed,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing streams
            self._on_failed(order.id, as_failure(error))
            return
        self._streams[order.id] = stream
        stream.open(order.outputs, self._servers)

    def _on_attach_ring(self, order: AttachRing, fds: list[int]) -> None:
        stream = self._streams.get(order.id)
        if stream is None or len(fds) != 2:  # noqa: PLR2004 - memory and wake pipe
            for fd in fds:
                os.close(fd)
            return
        stream.attach_ring(RingReader(*fds))

    def _on_to_output(self, order: ToOutput, _: list[int]) -> None:
        stream = self._streams.get(order.id)
        if stream is not None:
            stream.on_message(order.output, order.body)

    def _on_close_stream(self, order: CloseStream, _: list[int]) -> None:
        stream = self._streams.get(order.id)
        if stream is None:
            self.say(Closed(order.id))
            return
        stream.close(order.seconds, order.deliver_seconds)

    def _on_stream_closed(self, number: int) -> None:
        del self._streams[number]
        self.say(Closed(number))
        self._end_when_empty()

    # --- reports ---------------------------------------------------------------

    def report_soon(self, number: int) -> None:
        """Have a stream looked at, and its numbers reported, soon. Any thread."""
        call_soon(self._on_stats_changed, number)

    def _on_stats_changed(self, number: int) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.step()
        if self._is_ending and not self._is_flushing and stream.is_delivering:
            self._is_flushing = True
            self._on_ending(LONGEST_FLUSH_SECONDS)
        if stream.is_watched and not self._report_timer:
            # Runs only while somebody watches: an idle process never wakes up.
            self._report_timer = GLib.timeout_add(_REPORT_MS, self._report_all)

    def _on_servers_changed(self) -> None:
        for number in list(self._streams):
            self._on_stats_changed(number)

    def _report_all(self) -> bool:
        watched = [stream for stream in self._streams.values() if stream.is_watched]
        for stream in watched:
            stream.report()
        if watched:
            self._govern()
        else:
            self._report_timer = 0
            self._governor.forget()
            self._ask_for(0)
        return bool(watched)

    def _govern(self) -> None:
        times = time_on_cpu()
        if times is not None:
            self._ask_for(self._governor.sample(time.monotonic_ns(), *times))

    def _ask_for(self, interval_ns: int) -> None:
        for stream in self._streams.values():
            stream.ask_for(interval_ns)
