from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._worker import pulse as pulse_module
from backpack._worker.pulse import Pulse
from tests.apps import SOURCE, start_app
from tests.streams import MainLoop, main_loop
from tests.waiting import is_running, open_descriptors, threads_named, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = str(Path(__file__).parent.parent.parent)


class Application:
    """The application's end of a pulse, and what the pulse has done."""

    def __init__(self) -> None:
        self.sock, theirs = socket.socketpair()
        self.sock.settimeout(30)
        self.has_gone = threading.Event()
        self.was_killed = threading.Event()
        self.pulse = Pulse(
            theirs, os.getpid(), on_app_exit=self.has_gone.set, kill=self.was_killed.set
        )

    def ping(self) -> int:
        """Ask, and give the answer: how many pings the main loop has missed."""
        self.sock.send(b"\1")
        return self.sock.recv(1)[0]


@pytest.fixture
def loop() -> Iterator[MainLoop]:
    """Run GLib's main loop."""
    with main_loop() as running:
        yield running


@contextmanager
def answering() -> Iterator[Application]:
    """Let a pulse answer for the time of a block, and see that nothing of it stays."""
    before = open_descriptors()
    app = Application()
    app.pulse.start()
    try:
        yield app
    finally:
        app.sock.close()
        app.pulse.close()
        app.pulse.close()
    assert not threads_named("spyglass-pulse")
    assert open_descriptors() <= before


@contextmanager
def held_up(loop: MainLoop) -> Iterator[None]:
    """Hold the main loop up for the time of a block."""
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        assert free.wait(60)

    thread = threading.Thread(target=loop.call, args=(hold,))
    thread.start()
    assert held.wait(30)
    try:
        yield
    finally:
        free.set()
        thread.join()


def test_it_answers_for_a_main_loop_that_is_held_up(loop: MainLoop) -> None:
    """Each answer says how many pings in a row the main loop has missed."""
    with answering() as app:
        assert app.ping() == 0
        wait_for(lambda: app.ping() == 0)
        with held_up(loop):
            wait_for(lambda: app.ping() == 1)
            assert [app.ping() for _ in range(3)] == [2, 3, 4]
        wait_for(lambda: app.ping() == 0)


def test_a_main_loop_that_ends_with_the_application_is_left_to_it(
    loop: MainLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is delivered after the application's death has limits of its own."""
    monkeypatch.setattr(pulse_module, "GRACE_SECONDS", 30.0)
    with answering() as app:
        loop.call(app.pulse.note_end)
        app.sock.close()
        assert app.has_gone.wait(30)
        wait_for(lambda: not threads_named("spyglass-pulse"))
        assert not app.was_killed.is_set()


def test_a_main_loop_that_does_not_is_ended(
    loop: MainLoop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is held up when the application dies would keep its ports for ever."""
    monkeypatch.setattr(pulse_module, "GRACE_SECONDS", 0.1)
    with answering() as app, held_up(loop):
        app.sock.close()
        assert app.was_killed.wait(30)
    assert "has been held up" in caplog.text


_APP = f"""
import socket, subprocess, sys
sys.path.insert(0, {HERE!r})
ours, theirs = socket.socketpair()
pulse, their_pulse = socket.socketpair()
fds = [theirs.fileno(), their_pulse.fileno()]
CHILD = '''
import sys
sys.path.insert(0, {str(SOURCE)!r})
from backpack._worker import pulse
from backpack._worker import worker as streamer
from backpack._worker.main import main
pulse.GRACE_SECONDS = 0.2
def spin(self):
    print("spinning", flush=True)
    while True:
        pass
streamer.Worker.run = spin
main(sys.argv[1:])
'''
child = subprocess.Popen(
    [sys.executable, "-c", CHILD, *map(str, fds)], pass_fds=fds, stdout=subprocess.PIPE, text=True
)
child.stdout.readline()
print(child.pid, flush=True)
sys.stdin.read()
"""


def test_a_spinning_streaming_process_ends_with_the_application() -> None:
    """A main thread that computes for ever is ended some time after the application's death."""
    with start_app(_APP) as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        app.kill()
        app.communicate()
        wait_for(lambda: not is_running(pid))


# Orphans become its children, in the same session: the kernel then does not end stopped ones
# by itself, as it does with orphaned process groups.
_REAPER = f"""
import ctypes, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
CODE = '''
import sys
sys.path.insert(0, {HERE!r})
from tests.apps import *
spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
spyglass.start_streaming()
wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > 2)
print(spyglass.stats().streamer_pid, flush=True)
sys.stdin.read()
'''
app = subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True)
print(app.pid, app.stdout.readline(), flush=True)
app.wait()
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_a_stopped_streaming_process_ends_with_the_application() -> None:
    """The kernel continues it when the application is killed, and it sees that it is alone."""
    with start_app(_REAPER) as reaper:
        assert reaper.stdout is not None
        app, pid = map(int, reaper.stdout.readline().split())
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text())
        os.kill(app, signal.SIGKILL)
        wait_for(lambda: not is_running(pid))
        reaper.communicate(timeout=30)
