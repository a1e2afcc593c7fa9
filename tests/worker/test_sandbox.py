"""What the streaming process gives up before strangers talk to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backpack._worker.sandbox import is_wanted
from tests.apps import streaming, watcher
from tests.waiting import wait_for

# Locks itself down, tries things out, and tells the error numbers.
_TRIAL = """
import ctypes, os, resource, sys
from backpack._worker.sandbox import lock_down
lock_down()
libc = ctypes.CDLL(None, use_errno=True)

def tried(call):
    try:
        call()
    except OSError as error:
        return error.errno
    return 0

def ptrace():
    if libc.ptrace(16, os.getppid(), 0, 0):
        raise OSError(ctypes.get_errno(), "")

folder = sys.argv[1]
open(f"{folder}/a", "w").close()
os.mkdir(f"{folder}/b")
print(
    tried(ptrace),
    tried(lambda: os.kill(os.getppid(), 0)),
    tried(lambda: os.rename(f"{folder}/a", f"{folder}/b/a")),
    resource.getrlimit(resource.RLIMIT_CORE)[0],
    libc.prctl(3, 0, 0, 0, 0),
    libc.syscall(444, None, 0, 1),
)
"""


def status_of(pid: int) -> dict[str, str]:
    """Read what the kernel tells of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_the_streaming_process_keeps_few_rights() -> None:
    """Two capabilities at the most, no way to new ones, and a filter of system calls."""
    with streaming(watcher()) as spyglass:
        pid = wait_for(lambda: spyglass.stats().streamer_pid)
        status = status_of(pid)

    assert int(status["CapEff"], 16) & ~(1 << 1 | 1 << 10) == 0
    assert int(status["CapPrm"], 16) & ~(1 << 1 | 1 << 10) == 0
    assert status["NoNewPrivs"] == "1"
    if os.uname().machine in ("x86_64", "aarch64"):
        assert status["Seccomp"] == "2"
    assert status_of(os.getpid())["NoNewPrivs"] == "0"


def test_the_application_cannot_be_reached_from_there(tmp_path: Path) -> None:
    """Neither traced nor signalled, where the kernel can; files may still be moved."""
    done = subprocess.run(
        [sys.executable, "-c", _TRIAL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    traced, signalled, moved, core, dumpable, landlock = map(int, done.stdout.split())

    eperm = 1
    assert (moved, core, dumpable) == (0, 0, 0)
    if os.uname().machine in ("x86_64", "aarch64"):
        assert traced == eperm
    if landlock >= 6:
        assert signalled == eperm


@pytest.mark.parametrize(
    ("value", "wanted"), [("", True), ("1", True), ("0", False), ("off", False), (" No ", False)]
)
def test_the_environment_may_leave_it_all(value: str, *, wanted: bool) -> None:
    """By default it is locked down."""
    assert is_wanted({"BACKPACK_SANDBOX": value}) == wanted
    assert is_wanted({})


def test_what_is_left_on_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variable a debugger may attach."""
    code = (
        "from backpack.spyglass import SpyGlass\n"
        "with SpyGlass('rtsp://127.0.0.1:0/cam') as s:\n"
        "    print(open(f'/proc/{s.stats().streamer_pid}/status').read())"
    )
    monkeypatch.setenv("BACKPACK_SANDBOX", "0")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "NoNewPrivs:\t0" in done.stdout
