from __future__ import annotations

import os
import threading
import time

from backpack._worker.encoding.starvation import CpuWait


def test_waiting_for_the_cpu_is_counted_and_waiting_for_anything_else_is_not() -> None:
    """Two busy threads on one core wait for each other; a sleeping one waits for nothing."""
    allowed = os.sched_getaffinity(0)
    idle = CpuWait()
    threading.Event().wait(0.3)
    waited_idle = idle.seconds()
    os.sched_setaffinity(0, {min(allowed)})
    try:
        child = os.fork()
        if child == 0:
            end = time.monotonic() + 1.0
            while time.monotonic() < end:
                pass
            os._exit(0)
        busy, end = CpuWait(), time.monotonic() + 1.0
        while time.monotonic() < end:
            pass
        waited_busy = busy.seconds()
        os.waitpid(child, 0)
    finally:
        os.sched_setaffinity(0, allowed)
    assert waited_busy > 0.2
    assert waited_idle < waited_busy
