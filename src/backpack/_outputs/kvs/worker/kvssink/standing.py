"""State and problem of a stream through kvssink, for operators."""

from __future__ import annotations

import logging
import re
import threading
from typing import TYPE_CHECKING, Final

from backpack._outputs.kvs.shared.refusals import NextStep

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.kvssink.complaints import Complaint

logger = logging.getLogger("backpack._outputs.kvs.worker.kvssink.runner")

_COMPLAINING_SECONDS: Final = 2.0
"""kvssink tries again by itself: only what goes on for so long is told."""

_NO_CREDENTIALS: Final = "kvssink waits for credentials from the application."
_MENDING: Final = frozenset({NextStep.CREATE, NextStep.MEND, NextStep.FAIL})


class Standing:
    """
    A state in one word, and a sentence where something keeps video from arriving.

    Reads no clock. `state`, `trouble` and `failed` are for any thread, the rest is the
    runner's.

    Args:
        stream_name: What the log calls it.
        create_stream: Whether kvssink creates a stream that is missing.

    """

    def __init__(self, stream_name: str, *, create_stream: bool) -> None:
        self._name = stream_name
        self._creates = create_stream
        self._lock = threading.Lock()
        self._state = "CONNECTING"
        self._trouble = ""
        self._failed = False
        # What kvssink complains of since when; and whether that is what is told.
        self._complaint: Complaint | None = None
        self._since = 0.0
        self._is_told = False
        self._warned = ""

    @property
    def state(self) -> str:
        """CONNECTING, STREAMING, BUFFERING, FAILED or STOPPED."""
        with self._lock:
            return self._state

    @property
    def trouble(self) -> str:
        """What keeps it from delivering, and what helps. Empty: nothing."""
        with self._lock:
            return self._trouble

    @property
    def failed(self) -> bool:
        """Whether kvssink is missing: nothing will ever be delivered."""
        with self._lock:
            return self._failed

    @property
    def wake_at(self) -> float | None:
        """When to `look` again. None: nothing is complained of that was not told."""
        if self._complaint is None or self._is_told:
            return None
        return self._since + self._patience

    def complain(self, complaint: Complaint, now: float) -> None:
        """Called when kvssink has failed at something. It mostly tries again."""
        if complaint.refusal.next_step is NextStep.CREATE and self._creates:
            return
        if self._complaint is None:
            self._since = now
        elif not complaint.refusal.sentence:
            # It says less than the one before.
            return
        elif complaint.refusal.sentence != self._complaint.refusal.sentence:
            # It was something else until now: that counts, but is not what is told.
            self._is_told = False
        self._complaint = complaint

    def look(self, now: float, *, waits: bool) -> bool:
        """
        Log what has been complained of for long; return whether there was something.

        Args:
            now: The time.
            waits: Whether there is anything to deliver. Where the source is silent, AWS
                closes connections, and nobody has to know.

        Returns:
            Whether that is new.

        """
        if not waits:
            self._complaint = None
        complaint = self._complaint
        if complaint is None or self._is_told or now < self._since + self._patience:
            return False
        self._is_told = True
        sentence = complaint.refusal.sentence or f"kvssink delivers nothing: {complaint.cause}."
        mends = complaint.refusal.next_step in _MENDING
        self._set("FAILED" if mends else "BUFFERING", sentence)
        self._warn_once(sentence)
        return True

    def connecting(self) -> None:
        """Called when a child was started."""
        if not self._is_told:
            self._set("CONNECTING", self.trouble)

    def answered(self, *, started: bool = False) -> None:
        """Called when AWS takes what kvssink sends, or (``started``) lets it begin."""
        if self._is_told or started:
            self._set("STREAMING", "" if self._is_told else self.trouble)
        self._complaint, self._is_told = None, False

    def delivered(self) -> None:
        """Called when video has arrived: nothing keeps it from that now."""
        self._set(self.state, "")
        self._warned = ""

    def lacks_credentials(self, *, lacks: bool) -> None:
        """Note whether the application has none yet."""
        if lacks:
            self._set(self.state, _NO_CREDENTIALS)
        elif self.trouble == _NO_CREDENTIALS:
            self._set(self.state, "")

    def broke(self, reason: str, wait_seconds: float) -> None:
        """Called when a child has ended, and is started again."""
        reason = f"kvssink has failed: {reason.rstrip('.')}."
        if self._complaint is not None and not self._complaint.refusal.sentence:
            # The end says more.
            self._complaint = None
        if not self._is_told:
            self._set("BUFFERING", f"{reason} It is started again.")
        self._warn_once(f"{reason} Starting it again in {wait_seconds:.1f} s.")

    def give_up(self, why: str) -> bool:
        """Called when nothing will ever be delivered; False: that was known."""
        with self._lock:
            known, self._failed = self._failed, True
            if not known:
                self._state, self._trouble = "FAILED", why
        return not known

    def stopped(self) -> None:
        """Called when it is over, as asked for."""
        with self._lock:
            if not self._failed:
                self._state = "STOPPED"

    def warn(self, text: str) -> None:
        """Log something."""
        logger.warning("KVS stream %s: %s", self._name, text)

    @property
    def _patience(self) -> float:
        passes = None if self._complaint is None else self._complaint.refusal.passes_seconds
        return max(_COMPLAINING_SECONDS, passes or 0.0)

    def _set(self, state: str, trouble: str) -> None:
        with self._lock:
            self._state, self._trouble = state, trouble

    def _warn_once(self, text: str) -> None:
        """Log it unless that is what was logged last, but for its figures."""
        plain = re.sub(r"[0-9.]+", "", text)
        if plain != self._warned:
            self._warned = plain
            self.warn(text)
