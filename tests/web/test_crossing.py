from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from backpack.web import crossing as crossing_module
from backpack.web.crossing import Crossing

if TYPE_CHECKING:
    import pytest


def test_a_thread_that_hangs_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing does not wait for it for ever, and says so."""
    monkeypatch.setattr(crossing_module, "END_SECONDS", 0.05)
    crossing = Crossing()
    go_on = threading.Event()
    crossing.call(go_on.wait)

    crossing.close()

    assert "left behind" in caplog.text
    assert crossing._thread.daemon
    go_on.set()
    crossing._thread.join(30)
    assert not crossing._thread.is_alive()
    # What was to be cancelled is, before the loop is closed.
    crossing.loop.run_until_complete(asyncio.sleep(0))
    crossing.loop.close()
