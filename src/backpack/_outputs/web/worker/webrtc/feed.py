"""Feeds a hub's access units to the pipeline of one viewer."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from backpack._gst.appsrc import AppsrcFeed, levels, push

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import GstApp
    from backpack._media.access_unit import AccessUnit
    from backpack._media.hub import Hub

WAITING_UNITS = 30
WAITING_BYTES = 4 * 1024 * 1024
"""Packets leave as soon as they are made, so what waits here waits for a processor."""

KEY_SPACING_NS = 1_000_000_000
"""A viewer whose line loses all that is sent must not cost the others a key frame every moment."""

logger = logging.getLogger(__name__)


class KeyRequests:
    """
    Decide when a viewer's wish for a key frame is passed on.

    The first one at once, the next ones a second apart: one that came too
    soon is kept. Reads no clock. Not thread-safe: its owner locks.
    """

    def __init__(self) -> None:
        self._wished = False
        self._passed_ns: int | None = None

    def wish(self) -> None:
        """Note that the viewer has lost what it cannot do without."""
        self._wished = True

    def take(self, now_ns: int) -> bool:
        """Answer once whether to ask for a key frame now."""
        since = self._passed_ns
        if not self._wished or (since is not None and now_ns - since < KEY_SPACING_NS):
            return False
        self._wished = False
        self._passed_ns = now_ns
        return True

    def answered(self) -> None:
        """Note that a key frame has come, whoever asked for it."""
        self._wished = False


class ViewerFeed:
    """
    A subscriber of a hub for one viewer.

    Args:
        hub: The stream.
        source: The appsrc of the viewer's pipeline.
        on_lost: Called, on the encoder's thread, when the hub lets go of it.
        clock_ns: The monotonic clock.

    """

    takes_repeats = True

    def __init__(
        self,
        hub: Hub,
        source: GstApp.AppSrc,
        *,
        on_lost: Callable[[], None],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._hub = hub
        self._tell_lost: Callable[[], None] | None = on_lost
        self._clock_ns = clock_ns
        # Guards what follows. Never held while calling the hub or GStreamer.
        self._lock = threading.Lock()
        # None once closed.
        self._source: GstApp.AppSrc | None = source
        self._keys = KeyRequests()
        # The encoder's thread's.
        self._feed = AppsrcFeed(WAITING_UNITS, WAITING_BYTES, self.wish_key_frame)

    def open(self) -> None:
        """Take a place in the hub: a picture comes at once. Main thread."""
        self._hub.subscribe(self)

    def close(self) -> None:
        """Leave the hub, for good. Idempotent. Main thread."""
        with self._lock:
            # With the function goes what it holds.
            self._source = self._tell_lost = None
        self._hub.unsubscribe(self)

    @property
    def lost(self) -> int:
        """How many pictures were skipped, since their packets were not made in time."""
        return self._feed.lost

    def wish_key_frame(self) -> None:
        """Called when the viewer has lost a picture and cannot go on (PLI, FIR). Any thread."""
        with self._lock:
            self._keys.wish()
        self._ask()

    def push(self, unit: AccessUnit) -> None:
        """Queue one picture, or skip it. Encoder's thread; never waits."""
        with self._lock:
            source = self._source
            if unit.key:
                self._keys.answered()
        if source is None:
            return
        if not self._feed.admit(unit, levels(source)):
            return
        # A wish that was kept: pictures are the clock that it waits for.
        self._ask()
        push(source, unit)

    def on_lost(self, error: Exception) -> None:
        """Called when the hub has let us go. Encoder's thread."""
        logger.error("A viewer over WebRTC is let go: %s", error)
        with self._lock:
            tell = self._tell_lost
        if tell is not None:
            tell()

    def _ask(self) -> None:
        with self._lock:
            asks = self._keys.take(self._clock_ns())
        if asks:
            self._hub.request_key_frame()
