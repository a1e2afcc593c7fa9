"""Run kvssink's child: start it, feed it, hear it, start it again, and see it end."""

from __future__ import annotations

import logging
import select
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from backpack._lib.timing import Backoff
from backpack._lib.waker import Waker
from backpack._outputs.kvs.worker.kvssink.child import Child
from backpack._outputs.kvs.worker.kvssink.complaints import Complaint
from backpack._outputs.kvs.worker.kvssink.delivery_log import Deadline, DeliveryLog
from backpack._outputs.kvs.worker.kvssink.log_sanitizer import mask
from backpack._outputs.kvs.worker.kvssink.probe import explain_missing
from backpack._outputs.kvs.worker.kvssink.standing import Standing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backpack._media.access_unit import AccessUnit
    from backpack._media.queue import UnitQueue
    from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings

logger = logging.getLogger(__name__)

_STABLE_SECONDS: Final = 60.0
"""A child that lived so long has worked: the next failure is a first one."""

_LAST_WORDS_SECONDS: Final = 1.0
_JOIN_SECONDS: Final = 5.0
_CREDENTIALS_SECONDS: Final = 0.2
"""How often it is looked whether the application has found credentials. kvssink asks only once."""


class KvssinkRunner:
    """
    Carry pictures from a queue to kvssink, on a thread of its own.

    Without `leave`, the thread ends when the runner has failed or finished.
    Any thread may call every method; none blocks but `join`.

    Args:
        settings: What is streamed.
        environment: Of the children.
        queue: The pictures.
        request_key_frame: Asks for one: a child has nothing to begin with.
        on_stats_changed: Called on our thread: the numbers are worth telling.
        on_failed: Called on our thread, once: kvssink is missing.

    """

    def __init__(
        self,
        settings: SinkSettings,
        environment: Mapping[str, str],
        queue: UnitQueue,
        *,
        request_key_frame: Callable[[], None],
        on_stats_changed: Callable[[], None],
        on_failed: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._environment = environment
        self._queue = queue
        self._request_key_frame = request_key_frame
        self._on_stats_changed = on_stats_changed
        self._on_failed = on_failed
        # Set once a child has said whether kvssink is there.
        self.decided = threading.Event()
        self._waker = Waker()
        # Our thread's.
        self._child: Child | None = None
        # One that delivers what was before a change of the video or the clock.
        self._leaving: Child | None = None
        self._hand: AccessUnit | None = None
        self._lacks_credentials = False
        self._backoff = Backoff(0.5, 30.0)
        self._retry_at = 0.0
        # How it stands, as it is told.
        self.standing = Standing(settings.stream_name, create_stream=settings.create_stream)
        # Guards what stands below, and is needed to write `_child` and `_leaving`.
        self._lock = threading.Lock()
        self._delivery_log = DeliveryLog()
        self._closing = False
        self._is_over = False
        self._ending: Deadline | None = None
        self._thread = threading.Thread(target=self._run, name="spyglass-kvssink", daemon=True)

    def start(self) -> None:
        """Start the thread. Once."""
        self._thread.start()

    def wake(self) -> None:
        """Have the queue looked at."""
        self._waker.wake()

    def finish(self, seconds: float, longest_seconds: float) -> None:
        """Begin to deliver what there is, and to end."""
        with self._lock:
            if self._ending is None:
                self._ending = Deadline(time.monotonic(), seconds, max(seconds, longest_seconds))
        self.wake()

    @property
    def is_over(self) -> bool:
        """Whether the thread does nothing any more."""
        return self._is_over or self._thread.ident is None

    def leave(self) -> None:
        """Have everything end at once. Does not block. Idempotent."""
        with self._lock:
            self._closing = True
        self.wake()

    def join(self) -> None:
        """Wait for the thread, after `leave`, and not for one that hangs."""
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)

    @property
    def frames_lost(self) -> int:
        """How many pictures were lost behind the queue."""
        with self._lock:
            return self._delivery_log.frames_lost

    def numbers(self) -> dict[str, Any]:
        """Return what there is to tell. ``oldest_ns``: time of the oldest undelivered picture."""
        with self._lock:
            waiting = [child.pending for child in self._children]
            oldest = [one.oldest_ns for one in waiting if one.oldest_ns is not None]
            hand = self._hand
            if hand is not None:
                oldest.append(hand.wall_ns)
            return {
                "state": self.standing.state,
                "trouble": self.standing.trouble,
                "oldest_ns": min(oldest, default=None),
                "buffered_frames": sum(one.frames for one in waiting) + (hand is not None),
                **self._delivery_log.numbers(time.monotonic()),
            }

    # From here on everything is called on our thread.

    def _run(self) -> None:
        try:
            while self._step(time.monotonic()):
                self._wait(time.monotonic())
        except Exception:
            logger.exception("Streaming through kvssink has failed.")
            self._give_up("It has failed inside of SpyGlass; the log says how.")
        finally:
            for child in self._children:
                self._drop(child)
            self._settle()
            self._waker.close()
            self._is_over = True
            self.decided.set()
            self._on_stats_changed()

    def _settle(self) -> None:
        """Count what was never given to a child."""
        lost = self._queue.clear() + (self._hand is not None)
        self._hand = None
        with self._lock:
            self._delivery_log.frames_lost += lost
        self.standing.stopped()
        if lost:
            self.standing.warn(f"{lost} pictures were not delivered.")

    @property
    def _has_more(self) -> bool:
        """Whether pictures wait that no child has got."""
        return self._hand is not None or len(self._queue) > 0

    @property
    def _waits(self) -> bool:
        """Whether there is anything to deliver."""
        return self._has_more or any(child.pending.frames for child in self._children)

    @property
    def _children(self) -> list[Child]:
        return [one for one in (self._leaving, self._child) if one is not None]

    def _step(self, now: float) -> bool:
        """Do what is due. False: it is over."""
        with self._lock:
            closing, ending = self._closing, self._ending
        if closing or self.standing.failed:
            return False
        if self._leaving is not None and now >= self._leaving.give_up_at:
            self._drop(self._leaving)
        child = self._child
        if child is None and now >= self._retry_at and (ending is None or self._has_more):
            self._start(now)
        elif child is not None and child.is_loaded and not child.is_ending:
            self._feed(child, now)
        return ending is None or self._goes_on_ending(ending, now)

    def _start(self, now: float) -> None:
        try:
            child = Child(self._settings, self._environment, now=now)
        except OSError as error:
            self._failed_for(f"its process cannot be started: {error}", "start", now)
            return
        self.standing.connecting()
        with self._lock:
            self._child = child

    def _feed(self, child: Child, now: float) -> None:
        """Pass the child what it can take now."""
        while child.has_room:
            if self._hand is None:
                self._hand = self._queue.get(0)
            if self._hand is None or not self._give(child, self._hand, now):
                return
            self._hand = None

    def _give(self, child: Child, unit: AccessUnit, now: float) -> bool:
        """Return the child a picture, or lose it; False: it has to wait."""
        if unit.key and not child.fits(unit):
            if child.has_begun:
                self._replace(child, now)
                return False
            if not self._has_credentials():
                return False
            child.begin(unit)
        if not child.has_begun:
            # It cannot be decoded without the key frame before it.
            self._count_lost(1)
            self._request_key_frame()
            return True
        if not child.is_started:
            # What it has not got is not lost if it cannot be started.
            return False
        child.send(unit)
        with self._lock:
            self._delivery_log.frames_taken += 1
            self._delivery_log.frames_lost += child.pending.add(unit.wall_ns, key=unit.key)
        return True

    def _has_credentials(self) -> bool:
        self._lacks_credentials = not self._settings.has_credentials
        self.standing.lacks_credentials(lacks=self._lacks_credentials)
        return not self._lacks_credentials

    def _replace(self, child: Child, now: float) -> None:
        """Let a child deliver what it has, and begin with another one."""
        if self._leaving is not None:
            self._drop(self._leaving)
        seconds = self._settings.stop_seconds
        child.deliver(seconds)
        child.give_up_at = now + seconds
        with self._lock:
            self._leaving, self._child = child, None
        self._retry_at = now

    def _goes_on_ending(self, ending: Deadline, now: float) -> bool:
        """See to the end, and tell whether it still takes."""
        child = self._child
        if now >= ending.over_at(self._delivery_log.delivered_at):
            return False
        if child is None:
            return self._leaving is not None or self._has_more
        if child.is_loaded and not child.is_ending and not self._has_more:
            if not child.has_begun:
                # Nothing was ever sent through it.
                self._drop(child)
                return self._leaving is not None
            child.deliver(ending.longest_seconds)
        return True

    def _wait(self, now: float) -> None:
        """Wait until something happens, and take it."""
        poll = select.poll()
        poll.register(self._waker.fd, select.POLLIN)
        children = self._children
        for child in children:
            child.register(poll)
        poll.poll(self._patience_ms(now))
        self._waker.drain()
        for child in children:
            self._look_at(child, time.monotonic())
        if self.standing.look(time.monotonic(), waits=self._waits):
            self._on_stats_changed()

    def _patience_ms(self, now: float) -> int | None:
        """Return how long nothing is due. None: for ever."""
        due: list[float] = []
        with self._lock:
            ending = self._ending
        if ending is not None:
            due.append(ending.over_at(self._delivery_log.delivered_at))
        if self._child is None and (ending is None or self._has_more):
            due.append(self._retry_at)
        if self._leaving is not None:
            due.append(self._leaving.give_up_at)
        if self._lacks_credentials:
            due.append(now + _CREDENTIALS_SECONDS)
        if self.standing.wake_at is not None:
            due.append(self.standing.wake_at)
        return max(0, int((min(due) - now) * 1000) + 1) if due else None

    def _look_at(self, child: Child, now: float) -> None:
        words = child.listen(now)
        for complaint in child.take_complaints():
            self.standing.complain(complaint, now)
        for word in words or ():
            self._hear(child, word, now)
        if words is None:
            self._gone(child, now)

    def _hear(self, child: Child, word: dict[str, Any], now: float) -> None:
        kind = word["is"]
        if kind == "loaded":
            child.is_loaded = True
            self.decided.set()
            self._on_stats_changed()
            self._request_key_frame()
        elif kind == "missing":
            self._give_up(explain_missing(mask(str(word["why"])), self._settings.dotenv_path))
        elif kind == "started":
            child.is_started = True
            self.standing.answered(started=True)
        elif kind == "ack":
            with self._lock:
                delivered = self._delivery_log.hear(word, child.pending, now=now, wall=time.time())
            if word["kind"] != "error":
                self.standing.answered()
            if delivered:
                self.standing.delivered()
                self._on_stats_changed()
        elif kind == "metrics":
            with self._lock:
                self._delivery_log.metrics = {name: word[name] for name in word if name != "is"}
        elif kind == "status":
            self.standing.complain(Complaint.of(int(word["status"])), now)
        elif kind == "error":
            child.why = mask(str(word["why"]))

    def _gone(self, child: Child, now: float) -> None:
        """Take note that a child has ended."""
        how = child.process.end(_LAST_WORDS_SECONDS)
        self._drop(child)
        if child.is_ending:
            if child.why:
                self.standing.warn(child.why)
            return
        if now - child.started_at >= _STABLE_SECONDS:
            self._backoff.reset()
        self._failed_for(child.why or f"its process {how}", child.cause or how, now)

    def _failed_for(self, reason: str, cause: str, now: float) -> None:
        """Have it started again in a while."""
        wait = self._backoff.next_wait()
        self._retry_at = now + wait
        with self._lock:
            self._delivery_log.reconnects[cause] += 1
        self.standing.broke(reason, wait)
        self._on_stats_changed()

    def _drop(self, child: Child) -> None:
        """End a child, and count what it has not delivered."""
        child.process.end()
        with self._lock:
            lost = child.pending.frames
            self._delivery_log.frames_lost += lost
            if child is self._leaving:
                self._leaving = None
            else:
                self._child = None
        if lost:
            self.standing.warn(f"{lost} pictures were not delivered.")

    def _count_lost(self, frames: int) -> None:
        with self._lock:
            self._delivery_log.frames_lost += frames

    def _give_up(self, why: str) -> None:
        if self.standing.give_up(why):
            self._on_failed()
