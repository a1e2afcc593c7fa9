"""Notice that an application puts more frames than the default rate passes on."""

from __future__ import annotations

from typing import Final

_WINDOW_SECONDS: Final = 3.0
_MUCH: Final = 1.25
_NEARLY: Final = 0.8


class RateCap:
    """
    Compare, while somebody watches, how many frames come and how many pass. Reads no clock.

    Args:
        max_fps: Frames per second that pass at the most.

    """

    def __init__(self, max_fps: float) -> None:
        self._max_fps = max_fps
        self._begun: tuple[float, int, int] | None = None
        self._is_told = False

    def note(self, now: float, accepted: int, not_due: int) -> float | None:
        """
        Note the counters of frames that have passed, and of those that were not due.

        Args:
            now: Monotonic seconds.
            accepted: Frames that were taken until now.
            not_due: Frames that came too soon after another one until now.

        Returns:
            Once, how many frames a second are put, where the cap alone is what
            leaves many of them out.

        """
        if self._begun is None:
            self._begun = now, accepted, not_due
        since, accepted_before, not_due_before = self._begun
        seconds = now - since
        if self._is_told or seconds < _WINDOW_SECONDS:
            return None
        self._begun = now, accepted, not_due
        passed = (accepted - accepted_before) / seconds
        put = passed + (not_due - not_due_before) / seconds
        # Where fewer pass than may, it is something else that leaves them out.
        if passed < _NEARLY * self._max_fps or put < _MUCH * self._max_fps:
            return None
        self._is_told = True
        return put
