"""Decide which encoder a stream runs, and when to look for another one."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from backpack._lib.shortage import explain
from backpack._lib.timing import Backoff
from backpack._worker.encoding.trial import choose
from backpack.errors import BackpackError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._ipc.settings import StreamSettings
    from backpack._worker.encoding.encoders import EncoderSpec
    from backpack.errors import EncoderError

logger = logging.getLogger(__name__)

_SECOND_NS = 1_000_000_000
_PAUSE_SECONDS = 0.5


class EncoderChoice:
    """
    Hold the row of the table that a stream encodes with.

    Trials take their time: everything is called by the intake's thread.

    Args:
        settings: What the application asked for.
        passed_over: Encoders that have failed in this application.
        on_ready: Called with None when an encoder was found, with the error
            when none works any more.

    """

    def __init__(
        self,
        settings: StreamSettings,
        passed_over: set[str],
        on_ready: Callable[[BackpackError | None], None],
    ) -> None:
        self._settings = settings
        self._passed_over = passed_over
        self._on_ready = on_ready
        self._patience = Backoff(5.0, 60.0)
        # What is tried for: until a frame or the placeholder says so, the size that
        # was asked for, or a guess.
        self._size = settings.video_size()
        self._is_sure = settings.width is not None and settings.height is not None
        self.spec: EncoderSpec | None = None
        # What went wrong last.
        self.error: str | None = None
        # When to look again. None: there is one.
        self.again_at_ns: int | None = 0

    @property
    def wants_size(self) -> bool:
        """Whether the size of the video would matter and is only guessed."""
        return self.spec is not None and self.spec.hardware and not self._is_sure

    def look(self, now_ns: int) -> bool:
        """Look for an encoder if there is none and it is time to; tell whether there is one."""
        if self.again_at_ns is not None and now_ns >= self.again_at_ns:
            self._choose()
        return self.spec is not None

    def fit(self, width: int, height: int) -> None:
        """
        Note the size of the video, and choose again if it makes a difference.

        Hardware has limits of size; a viewer must not be the first to meet them.
        """
        if not self.wants_size:
            return
        tried_for = self._size
        self.note_size(self._settings.video_size(width, height))
        if self._size != tried_for:
            self._choose()

    def note_size(self, size: tuple[int, int]) -> None:
        """Note the size of the video, for the next choice."""
        self._size, self._is_sure = size, True

    def replace(self, failure: EncoderError) -> None:
        """Go on with the next encoder of the table, as this one has failed."""
        if self.spec is None:
            return
        self.error = str(failure)
        if self._settings.encoder is None:
            logger.warning("%s It is passed over from now on.", failure)
            self._passed_over.add(self.spec.name)
        else:
            logger.warning("%s It was asked for and is started again.", failure)
            time.sleep(_PAUSE_SECONDS)
        self._choose()

    def _choose(self) -> None:
        width, height = self._size
        try:
            self.spec = choose(
                self._settings.encoder, self._passed_over, width=width, height=height
            )
        except (BackpackError, OSError, RuntimeError, MemoryError) as failure:
            # An encoder that lacks threads only says that it cannot be started.
            error = explain(failure, ask=True)
            self.spec = None
            self.error = str(error)
            # What failed for want of memory or of a device may work later.
            self._passed_over.clear()
            wait_ns = round(self._patience.next_wait() * _SECOND_NS)
            self.again_at_ns = time.monotonic_ns() + wait_ns
            self._on_ready(error)
        else:
            self.again_at_ns = None
            self._on_ready(None)
