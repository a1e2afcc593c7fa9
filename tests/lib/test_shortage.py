from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest

from backpack._lib.shortage import explain, find_shortage, probe, shortage
from backpack.errors import MissingDependencyError, OutputError, ShortageError
from tests.apps import SOURCE, run_app
from tests.waiting import open_descriptors, threads_named

HERE = str(Path(__file__).parent.parent.parent)


def wrapped(cause: Exception, error: Exception) -> Exception:
    """Give an error that another one has caused."""
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (OSError(errno.EMFILE, "Too many open files"), r"ulimit -n .*LimitNOFILE=.*--ulimit"),
        (OSError(errno.ENFILE, "Too many open files in system"), "ulimit -n"),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), r"ulimit -u .*TasksMax=.*--pids-limit"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), r"ulimit -v .*MemoryMax=.*--memory"),
        (MemoryError(), "ulimit -v"),
        (
            wrapped(OSError(errno.EMFILE, "no"), MissingDependencyError("GStreamer: apt install")),
            "ulimit -n",
        ),
        (MissingDependencyError("It cannot be loaded: Too many open files."), "ulimit -n"),
    ],
)
def test_what_is_short_is_told_with_what_to_do(error: Exception, advice: str) -> None:
    """Each shortage names its limits: the shell's, systemd's, a container's."""
    found = shortage(error)
    assert isinstance(found, ShortageError)
    assert isinstance(found, OSError)
    with pytest.raises(ShortageError, match=advice):
        raise found
    assert shortage(found) is found
    assert str(explain(error)) == str(found)


def test_other_errors_stay_what_they_are() -> None:
    """What is missing is missing, and a fault of ours is not hidden."""
    ours = OutputError("The address is taken.")
    assert shortage(ours) is None
    assert explain(ours) is ours
    with pytest.raises(ZeroDivisionError):
        explain(ZeroDivisionError())


def test_the_last_words_of_a_process_tell_what_was_short() -> None:
    """GLib ends the process where it can start no thread."""
    found = find_shortage(
        "(boot.py:7): GLib-ERROR **: 09:56:10.582: creating thread 'pool': Error creating thread: "
        "Resource temporarily unavailable\n"
    )
    assert found is not None
    assert "ulimit -u" in str(found)
    assert find_shortage("Segmentation fault") is None


def test_what_strangers_write_is_not_believed() -> None:
    """A warning repeats what a viewer has sent."""
    told = '(boot.py:7): GStreamer-RTSP-WARNING **: 09:56:10.582: unknown transport field "%s"'
    assert find_shortage(told % "Too many open files") is None


def test_a_probe_finds_enough_here() -> None:
    """It takes some for a moment, and leaves nothing behind."""
    before, threads = open_descriptors(), len(threads_named(""))
    assert probe() is None
    assert open_descriptors() <= before
    assert len(threads_named("")) == threads


_APP = f"""
import logging, os, resource, sys, threading
sys.path.insert(0, {HERE!r})
from tests.apps import *
logging.basicConfig(level=logging.WARNING, stream=sys.stdout)
spyglass = SpyGlass("rtsp://127.0.0.1:0/door", watcher())
LIMIT
try:
    spyglass.start_streaming()
    wait_for(lambda: not spyglass.put(frame()) and spyglass.state is State.ERROR)
    print("REASON", spyglass.state_reason)
    print("ERROR", spyglass.stats().error or spyglass.state_reason)
    spyglass.stop_streaming()
except Exception as error:
    print("REASON", error)
    print("ERROR", type(error).__name__)
"""


def reasons(limit: str) -> tuple[str, str]:
    """Run an application that has less; give what it logs, and its reason."""
    out = run_app(_APP.replace("LIMIT", limit))
    reason = next(line for line in out.splitlines() if line.startswith("REASON "))
    return out, reason


@pytest.mark.parametrize("count", [16, 18, 20])
def test_too_few_descriptors_are_told(count: int) -> None:
    """Whatever it is that cannot be opened: the advice is not to install something."""
    limit = f"resource.setrlimit(resource.RLIMIT_NOFILE, ({count}, {count}))"
    out, reason = reasons(limit)
    assert "ulimit -n" in reason
    assert f"the limit is {count}" in reason
    assert "apt install" not in out
    assert out.count("WARNING") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="has to become somebody who runs nothing else")
@pytest.mark.parametrize("count", [1, 3, 6])
def test_too_few_threads_are_told(count: int) -> None:
    """Whoever cannot start a thread: the application, the streaming process or a trial."""
    nobody = 65534
    if not (Path(sys.executable).stat().st_mode & SOURCE.stat().st_mode & 1):
        pytest.skip("others may not run this Python")
    limit = (
        "os.environ['HOME'] = '/tmp'\n"
        f"resource.setrlimit(resource.RLIMIT_NPROC, ({count}, {count}))\n"
        f"os.setgid({nobody})\nos.setuid({nobody})"
    )
    out, reason = reasons(limit)
    assert "ulimit -u" in reason
    assert f"the limit is {count}" in reason
    assert "apt install" not in out
    assert "No H.264 encoder" not in out


def test_too_few_addresses_are_told() -> None:
    """A thread that has no room for its stack says the same as where there are too many."""
    limit = (
        "threading.stack_size(64 << 20)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * os.sysconf('SC_PAGE_SIZE')\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20),) * 2)"
    )
    _, reason = reasons(limit)
    assert "ulimit -v" in reason
