"""Step behind the application: take little of the computing time that it wants itself."""

from __future__ import annotations

import contextlib
import os
import signal

NICE = 15
"""
How far behind. Beside one busy thread of the application on the same core,
nice 15 has 3 % of it: three pictures of 1080p a second. Nice 19 or the idle class
would leave the application 99 %, but its viewers without a picture for seconds.
"""

# A flag in what the kernel gives as the policy.
_RESET_ON_FORK = getattr(os, "SCHED_RESET_ON_FORK", 0)


def step_behind() -> None:
    """
    Set a low priority for this process, in the application's own session.

    Beware of autogroups: a process in a session of its own is scheduled as a
    group of its own, and nice then counts for nothing against the application
    (sched(7), "The autogroup feature"). So the session is kept, and only the
    process group is ours: a Ctrl-C in the terminal is meant for the
    application, which then stops us.
    """
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _never_preempt_on_wakeup()
    with contextlib.suppress(OSError):
        # An application that is nice itself stays as far ahead.
        os.setpriority(os.PRIO_PROCESS, 0, min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE))


def _never_preempt_on_wakeup() -> None:
    """
    Use the batch policy, in this thread and all threads and processes that it starts.

    A thread that has slept is due at once when it wakes up, whatever its nice
    value: under the default policy the intake thread that `put` wakes takes the
    core from `put` itself and converts a frame before `put` returns. A batch
    thread waits for the next tick or a free core; its share of a busy core stays
    that of its nice value (sched(7), "SCHED_BATCH"). It also takes away a
    real-time policy that an application has handed down, under which nice
    values have no effect. The idle policy, which is weaker still, is left.
    """
    # Linux alone has these policies.
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) & ~_RESET_ON_FORK != os.SCHED_IDLE:
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
