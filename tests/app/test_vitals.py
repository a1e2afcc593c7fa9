from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._app import pulse as pulse_module
from backpack._app.remote import RemoteHandle
from backpack._app.shared_supervisor import shared_supervisor
from backpack._app.vitals import is_traced
from backpack._ipc import child as child_module
from backpack._ipc.messages import ToOutput
from backpack.spyglass import SpyGlass
from tests.apps import SOURCE, State, frame, nothing_left_behind, putting, streaming, watcher
from tests.waiting import children, is_running, stays_true, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

_TRACE = """
import ctypes, sys
ptrace = ctypes.CDLL(None, use_errno=True).ptrace
ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
pid = int(sys.argv[1])
failed = ptrace(0x4206, pid, None, None)  # PTRACE_SEIZE
if not failed and sys.argv[2:]:
    failed = ptrace(0x4207, pid, None, None)  # PTRACE_INTERRUPT
print("no" if failed else "yes", flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the streaming process less time, where what is tested is not how much."""
    monkeypatch.setattr(pulse_module, "PING_SECONDS", 0.2)
    monkeypatch.setattr(pulse_module, "ANSWER_SECONDS", 1.0)


def pid_of(spyglass: SpyGlass) -> int:
    """Give the streaming process, which must be there."""
    return wait_for(lambda: spyglass.stats().streamer_pid) or 0


def stop(pid: int) -> None:
    """Stop a process, as a kernel or a driver does that hangs."""
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: ") T " in Path(f"/proc/{pid}/stat").read_text())


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give the warnings of the supervisor."""
    return [
        one.getMessage()
        for one in caplog.records
        if one.levelno >= logging.WARNING and one.name == "backpack._ipc"
    ]


def test_a_hung_streaming_process_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """One warning, a reason for the state; frames that are put go on."""
    with streaming("rtsp://127.0.0.1:0/door", watcher()) as spyglass, putting(spyglass):
        wait_for(lambda: spyglass.stats().encoded > 2)
        before = spyglass.stats()
        pid = pid_of(spyglass)
        stop(pid)
        reason = wait_for(lambda: spyglass.state_reason, every=0.001)
        assert "has not answered for 5 s" in reason
        wait_for(lambda: spyglass.stats().encoded > before.encoded + 2)
        assert spyglass.state is State.STREAMING
        assert spyglass.stats().starts == before.starts + 1
        assert not is_running(pid)
    assert len(warnings(caplog)) == 1
    assert "has not answered for 5 s and was ended; starting it again" in warnings(caplog)[0]


@pytest.mark.usefixtures("_impatient")
def test_one_that_cannot_be_killed_is_left_behind(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whom the kernel holds in a driver takes no signal: that is said, and the next one starts."""
    monkeypatch.setattr(child_module, "KILL_SECONDS", 0.1)
    with streaming(watcher()) as spyglass, putting(spyglass):
        wait_for(lambda: spyglass.stats().encoded)
        before = spyglass.stats()
        pid = pid_of(spyglass)
        with monkeypatch.context() as held:
            held.setattr(subprocess.Popen, "kill", lambda _: None)
            stop(pid)
            wait_for(lambda: spyglass.stats().starts > before.starts)
        wait_for(lambda: spyglass.stats().encoded > before.encoded)
        assert is_running(pid)
        assert f"The streaming process {pid} cannot be ended" in caplog.text
        os.kill(pid, signal.SIGKILL)
        # Waited for by whoever is started next.
        wait_for(lambda: not is_running(pid))
        os.kill(pid_of(spyglass), signal.SIGKILL)
        wait_for(lambda: pid not in children())


@pytest.mark.usefixtures("_impatient")
def test_a_stop_of_a_hung_one_says_so_and_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time that a stop may take passes once, and not for the server again."""
    monkeypatch.setattr("backpack._app.vitals.SILENT_SECONDS", 0.3)
    monkeypatch.setattr(pulse_module, "ANSWER_SECONDS", 60.0)
    with streaming("rtsp://127.0.0.1:0/door", watcher()) as spyglass:
        stop(pid_of(spyglass))
        monkeypatch.setattr("backpack._outputs.serving.server._CLOSE_SECONDS", 1000.0)
        spyglass.stop_streaming(2.0)
    assert "not closed within 2.0 s: the streaming process does not answer" in caplog.text
    os.kill(shared_supervisor().pid or 0, signal.SIGCONT)


def test_a_start_on_a_hung_one_waits_for_the_next(caplog: pytest.LogCaptureFixture) -> None:
    """It streams when it returns, and the log says what was the matter."""
    with streaming(watcher()) as spyglass:
        stop(pid_of(spyglass))
        with streaming("rtsp://127.0.0.1:0/door", watcher()) as other:
            assert other.state is State.WARMUP
            assert other.urls()
    assert "has not answered" in caplog.text


@pytest.mark.usefixtures("_impatient")
def test_a_start_that_is_not_answered_is_told(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened behind is said, as the application does not learn it by an exception."""
    monkeypatch.setattr(pulse_module, "ANSWER_SECONDS", 60.0)
    with streaming(watcher()) as spyglass:
        pid = pid_of(spyglass)
        stop(pid)
        other = SpyGlass(watcher())
        monkeypatch.setitem(RemoteHandle.open.__kwdefaults__, "timeout", 0.2)
        other.start_streaming()
        assert "has not answered within 0 s" in caplog.text
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: other.put(frame()) and other.stats().encoded)
        other.stop_streaming()


@pytest.mark.usefixtures("_impatient")
def test_what_was_kept_for_it_is_sent_once_it_reads_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than the socket takes waits here, and needs no further message to go on."""
    monkeypatch.setattr(pulse_module, "ANSWER_SECONDS", 60.0)
    with streaming(watcher()) as spyglass:
        pid = pid_of(spyglass)
        stop(pid)
        remote = spyglass._stream._remote
        child = shared_supervisor()._child
        assert remote is not None
        assert child is not None
        for _ in range(64):
            remote.send(ToOutput(remote.id, 99, {"junk": "x" * 32768}))
        other = SpyGlass(watcher())
        thread = threading.Thread(target=other.start_streaming)
        thread.start()
        wait_for(lambda: child.channel.has_pending)
        os.kill(pid, signal.SIGCONT)
        thread.join(30)
        assert not thread.is_alive()
        assert other.put(frame())
        other.stop_streaming()


@contextmanager
def traced(pid: int, *, interrupt: bool = False) -> Iterator[None]:
    """Attach a debugger to a process for the time of a block, and have it stop the main thread."""
    with subprocess.Popen(
        [sys.executable, "-c", _TRACE, str(pid), *(["interrupt"] if interrupt else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as debugger:
        assert debugger.stdout is not None
        try:
            if debugger.stdout.readline() != "yes\n":
                pytest.skip("no debugger can be attached here")
            assert is_traced(pid)
            yield
        finally:
            debugger.kill()
    assert not is_traced(pid)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("signum", [signal.SIGSTOP, None], ids=["all threads", "main thread"])
def test_one_that_a_debugger_holds_is_left_alone(
    signum: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Who looks for the reason of a hang wants to see it; that is said once."""
    caplog.set_level(logging.INFO, "backpack._ipc")
    with streaming(watcher()) as spyglass:
        pid = pid_of(spyglass)
        starts = spyglass.stats().starts
        with traced(pid, interrupt=signum is None):
            if signum is not None:
                os.kill(pid, signum)
            wait_for(lambda: "a debugger holds it" in caplog.text)
            assert stays_true(lambda: spyglass.stats().streamer_pid == pid, 2.0)
        os.kill(pid, signal.SIGCONT)
        wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded)
        assert spyglass.stats().starts == starts
    assert caplog.text.count("a debugger holds it") == 1


_STOPPED_APP = f"""
import sys
sys.path.insert(0, {str(SOURCE.parent)!r})
from tests.apps import *
from backpack._app import pulse
pulse.PING_SECONDS, pulse.ANSWER_SECONDS = 0.1, 1.0
spyglass = SpyGlass(watcher())
spyglass.start_streaming()
wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > 2)
print(spyglass.stats().streamer_pid, flush=True)
for line in sys.stdin:
    encoded = spyglass.stats().encoded
    wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > encoded + 2)
    print(spyglass.stats().streamer_pid, spyglass.stats().starts, flush=True)
"""


def test_an_application_that_was_stopped_ends_no_healthy_one() -> None:
    """What its clock has done meanwhile is not the streaming process's silence."""
    with subprocess.Popen(
        [sys.executable, "-c", _STOPPED_APP],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as app:
        assert app.stdin is not None
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        for _ in range(3):
            stop(app.pid)
            # Longer than an answer may take there, which is what this test is about.
            time.sleep(1.5)
            os.kill(app.pid, signal.SIGCONT)
            app.stdin.write("\n")
            app.stdin.flush()
            assert app.stdout.readline().split() == [str(pid), "1"]
        app.stdin.close()
        assert not app.wait(30)


_HELD_UP = f"""
import sys, time
sys.path.insert(0, {str(SOURCE)!r})
from backpack._worker import worker as streamer
attach = streamer.Worker._on_attach_ring
def hold(self, order, fds):
    attach(self, order, fds)
    if not {{marker}}.exists():
        {{marker}}.touch()
        time.sleep(600)
streamer.Worker._on_attach_ring = hold
from backpack._worker.main import main
main(sys.argv[1:])
"""


def test_one_whose_main_loop_is_held_up_is_started_again(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It answers, but a thread does that; after some missed turns it is given up."""
    monkeypatch.setattr(pulse_module, "PING_SECONDS", 0.2)
    code = "from pathlib import Path" + _HELD_UP.format(marker=f"Path({str(tmp_path / 'held')!r})")

    def command(python: str, _module: str, *arguments: str) -> list[str]:
        return [python, "-c", code, *arguments]

    monkeypatch.setattr(child_module, "boot_command", command)
    with streaming(watcher()) as spyglass:
        starts = spyglass.stats().starts
        wait_for(lambda: spyglass.put(frame()))
        wait_for(lambda: spyglass.stats().starts > starts)
        wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded)
    assert len(warnings(caplog)) == 1
    assert "has been held up by one thing" in warnings(caplog)[0]
