from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from backpack._cli.stop import StopRequest
from tests.cli.commands import environment


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_for_the_end(number: signal.Signals) -> None:
    """The first signal ends a wait and asks for the end; the next one would end at once."""
    signal.signal(number, lambda *_: None)
    with StopRequest(None) as ending:
        before = ending.is_due
        timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
        timer.start()

        assert ending.wait(30)
        timer.join()
        assert not before
        assert ending.is_due
        assert signal.getsignal(number) is signal.SIG_DFL


_AT_EVERY_LINE = """
import os, signal, sys
from backpack._cli.stop import StopRequest
from tests.cli.commands import environment

reached = True
at = 0
while reached:
    at += 1
    reached = False
    lines = 0

    def trace(frame, event, argument):
        global lines, reached
        lines += event == "line"
        if lines == at and not reached:
            reached = True
            os.kill(os.getpid(), signal.SIGTERM)
        return trace

    with StopRequest(9) as ending:
        sys.settrace(trace)
        ending.wait(0.2)
        sys.settrace(None)
        assert ending.is_due or not reached, at
print(at)
"""


def test_a_signal_may_come_at_any_moment_of_a_wait() -> None:
    """Whatever line it interrupts, the wait ends and so does the command."""
    done = subprocess.run(
        [sys.executable, "-c", _AT_EVERY_LINE],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) > 5


def test_ignored_signals_stay_ignored() -> None:
    """Under nohup the command goes on when the terminal closes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopRequest(None) as ending:
        os.kill(os.getpid(), signal.SIGHUP)

        assert not ending.wait(0.05)


def test_the_time_limit_ends_a_wait() -> None:
    """A wait is no longer than what is left."""
    begin = time.monotonic()
    with StopRequest(0.05) as ending:
        assert ending.wait(30)
        assert ending.is_due

    assert 0.05 <= time.monotonic() - begin < 20
