"""
Calls on the main thread of the streaming process, where GLib's main loop runs.

All streams, all servers and all their viewers are served there, so nothing on it may wait:
what has to wait does so on a thread of its own (`in_background`).
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from backpack._gst.gi import GLib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

logger = logging.getLogger(__name__)

READABLE = GLib.IOCondition.IN | GLib.IOCondition.HUP | GLib.IOCondition.ERR


class Timer:
    """A call that is due later. Main thread."""

    def __init__(self, seconds: float, function: Callable[..., object], *arguments: object) -> None:
        self._function = function
        self._arguments = arguments
        self._source = GLib.timeout_add(max(0, round(seconds * 1000)), self._run)

    def cancel(self) -> None:
        """Drop the call, unless it has been made. Idempotent."""
        source, self._source = self._source, 0
        if source:
            GLib.source_remove(source)

    def _run(self) -> bool:
        self._source = 0
        self._function(*self._arguments)
        return GLib.SOURCE_REMOVE


def call_soon(function: Callable[..., object], *arguments: object) -> None:
    """Call a function on the main thread. Any thread. Does not block."""

    def once() -> bool:
        function(*arguments)
        return GLib.SOURCE_REMOVE

    GLib.idle_add(once)


def watch(fd: int, call: Callable[[int, GLib.IOCondition], bool]) -> None:
    """Call on the main thread whenever a descriptor is readable, until the call returns False."""
    # PyGObject takes descriptors here; the stubs know of channels only.
    GLib.io_add_watch(fd, GLib.PRIORITY_HIGH, READABLE, call)  # type: ignore[arg-type]


def done() -> Future[None]:
    """Return a future of something that is over."""
    future: Future[None] = Future()
    future.set_result(None)
    return future


def in_background(work: Callable[[], object], name: str) -> Future[None]:
    """
    Run something that waits, on a thread of its own. Main thread.

    Returns:
        A future that is done, on the main thread, when the work is. What the work
        raises is logged.

    """
    future: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except Exception:
            logger.exception("%s has failed.", name)
        call_soon(future.set_result, None)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        # No thread is left. Everything else waits meanwhile, but nothing is left undone.
        run()
    return future


def when_all_done(futures: Iterable[Future[None]], then: Callable[[], object]) -> None:
    """Call a function once all futures are done: at once if they are, else on the main thread."""
    waiting = [future for future in futures if not future.done()]
    if not waiting:
        then()
        return
    left = len(waiting)

    def one_is_done(_: Future[None]) -> None:
        nonlocal left
        left -= 1
        if not left:
            then()

    for future in waiting:
        future.add_done_callback(one_is_done)
