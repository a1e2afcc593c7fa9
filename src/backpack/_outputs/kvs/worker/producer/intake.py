"""Take what comes from the encoder, and notice when nothing does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._outputs.kvs.worker.producer.acks import Action
from backpack._outputs.kvs.worker.producer.cutter import FragmentCutter
from backpack._outputs.kvs.worker.producer.fragments import FragmentQueue

if TYPE_CHECKING:
    from backpack._media.access_unit import AccessUnit
    from backpack._outputs.kvs.settings import ProducerSettings
    from backpack._outputs.kvs.worker.producer.fragments import Fragment, FragmentStore

SILENCE_SECONDS = 20.0
"""Of a source: then its fragment is closed. KVS itself closes after 30."""

PAUSED_SECONDS = 5.0
"""Without a frame KVS's own word that it is idle closes the fragment."""


class Intake:
    """
    Fill the queue of fragments: with what was left there, then with what comes.

    Reads no clock. Not thread-safe: it belongs to the thread that drives the
    producer.

    Args:
        settings: How to cut and how much may wait.
        store: See `FragmentQueue`.

    """

    def __init__(self, settings: ProducerSettings, store: FragmentStore | None) -> None:
        self.queue = FragmentQueue(
            buffer_seconds=settings.buffer_seconds,
            buffer_bytes=settings.buffer_bytes,
            store=store,
        )
        self._cutter = FragmentCutter(
            self.queue, fragment_seconds=settings.fragment_seconds, metadata=settings.metadata
        )
        # When the last unit came.
        self._frame_at = float("-inf")
        # Nothing is taken any more.
        self._over = False
        # Frames that came then.
        self._frames_refused = 0
        self._cutter.recover()

    def take(self, unit: AccessUnit, now: float) -> bool:
        """Take one access unit. False: it is lost, and counted; see `FragmentCutter.take`."""
        if self._over:
            self._frames_refused += 1
            return False
        taken = self._cutter.take(unit)
        if taken:
            self._frame_at = now
        return taken

    @property
    def wants_key(self) -> bool:
        """Whether a key frame should be asked for."""
        return not self._over and self._cutter.wants_key

    @property
    def frames_lost(self) -> int:
        """How many frames no fragment could take."""
        return self._frames_refused + self._cutter.frames_lost

    @property
    def silent_at(self) -> float | None:
        """When the source will have been silent for too long. None: nothing is open."""
        return None if self.queue.open is None else self._frame_at + SILENCE_SECONDS

    def look(self, now: float) -> None:
        """Close the fragment of a source that has been silent for too long."""
        silent_at = self.silent_at
        if silent_at is not None and now >= silent_at:
            self._cutter.finish()

    def idle(self, now: float) -> None:
        """Close the fragment of a source that pauses: KVS has nothing to do."""
        if now - self._frame_at >= PAUSED_SECONDS:
            self._cutter.finish()

    def close(self) -> None:
        """Close the fragment, and take nothing any more. Idempotent."""
        self._cutter.finish()
        self._over = True

    def skip(self, action: Action, fragment: Fragment | None) -> None:
        """Drop a fragment that KVS refuses, and see that the next ones are not like it."""
        if action is Action.RESEND_WITHOUT_TAGS and (fragment is None or fragment.tags):
            # Without them it is taken.
            self._cutter.refuse_metadata()
            return
        if fragment is not None:
            self.queue.skip(fragment)
        if action is Action.SKIP_AND_SHORTEN:
            self._cutter.shorten()
