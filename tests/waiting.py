"""Wait for what must happen, with a deadline instead of a sleep."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")

PATIENCE = 30.0
"""Seconds; reached only where something is broken."""


def wait_for(
    look: Callable[[], Result], seconds: float = PATIENCE, *, every: float = 0.01, what: str = ""
) -> Result:
    """Look again and again until what is seen is true, and give it."""
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or look} did not come true within {seconds:.0f} s")
        time.sleep(every)


def stays_true(look: Callable[[], object], seconds: float, *, every: float = 0.01) -> bool:
    """Tell whether something stays as it is for so long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not look():
            return False
        time.sleep(every)
    return True


def open_descriptors(pid: int | str = "self") -> int:
    """
    Count the open descriptors of a process.

    Who compares should take fewer for good: what an earlier test has left to
    the garbage collector, or to a thread that ends late, may go any time.
    """
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def is_running(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid: int | None = None) -> set[int]:
    """List the children of a process, zombies as well."""
    parent = os.getpid() if pid is None else pid
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == parent:
                found.add(int(entry.name))
    return found


def threads_named(prefix: str) -> list[threading.Thread]:
    """List our own threads by the start of their name."""
    return [one for one in threading.enumerate() if one.name.startswith(prefix)]
