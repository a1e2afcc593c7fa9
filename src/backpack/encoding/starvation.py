"""Tell an encoder that hangs from one that is not given the CPU."""

from __future__ import annotations

import contextlib
import os
from typing import Final

__all__ = ["waited_for_cpu_seconds"]

_TASKS: Final = "/proc/self/task"


def waited_for_cpu_seconds() -> float:
    """
    Tell how long threads of this process were ready to run but did not.

    Summed over all threads that there are now. Streaming runs at the lowest
    priority: beside an application that uses every core a picture may take
    seconds. Zero where the system does not count it.
    """
    waited_ns = 0
    with contextlib.suppress(OSError):
        for task in os.listdir(_TASKS):  # noqa: PTH208 - a path object more per thread
            # A thread may end in between.
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"{_TASKS}/{task}/schedstat", "rb") as file,  # noqa: PTH123
            ):
                # Documentation/scheduler/sched-stats.rst: time on the CPU,
                # time waiting for it, times it was given it.
                waited_ns += int(file.read().split()[1])
    return waited_ns / 1e9
