from __future__ import annotations

import logging
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from backpack._app.shared_supervisor import shared_supervisor
from backpack._ipc import child as child_module
from tests.apps import SOURCE, State, frame, nothing_left_behind, streaming, watcher
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


def logged_bytes(caplog: pytest.LogCaptureFixture) -> int:
    """Add up what the streaming process's standard error has brought into the log."""
    return sum(
        len(one.getMessage())
        for one in caplog.records
        if one.getMessage().startswith("streaming process: ")
    )


def test_junk_that_strangers_send_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """GStreamer writes a warning for each field that it does not know; a tenth is the most."""
    caplog.set_level(logging.DEBUG, "backpack")
    # What GStreamer logs where an application has asked for it is none of this.
    shared_supervisor().shut_down()
    shared_supervisor().gst_log_level = None
    with streaming("rtsp://127.0.0.1:0/door") as spyglass:
        url = spyglass.urls()[0]
        sent = 0
        with (
            socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), 30) as stranger,
            stranger.makefile("rb") as reply,
        ):
            for number in range(1, 11):
                request = (
                    f"SETUP {url}/stream=0 RTSP/1.0\r\nCSeq: {number}\r\n"
                    f"Transport: RTP/AVP;{'x;' * 2000}\r\n\r\n"
                ).encode()
                stranger.sendall(request)
                sent += len(request)
                assert b" 461 " in reply.readline()
                while reply.readline().strip():
                    pass
    # At the end of the streaming process what was left out is told.
    shared_supervisor().shut_down()
    assert "unknown transport field" in caplog.text
    assert "of what it has written were left out" in caplog.text
    assert logged_bytes(caplog) <= sent / 10
    assert not [
        one
        for one in caplog.records
        if "unknown transport field" in one.getMessage() and one.levelno > logging.DEBUG
    ]


_CRASH = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(SOURCE)!r})
from backpack._worker import worker as streamer
from backpack._worker.main import main
run = streamer.Worker.run
def fall(depth):
    # No two lines alike, for Python would only count them.
    eval(compile(f"fall({{depth - 1}}) if {{depth}} else 1 / 0", f"<depth {{depth}}>", "eval"))
def crash(self):
    if MARKER.exists():
        run(self)
    MARKER.touch()
    fall(30)
streamer.Worker.run = crash
main(sys.argv[1:])
"""


def test_a_crash_is_told_whole(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The traceback is in the warning from its beginning, however long it is."""
    caplog.set_level(logging.WARNING, "backpack")
    code = _CRASH.replace("MARKER", f"Path({str(tmp_path / 'crashed')!r})")

    def command(python: str, _module: str, *arguments: str) -> list[str]:
        return [python, "-c", code, *arguments]

    monkeypatch.setattr(child_module, "boot_command", command)
    with streaming(watcher()) as spyglass:
        wait_for(lambda: spyglass.put(frame()) and spyglass.state is State.STREAMING)
    (told,) = [one.getMessage() for one in caplog.records if "Traceback" in one.getMessage()]
    for depth in range(30):
        assert f"<depth {depth + 1}>" in told
    assert "ZeroDivisionError" in told
