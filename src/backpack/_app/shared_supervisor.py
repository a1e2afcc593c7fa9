"""The one supervisor of this process, at exits and forks, too."""

from __future__ import annotations

import atexit
import os
import threading

from backpack._app.supervisor import Supervisor

_shared: Supervisor | None = None
_shared_lock = threading.Lock()


def shared_supervisor() -> Supervisor:
    """Return the supervisor of this process; a forked child gets one of its own."""
    global _shared  # noqa: PLW0603 - one a process is the point
    with _shared_lock:
        if _shared is None:
            _shared = Supervisor()
        return _shared


def _at_exit() -> None:
    if _shared is not None:
        _shared.shut_down()


def _after_fork_in_child() -> None:
    global _shared, _shared_lock
    abandoned = _shared
    _shared, _shared_lock = None, threading.Lock()
    if abandoned is not None:
        abandoned.abandon()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
