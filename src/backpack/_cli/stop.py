"""Learn that a command is to end: Ctrl-C, SIGTERM, a closed terminal, or its time is over."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from typing_extensions import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """
    Turn signals and a time limit into one question.

    The first signal asks for an orderly end; a second one ends at once, as
    it would without us. Used by the main thread, as signals are.

    Args:
        seconds: Time limit, from entering on. None: there is none.

    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._deadline: float | None = None
        self._is_asked = False
        # No threading.Event: a signal that comes while the main thread holds the event's lock,
        # on its way into wait(), would have the handler wait for that lock for ever.
        self._pipe: tuple[int, int] | None = None
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
        self._pipe = os.pipe()
        if self._seconds is not None:
            self._deadline = time.monotonic() + self._seconds
        for number in _SIGNALS:
            before = signal.getsignal(number)
            # nohup and shells' background jobs ask us to ignore some.
            if before is not signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number in self._before:
            # Not the handler of before, but the bare default: from here on
            # nothing is left that Python would have to clean up.
            signal.signal(number, signal.SIG_DFL)
        pipe, self._pipe = self._pipe, None
        for fd in pipe or ():
            os.close(fd)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._is_asked = True
        if self._pipe is not None:
            os.write(self._pipe[1], b"\0")

    @property
    def is_due(self) -> bool:
        """Whether to end now."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._is_asked

    def wait(self, seconds: float) -> bool:
        """Wait for the end, so long at the most, and tell whether it is due."""
        if self._deadline is not None:
            seconds = min(seconds, self._deadline - time.monotonic())
        if self._pipe is not None and not self._is_asked:
            # What is written stays: once asked for, no wait is one any more.
            poll = select.poll()
            poll.register(self._pipe[0], select.POLLIN)
            poll.poll(max(0.0, seconds * 1000))
        return self.is_due
