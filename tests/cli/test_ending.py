from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from backpack.cli.ending import Ending


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_asks_for_the_end(number: signal.Signals) -> None:
    """The first signal ends a wait and asks for the end; the next one would end at once."""
    signal.signal(number, lambda *_: None)
    with Ending(None) as ending:
        before = ending.is_due
        timer = threading.Timer(0.05, os.kill, (os.getpid(), number))
        timer.start()

        assert ending.wait(30)
        timer.join()
        assert not before
        assert ending.is_due
        assert signal.getsignal(number) is signal.SIG_DFL


def test_ignored_signals_stay_ignored() -> None:
    """Under nohup the command goes on when the terminal closes."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Ending(None) as ending:
        os.kill(os.getpid(), signal.SIGHUP)

        assert not ending.wait(0.05)


def test_the_time_limit_ends_a_wait() -> None:
    """A wait is no longer than what is left."""
    begin = time.monotonic()
    with Ending(0.05) as ending:
        assert ending.wait(30)
        assert ending.is_due

    assert 0.05 <= time.monotonic() - begin < 20
