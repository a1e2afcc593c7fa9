"""Read what processes cost from ``/proc``: time on the processors and memory."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

__all__ = ["children", "cpu_seconds", "descendants", "memory_mb", "ring_elsewhere_mb", "threads"]

# include/linux/posix-timers.h: the clock that counts what a whole process ran.
_CPUCLOCK_SCHED = 2
NANOSECOND = 1_000_000_000


def cpu_seconds(pid: int) -> float:
    """
    Tell how long a process ran so far, its threads that ended included.

    The process' clock counts nanoseconds; ``/proc/PID/stat`` counts in steps
    of 10 ms, which is as much as an idle process uses in ten seconds.
    """
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:
        return 0.0  # it ended


def threads(pid: int) -> dict[int, tuple[str, float]]:
    """Tell for each living thread of a process its name and how many seconds it ran."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # it ended meanwhile
            name = (task / "comm").read_text().strip()
            ran_ns = int((task / "schedstat").read_text().split()[0])
            found[int(task.name)] = (name, ran_ns / NANOSECOND)
    return found


def children(pid: int) -> list[int]:
    """List the processes that a process started and that still run."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """List the processes below a process, whatever started them."""
    below = children(pid)
    return below + [deeper for child in below for deeper in descendants(child)]


def memory_mb(pid: int) -> float:
    """Tell a process' share of memory (PSS): what it shares is divided by the sharers."""
    return _sum_kb(Path(f"/proc/{pid}/smaps_rollup").read_text(), "Pss:") / 1024


def ring_elsewhere_mb(pid: int) -> float:
    """
    Tell how much of the frames' ring the process' PSS leaves to others.

    Added to ``memory_mb`` it counts the shared ring once, and whole.
    """
    missing_kb = 0.0
    in_ring = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        fields = line.split()
        if "-" in fields[0] and not fields[0].endswith(":"):
            in_ring = "memfd:" in line
        elif in_ring and fields[0] == "Rss:":
            missing_kb += float(fields[1])
        elif in_ring and fields[0] == "Pss:":
            missing_kb -= float(fields[1])
    return missing_kb / 1024


def _sum_kb(text: str, key: str) -> float:
    return sum(float(line.split()[1]) for line in text.splitlines() if line.startswith(key))
