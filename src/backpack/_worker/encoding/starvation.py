"""Distinguishes an encoder that hangs from one that is not given the CPU."""

from __future__ import annotations

import contextlib
import os
from typing import Final

_TASKS: Final = "/proc/self/task"


class CpuWait:
    """
    Measure how long threads of this process are ready to run but do not.

    Streaming runs at the lowest priority: beside an application that uses
    every core a picture may take seconds. Measuring begins when this is made.
    """

    def __init__(self) -> None:
        # By thread: one that ends meanwhile must not take its share back.
        self._before = _waited_ns()

    def seconds(self) -> float:
        """Return the sum over all threads; zero where the system does not count it."""
        now = _waited_ns()
        return sum(waited - self._before.get(task, 0) for task, waited in now.items()) / 1e9


def _waited_ns() -> dict[str, int]:
    waited: dict[str, int] = {}
    with contextlib.suppress(OSError):
        for task in os.listdir(_TASKS):  # noqa: PTH208 - a path object more per thread
            # A thread may end in between.
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"{_TASKS}/{task}/schedstat", "rb") as file,  # noqa: PTH123
            ):
                # Documentation/scheduler/sched-stats.rst: time on the CPU,
                # time waiting for it, times it was given it.
                waited[task] = int(file.read().split()[1])
    return waited
