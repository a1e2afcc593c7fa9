"""Start, watch and end one streaming process; decide nothing."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from backpack.handover.channel import Channel, ChannelClosed
from backpack.handover.interpreter import boot_command
from backpack.handover.messages import Shutdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["StreamingProcess", "cpu_seconds", "memory_bytes"]

_MODULE = "backpack.streamer.main"
_TAIL_LINES = 20
_LONGEST_LINE = 4096
_STDERR = 2


class StreamingProcess:
    """
    One running streaming process: its channel, its standard error, its end.

    Everything is called by the supervisor's thread.

    Args:
        python: The Python to run it under.
        environment: Its whole environment.

    Raises:
        OSError: The Python cannot be started.

    """

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self.python = python
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            with theirs, _own_stderr() as kept:
                fds = (theirs.fileno(), *kept)
                self._process = subprocess.Popen(  # noqa: S603 - our own file, no shell
                    boot_command(python, _MODULE, *map(str, fds)),
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=fds,
                )
            undo.pop_all()
        self.channel = Channel(ours)
        assert self._process.stderr is not None  # noqa: S101 - asked for above
        self.stderr = self._process.stderr
        os.set_blocking(self.stderr.fileno(), False)
        self._tail: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._half_line = b""

    @property
    def pid(self) -> int:
        """Give its process id."""
        return self._process.pid

    def read_stderr(self) -> list[str] | None:
        """Give the lines that it has written since, or None when it closed the pipe."""
        if self.stderr.closed:
            return None
        try:
            data = os.read(self.stderr.fileno(), 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            return None
        *whole, self._half_line = (self._half_line + data).split(b"\n")
        self._half_line = self._half_line[-_LONGEST_LINE:]
        lines = [line.decode(errors="replace") for line in whole]
        self._tail.extend(lines)
        return lines

    def last_words(self) -> str:
        """Give the last lines of its standard error; after `end` too."""
        while self.read_stderr():
            pass
        return "\n".join(self._tail)

    def end(self, wait_seconds: float) -> int:
        """
        End it: let it flush for a while, then kill it. Give its exit status.

        A negative status is the number of the signal that ended it.
        """
        deadline = time.monotonic() + wait_seconds
        with contextlib.suppress(ChannelClosed):
            self.channel.send(Shutdown())
        while self._process.poll() is None and time.monotonic() < deadline:
            # A process that cannot write to its pipe cannot end.
            self.read_stderr()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
        if self._process.poll() is None:
            self._process.kill()
        status = self._process.wait()
        self.last_words()
        self.channel.close()
        self.stderr.close()
        return status

    def abandon(self) -> None:
        """Close a forked copy's ends, without a lock: whoever holds it is in the other process."""
        with contextlib.suppress(OSError):
            os.close(self.channel.sock.detach())
        self.stderr.close()
        # Not our child: whoever forgets the copy must not wait for it.
        self._process.returncode = 0


@contextlib.contextmanager
def _own_stderr() -> Iterator[tuple[int, ...]]:
    """
    Give a copy of our standard error for a while, or nothing where that is closed.

    Its pipe to us is worth nothing to the streaming process when we are dead. `sys.stderr`
    is not asked: an application may have put anything there.
    """
    try:
        copy = os.dup(_STDERR)
    except OSError:
        yield ()
        return
    try:
        yield (copy,)
    finally:
        os.close(copy)


def describe_exit(status: int) -> str:
    """Say in words how a process ended."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def cpu_seconds(pid: int) -> float | None:
    """Tell how much CPU time a process has used, or None where that cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read at every status line
            after_name = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # proc(5): utime and stime are fields 14 and 15, the name is field 2.
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int | None:
    """
    Tell the proportional set size of a process, or None where it cannot be read.

    Of the streaming process only root can: see `backpack.streamer.sandbox`.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
