"""Decide how many frames a second are worth it while the application needs every core."""

from __future__ import annotations

import contextlib
import os

_SECOND_NS = 1_000_000_000

CROWDED = 0.6
"""Share of its time that the process waits for a core, from which on it does less."""

CROWDED_WAIT = 0.25
"""
Seconds waited a second, without which nothing is crowded: small threads that
hand work to each other always wait a little.
"""

ROOMY = 0.4
ROOMY_WAIT = 0.15
"""What is below either of these does more again."""

LEAST_FPS = 8
"""What it goes down to: enough to follow what happens."""

_PATIENCE = 3
_LEAST_SAMPLE_NS = 5_000_000


class Governor:
    """
    Takes fewer frames where the application saturates the machine.

    Low priority alone keeps the encoder from taking a core; but what it takes
    it takes from the application, for pictures that come late anyway. So when
    the process waits for a core more than it runs, fewer frames are asked for,
    which also spares the application their copies.

    Reads no clock and no file. Not thread-safe: the main thread's.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int, int] | None = None
        self._interval_ns = 0
        self._roomy_samples = 0

    @property
    def interval_ns(self) -> int:
        """How far apart frames should be; 0: as the application likes."""
        return self._interval_ns

    def sample(self, now_ns: int, ran_ns: int, waited_ns: int) -> int:
        """
        Take a sample, about once a second while somebody watches.

        Args:
            now_ns: The monotonic clock.
            ran_ns: Time that the process's threads have run until now.
            waited_ns: Time that they could have run but had no core.

        Returns:
            How far apart frames should be, in nanoseconds; 0: no matter.

        """
        last, self._last = self._last, (now_ns, ran_ns, waited_ns)
        if last is None:
            return self._interval_ns
        # Threads that have ended take their times along.
        ran_ns, waited_ns = max(0, ran_ns - last[1]), max(0, waited_ns - last[2])
        wait = waited_ns / max(1, now_ns - last[0])
        if ran_ns + waited_ns < _LEAST_SAMPLE_NS:
            return self._interval_ns
        share = waited_ns / (ran_ns + waited_ns)
        if share > CROWDED and wait > CROWDED_WAIT:
            self._roomy_samples = 0
            self._interval_ns = _SECOND_NS // LEAST_FPS
        elif self._interval_ns and (share < ROOMY or wait < ROOMY_WAIT):
            self._roomy_samples += 1
            if self._roomy_samples >= _PATIENCE:
                self._roomy_samples = 0
                # Twice as many, until the next samples say that there is room.
                halved_ns = self._interval_ns // 2
                self._interval_ns = halved_ns if halved_ns > _SECOND_NS // 60 else 0
        else:
            self._roomy_samples = 0
        return self._interval_ns

    def forget(self) -> None:
        """Begin anew: nobody watches any more."""
        self._last = None
        self._interval_ns = 0
        self._roomy_samples = 0


def time_on_cpu() -> tuple[int, int] | None:
    """
    Return how long this process's threads have run, and have waited for a core.

    Nanoseconds, summed over the threads that there are (Documentation of the
    Linux kernel, scheduler/sched-stats); None where the kernel does not tell.
    """
    ran_ns = waited_ns = 0
    try:
        threads = [entry.name for entry in os.scandir("/proc/self/task")]
    except OSError:
        return None
    for thread in threads:
        # A thread may end meanwhile.
        with contextlib.suppress(OSError, ValueError):
            path = f"/proc/self/task/{thread}/schedstat"
            with open(path, "rb") as file:  # noqa: PTH123 - read every second
                ran, waited, _ = file.read().split()
            ran_ns += int(ran)
            waited_ns += int(waited)
    return (ran_ns, waited_ns) if ran_ns else None
