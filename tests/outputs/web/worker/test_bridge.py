from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from backpack._lib import asyncio_thread
from backpack._outputs.web.worker.bridge import Crossing

if TYPE_CHECKING:
    import pytest


def test_a_thread_that_hangs_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing does not wait for it for ever, and says so."""
    monkeypatch.setattr(asyncio_thread, "END_SECONDS", 0.05)
    crossing = Crossing()
    hangs, go_on = threading.Event(), threading.Event()
    crossing.call(hangs.set)
    crossing.call(go_on.wait)
    assert hangs.wait(30)

    crossing.close()

    assert "left behind" in caplog.text
    assert crossing._thread.daemon
    go_on.set()
    crossing._thread.join(30)
    assert not crossing._thread.is_alive()
    # Round by round, since what was to cancel everything would cancel a task of ours, too.
    while asyncio.all_tasks(crossing.loop):
        crossing.loop.call_soon(crossing.loop.stop)
        crossing.loop.run_forever()
    crossing.loop.close()
