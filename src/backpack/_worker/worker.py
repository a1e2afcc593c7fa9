"""Hold all servers and streams of the streaming process, on its main loop."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from backpack._gst.gi import GLib, Gst
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
    StreamReport,
    ToOutput,
)
from backpack._ipc.ring import RingReader
from backpack._ipc.settings import StreamSettings
from backpack._lib.shortage import explain, shortage
from backpack._media.output import StreamSource
from backpack._worker.governor import Governor, time_on_cpu
from backpack._worker.intake import Stream
from backpack._worker.outputs import OutputPeer, open_outputs
from backpack._worker.servers import ServerBoard
from backpack._worker.stream import Lodger
from backpack.errors import BackpackError, OutputError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

_REPORT_MS = 1000
_FINISH_POLL_MS = 5
_DELIVER_POLL_MS = 50
_LAST_FRAME_SECONDS = 0.2
FLUSH_SECONDS = 5.0
"""How long outputs may deliver what they have when the application has gone."""
LONGEST_FLUSH_SECONDS = 30.0
"""The same, while they get somewhere."""
_READABLE = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR


class Streamer:
    """
    Do what the application asks for, on GLib's main loop.

    Everything here runs on the main thread; what other threads have to say
    comes by `GLib.idle_add`.

    Args:
        channel: Our end of the control channel.
        on_ending: Called when the end begins, and when it is to take longer:
            with the seconds after which whatever hangs is not waited for.
        on_orphaned: Called when the application has gone without a goodbye.

    """

    def __init__(
        self,
        channel: Channel,
        *,
        on_ending: Callable[[float], None],
        on_orphaned: Callable[[], None],
    ) -> None:
        self._channel = channel
        self._on_ending = on_ending
        self._on_orphaned = on_orphaned
        self._is_ending = False
        self._loop = GLib.MainLoop()
        self._board = ServerBoard(self._on_servers_changed)
        self._lodgers: dict[int, Lodger] = {}
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
        """Serve until the application says goodbye, or has gone, and all is delivered."""
        watch(self._channel.fileno(), _READABLE, self._on_readable)
        self._loop.run()

    def _end(self, *, orphaned: bool) -> None:
        """Begin to end. Idempotent."""
        if orphaned:
            self._on_orphaned()
            for lodger in self._lodgers.values():
                lodger.orphaned()
        if self._is_ending:
            return
        self._is_ending = True
        self._on_ending(FLUSH_SECONDS)
        longest_seconds = LONGEST_FLUSH_SECONDS if orphaned else 0.0
        for number, lodger in self._lodgers.items():
            self._let_go(
                number, lodger, _LAST_FRAME_SECONDS, FLUSH_SECONDS, longest_seconds=longest_seconds
            )
        self._end_when_empty()

    def _end_when_empty(self) -> None:
        if self._is_ending and not self._lodgers:
            self._board.close()
            self._loop.quit()

    # --- the channel -----------------------------------------------------------

    def _on_readable(self, _fd: int, _condition: GLib.IOCondition) -> bool:
        try:
            messages = self._channel.receive()
        except ChannelClosed:
            self._end(orphaned=True)
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
            _later(self._flush_soon)

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
            self._end(orphaned=True)
            return
        except OSError:
            return
        watch(fd, GLib.IOCondition.IN, self._on_parent_gone)

    def _on_parent_gone(self, fd: int, _condition: GLib.IOCondition) -> bool:
        os.close(fd)
        self._end(orphaned=True)
        return GLib.SOURCE_REMOVE

    def _on_shutdown(self, _message: Shutdown, _: list[int]) -> None:
        self._end(orphaned=False)

    def _on_open_server(self, order: OpenServer, _: list[int]) -> None:
        self._board.open(order, on_open=self._on_server_open, on_failed=self._on_failed)

    def _on_server_open(self, number: int, port: int) -> None:
        self.say(Opened(number, {"port": port}))

    def _on_failed(self, number: int, error: BackpackError) -> None:
        self.say(Failed(number, type(error).__name__, str(error)))

    def _on_close_server(self, order: CloseServer, _: list[int]) -> None:
        self._board.close_server(order.id)
        self.say(Closed(order.id))

    def _on_open_stream(self, order: OpenStream, _: list[int]) -> None:
        number = order.id
        try:
            settings = StreamSettings(**order.settings)
        except (BackpackError, TypeError) as error:
            self._on_failed(number, SettingsError(str(error)))
            return
        try:
            stream = Stream(
                settings,
                passed_over=self._passed_over,
                on_ready=lambda error: _later(self._on_stream_ready, number, error),
                on_news=lambda: self.tell_news(number),
                last_size=None if order.last_size is None else (*order.last_size,),
            )
            self._lodgers[number] = lodger = Lodger(stream)
            outputs = open_outputs(
                order.outputs,
                lambda place: StreamSource(
                    stream.hub,
                    lodger.numbers,
                    stream.snapshot,
                    OutputPeer(number, place, self.say, self.tell_news),
                ),
                self._board,
                settings,
            )
            lodger.take_in([str(one.get("kind")) for one in order.outputs], outputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing streams
            self._on_failed(number, _as_failure(error))
            if number in self._lodgers:
                self._let_go(number, self._lodgers[number])

    def _on_stream_ready(self, number: int, error: BackpackError | None) -> None:
        lodger = self._lodgers.get(number)
        if lodger is None or lodger.is_leaving:
            return
        if error is None:
            lodger.found_encoder()
            self._on_news(number)
        else:
            self._on_failed(number, error)

    def _on_attach_ring(self, order: AttachRing, fds: list[int]) -> None:
        lodger = self._lodgers.get(order.id)
        if lodger is None or len(fds) != 2:  # noqa: PLR2004 - memory and wake pipe
            for fd in fds:
                os.close(fd)
            return
        lodger.stream.attach_ring(RingReader(*fds))

    def _on_to_output(self, order: ToOutput, _: list[int]) -> None:
        lodger = self._lodgers.get(order.id)
        if lodger is not None and order.output < len(lodger.outputs):
            lodger.outputs[order.output].hear(order.body)

    def _on_close_stream(self, order: CloseStream, _: list[int]) -> None:
        lodger = self._lodgers.get(order.id)
        if lodger is None:
            self.say(Closed(order.id))
            return
        self._let_go(order.id, lodger, order.seconds, order.deliver_seconds)

    def _let_go(
        self,
        number: int,
        lodger: Lodger,
        seconds: float = 0.0,
        deliver_seconds: float = 0.0,
        *,
        longest_seconds: float = 0.0,
    ) -> None:
        if not lodger.is_leaving:
            # The loop must not wait: other streams and all viewers live on it.
            GLib.timeout_add(_FINISH_POLL_MS, self._when_over, number, lodger)
        lodger.finish(seconds, deliver_seconds=deliver_seconds, longest_seconds=longest_seconds)

    def _when_over(self, number: int, lodger: Lodger, *, slowly: bool = False) -> bool:
        if lodger.is_over:
            if lodger.outputs:
                # What was delivered at the very end; one that never opened has no say.
                self._report(number, lodger)
            del self._lodgers[number]
            lodger.close()
            self.say(Closed(number))
            self._end_when_empty()
            return GLib.SOURCE_REMOVE
        if lodger.is_delivering and not slowly:
            if self._is_ending:
                self._on_ending(LONGEST_FLUSH_SECONDS)
            GLib.timeout_add(_DELIVER_POLL_MS, lambda: self._when_over(number, lodger, slowly=True))
            return GLib.SOURCE_REMOVE
        return GLib.SOURCE_CONTINUE

    # --- reports ---------------------------------------------------------------

    def tell_news(self, number: int) -> None:
        """Learn that a stream's numbers are worth telling. Any thread."""
        _later(self._on_news, number)

    def _on_news(self, number: int) -> None:
        lodger = self._lodgers.get(number)
        if lodger is None:
            return
        try:
            if lodger.take_opening():
                self._say_opened(number, lodger)
        except BackpackError as error:
            self._on_failed(number, error)
            self._let_go(number, lodger)
            return
        self._report(number, lodger)
        failure = lodger.take_failure()
        if failure:
            self._on_failed(number, OutputError(failure))
        elif lodger.take_recovery():
            self._say_opened(number, lodger)
        if lodger.is_watched and not self._report_timer:
            # Runs only while somebody watches: an idle process never wakes up.
            self._report_timer = GLib.timeout_add(_REPORT_MS, self._report_all)

    def _say_opened(self, number: int, lodger: Lodger) -> None:
        # Asked of the hub: the intake may not have looked yet.
        wanted = lodger.stream.hub.wanted(time.monotonic_ns())
        self.say(Opened(number, {"wanted": wanted}))

    def _on_servers_changed(self) -> None:
        for number in list(self._lodgers):
            self._on_news(number)

    def _report_all(self) -> bool:
        watched = False
        for number, lodger in self._lodgers.items():
            if lodger.is_watched:
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

    def _report(self, number: int, lodger: Lodger) -> None:
        self.say(StreamReport(number, lodger.numbers()))


def watch(
    fd: int, condition: GLib.IOCondition, call: Callable[[int, GLib.IOCondition], bool]
) -> None:
    """Call on the main thread whenever a descriptor is ready, until it says no."""
    # PyGObject takes descriptors here; the stubs know of channels only.
    GLib.io_add_watch(fd, GLib.PRIORITY_HIGH, condition, call)  # type: ignore[arg-type]


def _as_failure(error: Exception) -> BackpackError:
    """Say why a stream cannot be opened, also where nobody has thought of it."""
    with contextlib.suppress(Exception):
        return explain(error)
    logger.debug("A stream could not be opened.", exc_info=error)
    return OutputError(f"The stream could not be opened: {type(error).__name__}: {error}.")


def _later(call: Callable[..., None], *arguments: object) -> None:
    """Call on the main thread."""

    def once() -> bool:
        call(*arguments)
        return GLib.SOURCE_REMOVE

    GLib.idle_add(once)
