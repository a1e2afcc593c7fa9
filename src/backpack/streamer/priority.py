"""Step behind the application: take the computing time that it leaves."""

from __future__ import annotations

import contextlib
import os
import signal

__all__ = ["step_behind"]

LOWEST_NICE = 19


def step_behind() -> None:
    """
    Give this process the lowest priority, in the application's own session.

    Beware of autogroups: a process in a session of its own is scheduled as a
    group of its own, and nice and the idle class then count for nothing
    against the application (sched(7), "The autogroup feature"). So the session
    is kept, and only the process group is ours: a Ctrl-C in the terminal is
    meant for the application, which then stops us.
    """
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, LOWEST_NICE)
    if hasattr(os, "SCHED_IDLE"):
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
