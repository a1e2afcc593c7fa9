"""Decide which encoders are to blame for the crashes of the streaming process."""

from __future__ import annotations

import collections
import signal

_CRASHES = frozenset(
    {signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGTRAP}
)
_CRASHES_FORGIVEN = 1


class Blame:
    """
    Count in how many crashes each encoder was at work.

    Starts nothing and logs nothing: the supervisor tells what it sees.
    """

    def __init__(self) -> None:
        # Encoders at work, by resource.
        self._at_work: dict[int, str | None] = {}
        self._crashes: collections.Counter[str] = collections.Counter()

    @property
    def passed_over(self) -> list[str]:
        """The encoders that the next streaming process is not to take."""
        return [name for name, crashes in self._crashes.items() if crashes > _CRASHES_FORGIVEN]

    def note(self, resource_id: int, encoder: str | None) -> None:
        """Note what encodes for a resource; None: nothing does."""
        self._at_work[resource_id] = encoder

    def forget(self, resource_id: int) -> None:
        """Forget a resource that has gone."""
        self._at_work.pop(resource_id, None)

    def start_anew(self) -> None:
        """Begin with a streaming process in which nothing encodes yet."""
        self._at_work.clear()

    def judge(self, status: int) -> list[str]:
        """
        Blame whatever was at work for a crash; give what is passed over for it.

        Args:
            status: How the streaming process ended, negative for a signal.
                SIGKILL is somebody's decision, and an exit no crash.

        """
        if -status not in _CRASHES:
            return []
        before = set(self.passed_over)
        self._crashes.update({name for name in self._at_work.values() if name is not None})
        return [name for name in self.passed_over if name not in before]
