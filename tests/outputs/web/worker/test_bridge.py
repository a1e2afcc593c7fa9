from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from backpack._lib import asyncio_thread
from backpack._outputs.web.worker.bridge import LoopBridge

if TYPE_CHECKING:
    import pytest


def test_a_thread_that_hangs_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing does not wait for it for ever, and says so."""
    monkeypatch.setattr(asyncio_thread, "END_SECONDS", 0.05)
    bridge = LoopBridge()
    hangs, go_on = threading.Event(), threading.Event()
    bridge.call(hangs.set)
    bridge.call(go_on.wait)
    assert hangs.wait(30)

    bridge.close()

    assert "left behind" in caplog.text
    assert bridge._thread.daemon
    go_on.set()
    bridge._thread.join(30)
    assert not bridge._thread.is_alive()
    # Round by round, since what was to cancel everything would cancel a task of ours, too.
    while asyncio.all_tasks(bridge.loop):
        bridge.loop.call_soon(bridge.loop.stop)
        bridge.loop.run_forever()
    bridge.loop.close()
