"""Recognise a shortage of descriptors, threads or memory, and say what to do."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import resource
import threading
from typing import Final

from backpack.errors import BackpackError, ShortageError

_FILES: Final = "files"
_TASKS: Final = "tasks"
_MEMORY: Final = "memory"

_KINDS: Final = {
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    # What fork(2) and pthread_create(3) say; all else that says it is asked again, not reported.
    errno.EAGAIN: _TASKS,
    errno.ENOMEM: _MEMORY,
}

# In what Python, GLib and the C library write, the surest first.
_WORDS: Final = (
    ("Too many open files", _FILES),
    ("can't start new thread", _TASKS),
    ("Error creating thread", _TASKS),
    ("Cannot allocate memory", _MEMORY),
    ("MemoryError", _MEMORY),
    ("failed to allocate", _MEMORY),
    ("failed to map segment", _MEMORY),
    ("Resource temporarily unavailable", _TASKS),
)
_ADDRESSES: Final = 1 << 30

_WARNING: Final = re.compile(r"(?:WARNING|CRITICAL|Message) \*\*: ")

_PROBED_FILES: Final = 8
_PROBED_THREADS: Final = 12
"""What a trial of an encoder needs at least, beside what runs already."""


def shortage(error: BaseException) -> ShortageError | None:
    """Return what is short where that has caused an error, or None."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ShortageError):
            return cause
        kind = _MEMORY if isinstance(cause, MemoryError) else None
        if isinstance(cause, OSError):
            kind = _KINDS.get(cause.errno or 0)
        if kind is not None:
            return _short_of(kind, str(cause))
        cause = cause.__cause__
    return find_shortage(str(error))


def find_shortage(text: str) -> ShortageError | None:
    """Return what is short where a text says so, as the last words of a process do; else None."""
    for line in reversed(text.splitlines()):
        if _WARNING.search(line):
            # Viewers choose what stands in some of them.
            continue
        for words, kind in _WORDS:
            if words in line:
                return _short_of(kind, words)
    return None


def explain(error: Exception, *, ask: bool = False) -> BackpackError:
    """
    Return what is short where that has caused an error, else the error itself.

    Args:
        error: What has failed.
        ask: Whether to find out what is short, as the error says nothing of its cause.

    Raises:
        Exception: The error, if it is none of ours and nothing is short.

    """
    found = shortage(error) or (probe() if ask else None)
    if found is not None:
        return found
    if isinstance(error, BackpackError):
        return error
    raise error


def probe() -> ShortageError | None:
    """Take a few descriptors and threads for a moment; say of which there are too few, if any."""
    with contextlib.ExitStack() as undo:
        end = threading.Event()
        undo.callback(end.set)
        try:
            for _ in range(_PROBED_FILES):
                undo.callback(os.close, os.open(os.devnull, os.O_RDONLY))
            for _ in range(_PROBED_THREADS):
                thread = threading.Thread(target=end.wait, daemon=True)
                thread.start()
                undo.callback(thread.join)
                # Before each is joined.
                undo.callback(end.set)
        except (OSError, RuntimeError, MemoryError) as error:
            return shortage(error)
    return None


def _short_of(kind: str, said: str) -> ShortageError:
    if kind == _TASKS and 0 <= resource.getrlimit(resource.RLIMIT_AS)[0] < _ADDRESSES:
        # A thread takes 8 MB of addresses, and says the same where there are none.
        kind = _MEMORY
    if kind == _FILES:
        return ShortageError(
            f"There are too few file descriptors ({said}){_limit(resource.RLIMIT_NOFILE)}. "
            "Streaming needs about 40, and some more for each viewer. Raise the limit: "
            "`ulimit -n 4096` before the application is started, LimitNOFILE=4096 in a systemd "
            "unit, `docker run --ulimit nofile=4096` for a container."
        )
    if kind == _TASKS:
        return ShortageError(
            f"No more threads or processes can be started ({said})"
            f"{_limit(resource.RLIMIT_NPROC)}. Streaming needs about 30. Raise the limit: "
            "`ulimit -u 4096` before the application is started, LimitNPROC=4096 and "
            "TasksMax=4096 in a systemd unit, `docker run --pids-limit 4096` for a container; or "
            "end other programs of this user."
        )
    return ShortageError(
        f"There is too little memory ({said}){_limit(resource.RLIMIT_AS)}. Streaming needs about "
        "100 MB, and 1 GB of addresses. Raise the limit: `ulimit -v unlimited` before the "
        "application is started, MemoryMax= in a systemd unit, `docker run --memory` for a "
        "container."
    )


def _limit(number: int) -> str:
    soft, _ = resource.getrlimit(number)
    return "" if soft == resource.RLIM_INFINITY else f"; the limit is {soft}"
