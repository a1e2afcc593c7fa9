"""Hold all servers and streams of the streaming process, on its main loop."""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

from backpack.errors import BackpackError, SettingsError
from backpack.gst.gi import GLib, Gst
from backpack.handover.channel import Channel, ChannelClosed
from backpack.handover.messages import (
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
    StreamReport,
)
from backpack.handover.ring import RingReader
from backpack.settings import StreamSettings
from backpack.streamer.governor import Governor, time_on_cpu
from backpack.streamer.outputs import OpenOutput, ServerBoard, open_outputs
from backpack.streamer.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Streamer"]

logger = logging.getLogger(__name__)

_REPORT_MS = 1000
_FINISH_POLL_MS = 5
_READABLE = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR


class _Lodger:
    """A stream, its outputs, and what the application was told of it. Main thread's."""

    def __init__(self, stream: Stream, outputs: list[OpenOutput]) -> None:
        self.stream = stream
        self.outputs = outputs
        # Whether it ends: its outputs could not be opened, or it was said goodbye.
        self.is_leaving = False

    def numbers(self) -> dict[str, Any]:
        """Give everything that is counted, under the names of `Stats`."""
        return {
            **self.stream.numbers(),
            "viewers": sum(output.viewers for output in self.outputs),
            "lost": sum(output.lost for output in self.outputs),
        }


class Streamer:
    """
    Do what the application asks for, on GLib's main loop.

    Everything here runs on the main thread; what other threads have to say
    comes by `GLib.idle_add`.

    Args:
        channel: Our end of the control channel.

    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._loop = GLib.MainLoop()
        self._board = ServerBoard()
        self._lodgers: dict[int, _Lodger] = {}
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
            Shutdown: self._on_shutdown,
        }

    def run(self) -> None:
        """Serve until the application says goodbye, or has gone."""
        watch(self._channel.fileno(), _READABLE, self._on_readable)
        self._loop.run()

    def close(self) -> None:
        """Close whatever is open, what was put first."""
        for lodger in self._lodgers.values():
            lodger.stream.finish(0.2)
        for number in list(self._lodgers):
            self._close_stream(number)
        self._board.close()

    # --- the channel -----------------------------------------------------------

    def _on_readable(self, _fd: int, _condition: GLib.IOCondition) -> bool:
        try:
            messages = self._channel.receive()
        except ChannelClosed:
            self._loop.quit()
            return GLib.SOURCE_REMOVE
        for message, fds in messages:
            handler = self._handlers.get(type(message))
            if handler is None:
                logger.error("%s is no message for us.", type(message).__name__)
                continue
            try:
                handler(message, fds)
            except Exception:
                # One order's fault must not take the channel along.
                logger.exception("%s could not be followed.", type(message).__name__)
        return GLib.SOURCE_CONTINUE

    def _say(self, message: Message) -> None:
        try:
            self._channel.send(message)
        except ChannelClosed:
            self._loop.quit()
        if self._channel.has_pending and not self._flush_timer:
            self._flush_timer = GLib.timeout_add(10, self._flush)

    def _flush(self) -> bool:
        try:
            self._channel.flush()
        except ChannelClosed:
            self._loop.quit()
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
            self._loop.quit()
            return
        except OSError:
            return
        watch(fd, GLib.IOCondition.IN, self._on_parent_gone)

    def _on_parent_gone(self, fd: int, _condition: GLib.IOCondition) -> bool:
        os.close(fd)
        self._loop.quit()
        return GLib.SOURCE_REMOVE

    def _on_shutdown(self, _message: Shutdown, _: list[int]) -> None:
        self._loop.quit()

    def _on_open_server(self, order: OpenServer, _: list[int]) -> None:
        self._board.open(order, on_open=self._on_server_open, on_failed=self._on_failed)

    def _on_server_open(self, number: int, port: int) -> None:
        self._say(Opened(number, {"port": port}))

    def _on_failed(self, number: int, error: BackpackError) -> None:
        self._say(Failed(number, type(error).__name__, str(error)))

    def _on_close_server(self, order: CloseServer, _: list[int]) -> None:
        self._board.close_server(order.id)
        self._say(Closed(order.id))

    def _on_open_stream(self, order: OpenStream, _: list[int]) -> None:
        number = order.id
        try:
            settings = StreamSettings(**order.settings)
        except (BackpackError, TypeError) as error:
            self._on_failed(number, SettingsError(str(error)))
            return
        stream = Stream(
            settings,
            passed_over=self._passed_over,
            on_ready=lambda error: _later(self._on_stream_ready, number, error),
            on_news=lambda: _later(self._on_news, number),
        )
        self._lodgers[number] = lodger = _Lodger(stream, [])
        try:
            lodger.outputs = open_outputs(order.outputs, stream.hub, self._board)
        except BackpackError as error:
            self._on_failed(number, error)
            self._let_go(number, lodger, 0.0)

    def _on_stream_ready(self, number: int, error: BackpackError | None) -> None:
        lodger = self._lodgers.get(number)
        if lodger is None or lodger.is_leaving:
            return
        if error is None:
            self._say(Opened(number))
        else:
            self._on_failed(number, error)

    def _on_attach_ring(self, order: AttachRing, fds: list[int]) -> None:
        lodger = self._lodgers.get(order.id)
        if lodger is None or len(fds) != 2:  # noqa: PLR2004 - memory and wake pipe
            for fd in fds:
                os.close(fd)
            return
        lodger.stream.attach_ring(RingReader(*fds))

    def _on_close_stream(self, order: CloseStream, _: list[int]) -> None:
        lodger = self._lodgers.get(order.id)
        if lodger is None:
            self._say(Closed(order.id))
            return
        self._let_go(order.id, lodger, order.seconds)

    def _let_go(self, number: int, lodger: _Lodger, seconds: float) -> None:
        lodger.stream.finish(seconds)
        if not lodger.is_leaving:
            lodger.is_leaving = True
            # The loop must not wait: other streams and all viewers live on it.
            GLib.timeout_add(_FINISH_POLL_MS, self._when_finished, number)

    def _when_finished(self, number: int) -> bool:
        lodger = self._lodgers.get(number)
        if lodger is not None and not lodger.stream.finished:
            return GLib.SOURCE_CONTINUE
        self._close_stream(number)
        self._say(Closed(number))
        return GLib.SOURCE_REMOVE

    def _close_stream(self, number: int) -> None:
        lodger = self._lodgers.pop(number, None)
        if lodger is None:
            return
        # Outputs last: what the encoder still held goes out to them.
        lodger.stream.finish(0.0)
        lodger.stream.join()
        for output in lodger.outputs:
            output.close()
        lodger.stream.close()

    # --- reports ---------------------------------------------------------------

    def _on_news(self, number: int) -> None:
        lodger = self._lodgers.get(number)
        if lodger is None:
            return
        self._report(number, lodger)
        if lodger.stream.is_wanted and not self._report_timer:
            # Runs only while somebody watches: an idle process never wakes up.
            self._report_timer = GLib.timeout_add(_REPORT_MS, self._report_all)

    def _report_all(self) -> bool:
        watched = False
        for number, lodger in self._lodgers.items():
            if lodger.stream.is_wanted:
                watched = True
                self._report(number, lodger)
        if watched:
            self._govern()
        else:
            self._report_timer = 0
            self._governor.forget()
            for lodger in self._lodgers.values():
                lodger.stream.ask_for(0)
        return watched

    def _govern(self) -> None:
        times = time_on_cpu()
        if times is None:
            return
        interval_ns = self._governor.sample(time.monotonic_ns(), *times)
        for lodger in self._lodgers.values():
            lodger.stream.ask_for(interval_ns)

    def _report(self, number: int, lodger: _Lodger) -> None:
        self._say(StreamReport(number, lodger.numbers()))


def watch(
    fd: int, condition: GLib.IOCondition, call: Callable[[int, GLib.IOCondition], bool]
) -> None:
    """Call on the main thread whenever a descriptor is ready, until it says no."""
    # PyGObject takes descriptors here; the stubs know of channels only.
    GLib.io_add_watch(fd, GLib.PRIORITY_HIGH, condition, call)  # type: ignore[arg-type]


def _later(call: Callable[..., None], *arguments: object) -> None:
    """Call on the main thread."""

    def once() -> bool:
        call(*arguments)
        return GLib.SOURCE_REMOVE

    GLib.idle_add(once)
