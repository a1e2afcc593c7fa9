"""Learn that a command is to end: Ctrl-C, SIGTERM, a closed terminal, or its time is over."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType, TracebackType

    from typing_extensions import Self

__all__ = ["Ending"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
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
        self._asked = threading.Event()
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Self:
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

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self._asked.set()
        signal.signal(number, signal.SIG_DFL)

    @property
    def is_due(self) -> bool:
        """Tell whether to end now."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return True
        return self._asked.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, so long at the most, and tell whether it is due."""
        if self._deadline is not None:
            seconds = min(seconds, self._deadline - time.monotonic())
        self._asked.wait(max(0.0, seconds))
        return self.is_due
