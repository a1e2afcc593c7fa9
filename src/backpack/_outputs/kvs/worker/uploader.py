"""The thread that drives a producer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

from backpack._lib.asyncio_thread import end_loop
from backpack._lib.threads import show_name
from backpack._outputs.kvs.worker.executor import CommandExecutor
from backpack._outputs.kvs.worker.http.connection import Network
from backpack._outputs.kvs.worker.producer.commands import ProducerState, ProducerStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from backpack._media.queue import UnitQueue
    from backpack._outputs.kvs.settings import UploadSettings
    from backpack._outputs.kvs.worker.http.resolver import Lookup
    from backpack._outputs.kvs.worker.producer.producer import Producer
    from backpack._outputs.kvs.worker.report import Report

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 2.0

GATHER_SECONDS = 0.1
"""Between two looks for frames. Most of what a frame costs is waking up for it: three at a
time cost half. A fragment is complete with the next key frame, which waits for nobody."""

TELL_SECONDS = 0.25
"""Between two looks at the numbers, where the state is the same."""


class Uploader:
    """
    Run one producer on a thread ``spyglass-kvs``.

    All methods may be called by any thread, and none waits but `join`.

    Args:
        producing: Gives who decides, for as long as the thread runs. It is
            made there, since it may have to load what an earlier process left.
        settings: What it was asked to be.
        units: What it is to send. Who puts something in calls `wake`.
        report: Is told how it goes.
        say: Carries a message to the application.
        want_key: Asks for a key frame.
        on_stats_changed: Called on the thread when state or trouble are others.
        lookup: See `Resolver`.

    """

    def __init__(
        self,
        producing: AbstractContextManager[Producer],
        settings: UploadSettings,
        units: UnitQueue,
        *,
        report: Report,
        say: Callable[[dict[str, Any]], None],
        want_key: Callable[[], None],
        on_stats_changed: Callable[[], None],
        lookup: Lookup | None = None,
    ) -> None:
        self._producing = producing
        self._settings = settings
        self._units = units
        self._report = report
        self._say = say
        self._want_key = want_key
        self._on_stats_changed = on_stats_changed
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._note_mistake)
        self._network = Network(
            self._loop,
            ca_bundle=settings.ca_bundle,
            lookup=lookup,
            route=settings.route,
            changed=self._turn_soon,
        )
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        self._mistake: BaseException | None = None
        # Whether the thread sleeps, and whether it wants to be woken up for
        # work. Written by it before it looks for the last time, read by others
        # after they have left something: one of the two sees it.
        self._asleep = False
        self._on_call = False
        # What was posted finds both of them: the thread makes them first.
        self._producer: Producer
        self._executor: CommandExecutor
        self._has_ended = False
        self._wanted_key = False
        # What has reached the disk outlives us. What waits here does not.
        self._gather_seconds = GATHER_SECONDS if settings.buffer_path is None else 0.0
        self._gather_until = 0.0
        # When to look at the numbers. None: nothing has happened since.
        self._tell_at: float | None = None
        # How it stands, and since when. Replaced, never changed: any thread may read it.
        self._clock = self._loop.time
        self.status = (ProducerStatus(ProducerState.IDLE), self._clock())
        self._thread = threading.Thread(target=self._run, name="spyglass-kvs", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self, *, key: bool) -> None:
        """Say that there is a unit. It ends a fragment if it is a key frame: that is urgent."""
        if self._on_call or (key and self._asleep):
            self._on_call = self._asleep = False
            self._post(self._turn_soon)

    def on_message(self, body: dict[str, Any]) -> None:
        """Hand on what the application says."""
        self._post(lambda: self._executor.on_message(body))

    def on_app_exit(self) -> None:
        """Hand on that the application has gone."""
        self._post(lambda: self._executor.on_app_exit())  # noqa: PLW0108 - it is made later

    def stop(self, seconds: float, longest_seconds: float) -> None:
        """Have the producer stop once it has everything that was put in before."""
        self._post(lambda: self._stop(seconds, longest_seconds))

    def leave(self) -> None:
        """Have the thread end, whatever is left. Does not block. Idempotent."""
        if self._thread.ident is None:
            # It could not be started, and so gives nothing back.
            self._loop.close()
            return
        self._post(self._loop.stop)

    def join(self) -> None:
        """Wait for the thread, after `leave`, and not for one that hangs."""
        if self._thread.ident is None:
            return
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            logger.warning("The thread of an upload to KVS hangs; it is left behind.")

    @property
    def is_over(self) -> bool:
        """Whether the producer has ended."""
        has_ended = self._has_ended or self._thread.ident is None
        return has_ended or self.status[0].state.is_over

    # The thread's.

    def _run(self) -> None:
        show_name()
        with contextlib.ExitStack() as undo:
            undo.callback(self._on_stats_changed)
            undo.callback(self._note_end)
            undo.callback(end_loop, self._loop)
            try:
                self._begin(undo.enter_context(self._producing))
                undo.callback(self._conclude)
                undo.callback(self._executor.close)
                self._go_on()
                self._take_units(self._clock())
            except Exception as error:
                logger.exception("An upload to KVS has ended by a mistake in SpyGlass.")
                self._report.crashed(error)

    def _begin(self, producer: Producer) -> None:
        self._producer = producer
        self._executor = CommandExecutor(
            producer, self._settings, self._network, say=self._say, report=self._report
        )

    def _go_on(self) -> None:
        self._turn_soon()
        self._loop.run_forever()
        # The loop goes on for a moment to close what is open, and begins nothing.
        self._closing = True
        self._set_timer(None)
        if self._mistake is not None:
            raise self._mistake

    def _post(self, call: Callable[[], None]) -> None:
        """Have something called on the thread, and then look. Any thread; never waits."""
        # The encoder may push while the output closes.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._call, call)

    def _call(self, call: Callable[[], None]) -> None:
        if not self._closing:
            call()
            self._turn_soon()

    def _turn_soon(self) -> None:
        """
        Look for something to do once it was heard what has come.

        The loop reads from sockets before it calls what it is time for: whoever says
        why and hangs up is understood before sending to it fails.
        """
        self._set_timer(self._clock())

    def _set_timer(self, wake_at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if wake_at is not None and not self._closing:
            self._timer = self._loop.call_at(wake_at, self._go_round)

    def _go_round(self) -> None:
        self._asleep = self._on_call = False
        self._turn(self._clock())
        calm = self._clock() < self._gather_until
        times = (self._executor.wake_at, self._tell_at, self._gather_until if calm else None)
        self._set_timer(min((time for time in times if time is not None), default=None))
        self._asleep, self._on_call = True, not calm
        if not calm and len(self._units):
            self._turn_soon()

    def _note_mistake(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Called by asyncio with what nobody has caught."""
        self._mistake = self._mistake or context.get("exception")
        if self._mistake is None:
            logger.warning("%s", context["message"])
        else:
            self._loop.stop()

    def _turn(self, now: float) -> None:
        came = self._take_units(now)
        if came:
            self._gather_until = now + self._gather_seconds
        self._executor.tick(now)
        self._executor.advance(now)
        self._ask_for_key(came=came)
        self._look(now)

    def _take_units(self, now: float) -> bool:
        came = False
        while len(self._units):
            unit = self._units.get(0)
            if unit is not None:
                self._producer.frame(unit, now)
                came = True
        return came

    def _ask_for_key(self, *, came: bool) -> None:
        """Ask when it begins to be wanted, and again with each frame that is none."""
        wants = self._producer.wants_key
        if wants and (came or not self._wanted_key):
            self._want_key()
        self._wanted_key = wants

    def _look(self, now: float) -> None:
        """Look at the numbers, unless that was just done and it can wait."""
        before, looked_at = self.status
        self._tell_at = looked_at + TELL_SECONDS
        if now >= self._tell_at or self._producer.state is not before.state:
            self._tell_at = None
            self._tell(now)

    def _tell(self, now: float) -> None:
        status = self._producer.status(now)
        self.status = (status, now)
        changed = self._report.take(status, now)
        if status.state.is_over:
            self._report.end(status, len(self._producer.queue), now)
        if changed or status.state.is_over:
            self._on_stats_changed()

    def _stop(self, seconds: float, longest_seconds: float) -> None:
        self._take_units(self._clock())
        self._executor.stop(seconds, longest_seconds)

    def _note_end(self) -> None:
        self._has_ended = True

    def _conclude(self) -> None:
        now = self._clock()
        status = self._producer.status(now)
        self.status = (status, now)
        self._report.end(status, len(self._producer.queue), now)
