"""Names of threads that the operating system shows, as `top -H` and `ps -L` do."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

_LONGEST = 15


def show_name() -> None:
    """
    Show the present thread's name outside of Python, where that goes.

    Python does so by itself from 3.14 on. The kernel takes 15 letters: what
    all our threads have in common is left out (proc(5), ``comm``).
    """
    name = threading.current_thread().name.removeprefix("spyglass-")[:_LONGEST]
    with contextlib.suppress(OSError):
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)
