"""Passes every access unit of a stream to all subscribers, and knows whether there are any."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.access_unit import AccessUnit

SECOND_NS = 1_000_000_000

KEY_FRAME_SPACING_NS = SECOND_NS // 2
"""Between key frames that were asked for, in the long run: two a second are made. One more may
come early, so that who comes right after somebody else need not wait."""

logger = logging.getLogger(__name__)


class Subscriber(Protocol):
    """
    Take the access units of one stream: an output, as the hub sees it.

    Attributes:
        takes_repeats: Whether it wants pictures that were only made for
            viewers (a silent application's last frame, the placeholder).

    """

    takes_repeats: bool

    def push(self, unit: AccessUnit) -> None:
        """
        Take one access unit, at once: never wait for a network or a disk.

        Called on the encoder's streaming thread. A unit may still come while
        `Hub.unsubscribe` returns. What it raises costs this subscriber alone its place.
        """

    def on_lost(self, error: Exception) -> None:
        """Called on the encoder's streaming thread when the hub has let this subscriber go."""


@dataclass(frozen=True)
class HubCounters:
    """
    What has gone through a hub since it was made.

    Attributes:
        published: Access units that the encoder handed over.
        delivered: Units times subscribers that took them.
        withheld: Units that a subscriber was not given, since decoding cannot
            start at them or since it refuses repeats.
        failed_subscribers: Readers that raised, and were let go.
        key_frames_asked: Key frames that were made on demand.

    """

    published: int = 0
    delivered: int = 0
    withheld: int = 0
    failed_subscribers: int = 0
    key_frames_asked: int = 0


@dataclass(eq=False)
class _Subscription:
    """One subscriber's place. Only the publishing thread writes ``needs_key``."""

    subscriber: Subscriber
    # Until a key frame came, or came again after a withheld picture, what
    # follows refers to pictures that this subscriber has never seen.
    needs_key: bool = True


class Hub:
    """
    Fan the one encoded stream out to any number of subscribers.

    The hub holds no picture and waits for nobody: a subscriber that needs a queue
    brings its own (`backpack._media.queue`). It reads no clock but the one that it
    was given, and that one only to note when the last subscriber left.

    Any thread may call any method. `publish` is for one thread at a time, the
    encoder's; it calls the subscribers without holding a lock.

    Args:
        linger_ns: How long the stream stays wanted after its last subscriber left.
            A viewer who comes back meanwhile finds the encoder running.
        clock_ns: The monotonic clock, in nanoseconds.
        on_change: Called from any thread whenever the stream's intake should
            look again: someone came, a key frame is asked for, the last one left.

    """

    def __init__(
        self,
        *,
        linger_ns: int = 5 * SECOND_NS,
        clock_ns: Callable[[], int] = time.monotonic_ns,
        on_change: Callable[[], None] | None = None,
    ) -> None:
        self._linger_ns = linger_ns
        self._clock_ns = clock_ns
        self._on_change = on_change
        # Guards everything below but the subscriptions' own fields.
        self._lock = threading.Lock()
        # Replaced, never changed, so that publish() may go through it unlocked.
        self._subscriptions: tuple[_Subscription, ...] = ()
        # When the last subscriber left. None: nobody was ever here, or somebody is.
        self._left_ns: int | None = None
        self._new_viewer = False
        self._key_asked = False
        # Until when the key frames that were made have used up what is allowed.
        self._key_spent_ns: int | None = None
        self._published = 0
        self._delivered = 0
        self._withheld = 0
        self._failed_readers = 0
        self._key_frames_asked = 0

    def subscribe(self, subscriber: Subscriber) -> None:
        """
        Add a subscriber; ask for a picture at once, and for a key frame.

        Its first unit will be a key frame. Attaching it again does nothing.
        """
        with self._lock:
            if any(subscription.subscriber is subscriber for subscription in self._subscriptions):
                return
            self._subscriptions = (*self._subscriptions, _Subscription(subscriber))
            self._left_ns = None
            self._key_asked = True
            self._new_viewer = self._new_viewer or subscriber.takes_repeats
        self._tell()

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Take a subscriber's place away. A unit that is under way may still reach it."""
        with self._lock:
            if not self._remove(subscriber):
                return
        self._tell()

    def publish(self, unit: AccessUnit) -> None:
        """
        Hand one unit to every subscriber that can use it. One thread at a time.

        Never raises and never waits: a subscriber that raises is dropped alone.
        """
        with self._lock:
            subscriptions = self._subscriptions
            self._published += 1
            if unit.key and not any(s.needs_key and _refuses(s, unit) for s in subscriptions):
                # Everyone who asked has this one; another would be made for nothing.
                self._key_asked = False
        delivered = 0
        ask_again = False
        for subscription in subscriptions:
            if _refuses(subscription, unit):
                subscription.needs_key = True
            elif subscription.needs_key and not unit.key:
                ask_again = True
            elif self._deliver(subscription, unit):
                subscription.needs_key = False
                delivered += 1
        with self._lock:
            self._delivered += delivered
            self._withheld += len(subscriptions) - delivered
        if ask_again:
            self.request_key_frame()

    def request_key_frame(self) -> None:
        """Ask for a key frame: someone came, or lost a picture. Asking twice makes one."""
        with self._lock:
            if self._key_asked or not self._subscriptions:
                return
            self._key_asked = True
        self._tell()

    def request_picture(self) -> None:
        """Ask for a picture at once, with a key frame: someone came to a running output."""
        with self._lock:
            if not self._subscriptions:
                return
            self._key_asked = True
            self._new_viewer = True
        self._tell()

    def take_key_request(self, now_ns: int) -> bool:
        """Answer once whether the next picture must be a key frame: two a second, and one more."""
        with self._lock:
            due = self._next_key_request_ns()
            if due is None or now_ns < due:
                return False
            self._key_asked = False
            self._key_spent_ns = max(self._key_spent_ns or 0, now_ns) + KEY_FRAME_SPACING_NS
            self._key_frames_asked += 1
            return True

    @property
    def next_key_request_ns(self) -> int | None:
        """When `take_key_request` will say yes. None: nobody asks."""
        with self._lock:
            return self._next_key_request_ns()

    def take_new_viewer(self) -> bool:
        """Return, once, whether a new viewer waits for a picture: repeat the last one now."""
        with self._lock:
            new_viewer, self._new_viewer = self._new_viewer, False
            return new_viewer

    def wanted(self, now_ns: int) -> bool:
        """Decide whether encoding is worth it: someone is here, or left a moment ago."""
        with self._lock:
            if self._subscriptions:
                return True
            return self._left_ns is not None and now_ns < self._left_ns + self._linger_ns

    def wanted_until(self, now_ns: int) -> int | None:
        """Return when lingering ends. None: someone is here, or it has ended."""
        with self._lock:
            if self._subscriptions or self._left_ns is None:
                return None
            end_ns = self._left_ns + self._linger_ns
            return end_ns if now_ns < end_ns else None

    @property
    def keeps_no_repeats(self) -> bool:
        """Whether some subscriber refuses repeats: the frame after one must be a key frame."""
        with self._lock:
            return any(
                not subscription.subscriber.takes_repeats for subscription in self._subscriptions
            )

    @property
    def subscriber_count(self) -> int:
        """How many subscribers have a place."""
        with self._lock:
            return len(self._subscriptions)

    @property
    def counters(self) -> HubCounters:
        """What has gone through since the hub was made."""
        with self._lock:
            return HubCounters(
                published=self._published,
                delivered=self._delivered,
                withheld=self._withheld,
                failed_subscribers=self._failed_readers,
                key_frames_asked=self._key_frames_asked,
            )

    def _next_key_request_ns(self) -> int | None:
        assert self._lock.locked()  # noqa: S101 - a bug of ours, not of the caller
        if not self._key_asked:
            return None
        return max(0, (self._key_spent_ns or 0) - KEY_FRAME_SPACING_NS)

    def _remove(self, subscriber: Subscriber) -> bool:
        assert self._lock.locked()  # noqa: S101 - a bug of ours, not of the caller
        subscriptions = tuple(
            subscription
            for subscription in self._subscriptions
            if subscription.subscriber is not subscriber
        )
        if len(subscriptions) == len(self._subscriptions):
            return False
        self._subscriptions = subscriptions
        if not subscriptions:
            self._left_ns = self._clock_ns()
            # Nobody is left to see them.
            self._key_asked = self._new_viewer = False
        return True

    def _deliver(self, subscription: _Subscription, unit: AccessUnit) -> bool:
        try:
            subscription.subscriber.push(unit)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            self._drop(subscription, error)
            return False
        return True

    def _drop(self, subscription: _Subscription, error: Exception) -> None:
        logger.warning("An output failed and gets no more pictures: %s", error, exc_info=error)
        with self._lock:
            if not self._remove(subscription.subscriber):
                return
            self._failed_readers += 1
        try:
            subscription.subscriber.on_lost(error)
        except Exception:
            logger.exception("An output failed once more on being told that it had failed.")
        self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change()


def _refuses(subscription: _Subscription, unit: AccessUnit) -> bool:
    return unit.repeat and not subscription.subscriber.takes_repeats
