"""Step behind the application: take little of the computing time that it wants itself."""

from __future__ import annotations

import contextlib
import os
import signal

__all__ = ["NICE", "step_behind"]

NICE = 15
"""
How far behind. Beside one busy thread of the application on the same core,
nice 15 has 3 % of it: three pictures of 1080p a second. Nice 19 or the idle class
would leave the application 99 %, but its viewers without a picture for seconds.
"""


def step_behind() -> None:
    """
    Give this process a low priority, in the application's own session.

    Beware of autogroups: a process in a session of its own is scheduled as a
    group of its own, and nice then counts for nothing against the application
    (sched(7), "The autogroup feature"). So the session is kept, and only the
    process group is ours: a Ctrl-C in the terminal is meant for the
    application, which then stops us.
    """
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        # An application that is nice itself stays as far ahead.
        os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE))
