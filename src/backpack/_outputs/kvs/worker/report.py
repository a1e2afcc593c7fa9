"""State and problem of an upload, for operators, with few lines in the log."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

from backpack._outputs.kvs.worker.producer.commands import ProducerState

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.producer.commands import ProducerStatus

logger = logging.getLogger(__name__)

_LINE_SECONDS: Final = 1.0
"""Between two lines of one kind."""

_DROPPED_SECONDS: Final = 60.0
"""The same where it goes on for as long as the outage."""

_MENDING_SECONDS: Final = 600.0
"""The same where it goes on until somebody mends what is wrong, and has been told what."""

_CAUGHT_UP_SECONDS: Final = 5.0
"""Of video that waits while everything is well: two fragments, and a bit."""


class Report:
    """
    Compare how it stands with how it stood.

    Reads no clock. One thread's, but for `state` and `trouble`.

    Args:
        name: What the log calls the stream.

    """

    def __init__(self, name: str) -> None:
        self._name = name
        # One upper-case word: CONNECTING, STREAMING, BUFFERING, IDLE, STOPPED or FAILED.
        self.state = "CONNECTING"
        # What keeps it from sending, and what helps. Empty: nothing.
        self.trouble = ""
        # Whether nothing is tried any more.
        self.gave_up = False
        # Why there is no connection: name, certificate. The producer knows
        # only that there is none.
        self._obstacle = ""
        # Whether something has gone wrong since it was last connected, and
        # since it last had caught up.
        self._is_troubled = False
        self._is_behind = False
        self._resent_before = 0
        self._last: ProducerStatus | None = None
        self._said_at: dict[str, float] = {}
        self._has_ended = False
        self._has_crashed = False

    def obstacle(self, sentence: str) -> None:
        """Note why there is no connection, or that something was answered."""
        self._obstacle = sentence

    def missed(self) -> None:
        """Called when something that was asked for did not come."""
        self._is_troubled = True

    def take(self, status: ProducerStatus, now: float) -> bool:
        """
        Look at how it stands.

        Returns:
            Whether state or trouble are others than before. How often
            something was tried is no news.

        """
        if self._has_crashed:
            return False
        before, self._last = self._last, status
        if before is not None:
            self._tell_changes(before, status, now)
        state, trouble = self._word(status), status.trouble
        if state not in ("STREAMING", "STOPPED"):
            trouble = self._obstacle or trouble
        if not trouble and status.journal is not None:
            trouble = status.journal.trouble
        is_new = _without_figures(trouble) != _without_figures(self.trouble)
        changed = is_new or state != self.state
        if trouble and is_new:
            self._say(logging.WARNING, "trouble", now, "%s", trouble)
        self.state, self.trouble = state, trouble
        self.gave_up = status.state is ProducerState.FAILED
        return changed

    def end(self, status: ProducerStatus, fragments: int, now: float) -> None:
        """Say, once, what has not arrived."""
        if status.buffered_frames and not self._has_ended:
            self._say(
                logging.WARNING,
                "end",
                now,
                "%d fragments (%d frames, %.1f s) were not persisted%s.",
                fragments,
                status.buffered_frames,
                status.buffered_seconds,
                f"; {status.frames_stored} of the frames are in buffer_path, for the next start"
                if status.frames_stored
                else "",
            )
        self._has_ended = True

    def crashed(self, error: Exception) -> None:
        """Called when there is a mistake in here, which has ended everything."""
        self._has_crashed = self.gave_up = True
        self.state = ProducerState.FAILED.name
        self.trouble = f"A mistake in SpyGlass has ended the upload; please report it: {error!r}."

    def _word(self, status: ProducerStatus) -> str:
        if status.state.is_over:
            return status.state.name
        if status.state.is_connected:
            self._is_troubled = False
            return "STREAMING"
        if status.mending:
            return ProducerState.FAILED.name
        if self._is_troubled:
            return "BUFFERING"
        if status.state is ProducerState.IDLE and self.state in ("STREAMING", "IDLE"):
            return "IDLE"
        return "CONNECTING"

    def _tell_changes(self, before: ProducerStatus, status: ProducerStatus, now: float) -> None:
        if status.state.is_connected and not before.state.is_connected:
            self._say(logging.INFO, "connected", now, "connected.")
        causes = [
            cause
            for cause, count in status.reconnects.items()
            if count > before.reconnects.get(cause, 0)
        ]
        if causes:
            self._lost(before, causes[-1], status, now)
        if status.queue.frames_dropped > before.queue.frames_dropped:
            self._say(
                logging.WARNING,
                "dropped",
                now,
                "there was no room: %d frames have been dropped by now, the oldest first.",
                status.queue.frames_dropped,
                every_seconds=_DROPPED_SECONDS,
            )
        if not causes:
            # Else what is persisted was so before the break, and says nothing of its end.
            self._look_for_recovery(before, status, now)

    def _lost(self, before: ProducerStatus, cause: str, status: ProducerStatus, now: float) -> None:
        self._is_troubled = True
        if not self._is_behind:
            self._is_behind = True
            self._resent_before = before.fragments_resent
        self._say(
            logging.WARNING,
            "lost",
            now,
            "no connection: %s. %.1f s of video (%d frames) wait.",
            cause,
            status.buffered_seconds,
            status.buffered_frames,
            every_seconds=_MENDING_SECONDS if status.mending else _LINE_SECONDS,
        )

    def _look_for_recovery(
        self, before: ProducerStatus, status: ProducerStatus, now: float
    ) -> None:
        arrives = status.queue.fragments_persisted > before.queue.fragments_persisted
        if not self._is_behind or not arrives or status.buffered_seconds > _CAUGHT_UP_SECONDS:
            return
        if not status.state.is_connected and status.buffered_frames:
            return
        self._is_behind = False
        self._say(
            logging.INFO,
            "recovered",
            now,
            "recovered: %d fragments were sent once more, and nothing waits any longer.",
            status.fragments_resent - self._resent_before,
        )

    def _say(
        self,
        level: int,
        kind: str,
        now: float,
        text: str,
        *values: object,
        every_seconds: float = _LINE_SECONDS,
    ) -> None:
        if now - self._said_at.get(kind, float("-inf")) >= every_seconds:
            self._said_at[kind] = now
            logger.log(level, f"KVS stream %s: {text}", self._name, *values)  # noqa: G004


def _without_figures(sentence: str) -> str:
    return re.sub(r"[0-9]+", "", sentence)
