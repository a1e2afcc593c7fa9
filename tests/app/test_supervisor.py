from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from backpack._app.crashes import Blame
from backpack._app.shared_supervisor import shared_supervisor
from backpack.rtsp import RTSPServer
from backpack.spyglass import SpyGlass
from tests.apps import (
    State,
    frame,
    nothing_left_behind,
    putting,
    run_app,
    start_app,
    streaming,
    watcher,
)
from tests.outputs.rtsp.ports import listens
from tests.waiting import children, is_running, open_descriptors, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = str(Path(__file__).parent.parent.parent)

_STREAM = f"""
import sys, os, signal, subprocess
sys.path.insert(0, {HERE!r})
from tests.apps import *
spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
spyglass.start_streaming()
wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > 2)
print(spyglass.stats().streamer_pid, flush=True)
"""


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    with nothing_left_behind():
        yield


def pid_of(spyglass: SpyGlass) -> int:
    """Give the streaming process, which must be there."""
    return wait_for(lambda: spyglass.stats().streamer_pid) or 0


# --- the streaming process dies ---------------------------------------------------


def test_a_killed_streaming_process_is_started_again(caplog: pytest.LogCaptureFixture) -> None:
    """States go back and forward again, the port stays, the last frame is still shown."""
    caplog.set_level(logging.INFO, "backpack.spyglass")
    server = RTSPServer(0)
    server.start()
    port = server.port
    with streaming(f"rtsp://127.0.0.1:{port}/door", watcher()) as spyglass:
        wait_for(lambda: spyglass.put(frame(400, 300)) and spyglass.stats().encoded > 2)
        before = spyglass.stats()
        caplog.clear()
        os.kill(pid_of(spyglass), signal.SIGKILL)
        # Nothing is put any more: what is shown is what is in the ring.
        wait_for(lambda: spyglass.stats().starts > before.starts)
        wait_for(lambda: spyglass.state is State.STREAMING)
        wait_for(lambda: spyglass.stats().width == 400)
        wait_for(lambda: spyglass.stats().repeated > before.repeated)
        went = [
            one.getMessage().split(" The")[0]
            for one in caplog.records
            if one.name == "backpack.spyglass"
        ]
        assert went == [
            *("STREAMING → START_WARMUP", "START_WARMUP → WARMUP", "WARMUP → STREAMING")
        ]
        assert server.port == port
        wait_for(lambda: listens(port))
        assert spyglass.stats().encoded >= before.encoded
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_it_may_be_killed_again_and_again() -> None:
    """The application goes on; processes, descriptors and zombies do not pile up."""
    with streaming("rtsp://127.0.0.1:0/door", watcher()) as spyglass, putting(spyglass):
        wait_for(lambda: spyglass.stats().encoded)
        descriptors, mine = open_descriptors(), len(children())
        for _ in range(2):
            pid = pid_of(spyglass)
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: spyglass.stats().streamer_pid not in (pid, None))
            # At once again, while it starts: that is no reason to give this Python up.
            pid, starts = pid_of(spyglass), spyglass.stats().starts
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda starts=starts: spyglass.stats().starts > starts)
            wait_for(lambda: spyglass.state is State.STREAMING)
        wait_for(lambda: spyglass.stats().put_ms_p50)
        assert len(children()) <= mine
        wait_for(lambda: open_descriptors() <= descriptors)
        assert spyglass.stats().error is None


def test_an_encoder_that_crashes_twice_is_passed_over(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two crashes with the same encoder: the next one is taken, and that is said."""
    caplog.set_level(logging.WARNING, "backpack")
    # Of this test alone: the ones after it need that encoder.
    monkeypatch.setattr(shared_supervisor(), "_blame", Blame())
    with streaming(watcher()) as spyglass, putting(spyglass):

        def encodes_more_than(encoded: int) -> bool:
            # From a frame on: it has another size than the card, and so another encoder. In
            # between there is none to blame.
            stats = spyglass.stats()
            return stats.encoder is not None and stats.encoded > encoded

        wait_for(lambda: encodes_more_than(0))
        encoder = spyglass.stats().encoder
        for _ in range(2):
            before = spyglass.stats()
            assert before.encoder == encoder
            os.kill(pid_of(spyglass), signal.SIGSEGV)
            wait_for(lambda before=before: spyglass.stats().starts > before.starts)
            encoded = spyglass.stats().encoded
            wait_for(
                lambda encoded=encoded: encodes_more_than(encoded) or spyglass.state is State.ERROR
            )
        said = [one.getMessage() for one in caplog.records if "passed over" in one.getMessage()]
        assert [text for text in said if text.startswith(f"The encoder {encoder} crashed")]
        assert spyglass.stats().encoder != encoder
        assert any("SIGSEGV" in one.getMessage() for one in caplog.records)


def test_a_streaming_process_that_talks_nonsense_is_replaced() -> None:
    """What does not speak our language on the channel is ended and started again."""
    with streaming(watcher()) as spyglass:
        supervisor = shared_supervisor()
        child = supervisor._child
        assert child is not None
        starts = supervisor.starts
        # What comes in is what the other side would have sent.
        child.channel._incoming += b"\xff" * 100
        wait_for(lambda: spyglass.put(frame()))
        wait_for(lambda: supervisor.starts > starts)
        wait_for(lambda: spyglass.state is State.STREAMING)


def test_one_tenants_fault_does_not_take_the_others_along(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An output whose description cannot cross the border fails alone."""

    class Broken:
        def describe(self) -> dict[str, object]:
            return {"kind": object()}

        def acquire(self) -> None:
            """Do nothing."""

        def release(self) -> None:
            """Do nothing."""

        def urls(self) -> list[str]:
            return []

    with streaming(watcher()) as good:
        with pytest.raises(Exception, match="JSON"):
            SpyGlass(Broken()).start_streaming()
        wait_for(lambda: good.put(frame()) and good.stats().encoded)
    assert "could not be described" in caplog.text


def test_it_ends_some_time_after_the_last_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """The streaming process and our thread go when nobody needs them."""
    monkeypatch.setattr("backpack._app.supervisor.IDLE_SECONDS", 0.2)
    with streaming(watcher()) as spyglass:
        pid = pid_of(spyglass)
    wait_for(lambda: shared_supervisor().pid is None)
    assert not is_running(pid)
    wait_for(lambda: not shared_supervisor()._loop.is_running)


def test_what_the_streaming_process_logs_is_the_applications_to_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its records come under the names of their modules, its standard error under ours."""
    caplog.set_level(logging.DEBUG, "backpack")
    with streaming(watcher(), gst_log_level="*:2"):
        pass
    assert any(one.name == "backpack._worker.encoding.trial" for one in caplog.records)


# --- the application ends ---------------------------------------------------------


def test_ctrl_c_in_the_terminal_ends_the_application_and_then_the_streaming_process() -> None:
    """SIGINT goes to the application's process group; the streaming process is in another one."""
    with start_app(
        _STREAM
        + """
import time
encoded = spyglass.stats().encoded
try:
    print("interrupt me", flush=True)
    while True:
        spyglass.put(frame())
        time.sleep(0.02)
except KeyboardInterrupt:
    wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded > encoded + 5)
    print(spyglass.stats().streamer_pid, spyglass.stats().starts)
""",
        start_new_session=True,
    ) as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        assert os.getpgid(pid) == pid
        assert os.getsid(pid) == app.pid
        assert app.stdout.readline() == "interrupt me\n"
        os.killpg(app.pid, signal.SIGINT)
        out, err = app.communicate(timeout=60)
    assert out.split() == [str(pid), "1"], err
    assert not is_running(pid)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_application_takes_the_streaming_process_along(how: signal.Signals) -> None:
    """Whatever ends the application, the streaming process is gone within five seconds."""
    with start_app(_STREAM + "sys.stdin.read()") as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        app.send_signal(how)
        app.communicate(timeout=30)
        wait_for(lambda: not is_running(pid), 5)


def test_also_where_a_fork_of_the_application_lives_on() -> None:
    """A forked child holds copies of our descriptors, if it was not forked by Python as well."""
    with start_app(
        _STREAM
        + """
import ctypes
child = ctypes.CDLL(None).fork()  # no at-fork handler runs
if not child:
    ctypes.CDLL(None).pause()
print(child, flush=True)
sys.stdin.read()
"""
    ) as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        child = int(app.stdout.readline())
        try:
            app.kill()
            app.wait(30)
            assert is_running(child)
            wait_for(lambda: not is_running(pid), 5)
        finally:
            os.kill(child, signal.SIGKILL)
            app.communicate(timeout=30)


def test_ending_the_application_is_quick_though_the_streaming_process_hangs() -> None:
    """One that does not react is killed."""
    with start_app(_STREAM + "sys.stdin.read()") as app:
        assert app.stdout is not None
        pid = int(app.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        app.communicate("", timeout=30)
    assert app.returncode == 0
    assert not is_running(pid)


def test_an_application_may_have_no_standard_error() -> None:
    """One that has closed it streams all the same, and takes its streaming process along."""
    out = run_app("import os; os.close(2)\n" + _STREAM)
    assert not is_running(int(out))


def test_the_standard_error_is_lent_for_as_long_as_the_streaming_process_lives() -> None:
    """It alone has a copy, whoever is started by it, and the application keeps none."""
    app = start_app(
        _STREAM
        + """
print(len({fd for fd in os.listdir("/proc/self/fd")
           if os.path.exists(f"/proc/self/fd/{fd}")
           and os.stat(f"/proc/self/fd/{fd}").st_ino == os.stat(2).st_ino}), flush=True)
sys.stdin.read()
""",
    )
    with app:
        assert app.stdout is not None
        assert app.stderr is not None
        pid, copies = int(app.stdout.readline()), int(app.stdout.readline())
        pipe = os.fstat(app.stderr.fileno()).st_ino
        lent = [
            fd
            for fd in Path(f"/proc/{pid}/fd").iterdir()
            if fd.exists() and fd.stat().st_ino == pipe
        ]
        assert copies == 1
        assert len(lent) == 1
        flags = Path(f"/proc/{pid}/fdinfo/{lent[0].name}").read_text()
        assert int(flags.split("flags:")[1].split()[0], 8) & os.O_CLOEXEC
        app.kill()
        # The pipe ends with whoever has it.
        app.communicate(timeout=30)
        assert not is_running(pid)


# --- the application's environment --------------------------------------------------


def test_a_poisoned_environment_does_not_reach_the_streaming_process(tmp_path: Path) -> None:
    """PYTHONHOME, PYTHONPATH, LD_LIBRARY_PATH, LD_PRELOAD of conda and ROS do no harm."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    (tmp_path / "gi.py").write_text("raise SystemExit('the wrong gi')")
    broken = tmp_path / "libglib-2.0.so.0"
    broken.write_bytes(b"not a library")
    poison = {
        "PYTHONHOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path),
        "LD_LIBRARY_PATH": str(tmp_path),
        "LD_PRELOAD": str(tmp_path / "nowhere.so"),
        "GI_TYPELIB_PATH": str(tmp_path),
        "GST_PLUGIN_SYSTEM_PATH": str(tmp_path),
    }
    out = run_app(f"import os; os.environ.update({poison!r})" + _STREAM)
    assert int(out)


def test_an_application_may_be_started_with_a_poisoned_environment(tmp_path: Path) -> None:
    """The same where the application itself was started so, and could bear it."""
    (tmp_path / "libglib-2.0.so.0").write_bytes(b"not a library")
    out = run_app(
        _STREAM,
        env={"LD_LIBRARY_PATH": str(tmp_path), "GI_TYPELIB_PATH": str(tmp_path)},
    )
    assert int(out)


def test_an_application_in_a_plain_venv_streams(tmp_path: Path) -> None:
    """With nothing but numpy beside it, the streaming process runs under the system's Python."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, system_site_packages=False)
    (site,) = home.glob("lib/python3*/site-packages")
    numpy = Path(np.__file__).parent
    for folder in (
        numpy,
        *numpy.parent.glob("numpy.libs"),
        *numpy.parent.glob("numpy-*.dist-info"),
    ):
        (site / folder.name).symlink_to(folder)
    out = run_app(
        "import importlib.util; assert importlib.util.find_spec('gi') is None\n"
        + _STREAM
        + "print(os.readlink(f'/proc/{spyglass.stats().streamer_pid}/exe'))\n"
        + "print(open(f'/proc/{spyglass.stats().streamer_pid}/cmdline').read().split(chr(0))[0])\n",
        python=str(home / "bin" / "python"),
    )
    assert out.split()[-1] == "/usr/bin/python3"


def test_secrets_are_not_among_the_arguments() -> None:
    """Passwords travel over the channel: neither arguments nor environment show them."""
    with streaming("rtsp://user:geheim@127.0.0.1:0/door") as spyglass:
        pid = pid_of(spyglass)
        for name in ("cmdline", "environ"):
            assert b"geheim" not in Path(f"/proc/{pid}/{name}").read_bytes()
        assert "geheim" not in repr(spyglass)
        assert "geheim" not in str(spyglass.urls())


def test_the_streaming_process_knows_no_numpy() -> None:
    """The system's Python may have none; what it maps stays small without, with RTSP too."""
    with streaming("rtsp://127.0.0.1:0/door", watcher()) as spyglass:
        wait_for(lambda: spyglass.put(frame()) and spyglass.stats().encoded)
        maps = Path(f"/proc/{pid_of(spyglass)}/maps").read_text()
        assert "numpy" not in maps
        assert "cv2" not in maps


def test_this_python_can_be_told_apart() -> None:
    """The tests above run under a Python that has what they expect."""
    assert (
        subprocess.run(["/usr/bin/python3", "-I", "-c", "import gi"], check=False).returncode == 0
    )
    assert sys.version_info >= (3, 10)
