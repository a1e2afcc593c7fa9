"""Start, watch and end one streaming process; decide nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from backpack._ipc.channel import Channel, ChannelClosed
from backpack._ipc.interpreter import boot_command
from backpack._ipc.messages import Shutdown
from backpack._ipc.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MODULE = "backpack._worker.main"
_STDERR = 2
_LAST_READS = 16
"""How often what it wrote last is read: a pipe is empty after one."""

KILL_SECONDS = 3.0
"""How long the end of a killed process is waited for."""

logger = logging.getLogger("backpack._ipc")

# Processes that could not be ended. They are waited for when the next one is started.
_left_behind: list[subprocess.Popen[bytes]] = []


class StreamingProcess:
    """
    One running streaming process: its channel, its pulse, its standard error, its end.

    Everything is called by the supervisor's thread.

    Args:
        python: The Python to run it under.
        environment: Its whole environment.

    Raises:
        OSError: The Python cannot be started.

    """

    def __init__(self, python: str, environment: Mapping[str, str]) -> None:
        self.python = python
        _left_behind[:] = [one for one in _left_behind if one.poll() is None]
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
            channel, their_channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            undo.callback(channel.close)
            theirs.callback(their_channel.close)
            # A line of its own: a thread answers there, whatever the main loop does.
            self.pulse, their_pulse = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
            undo.callback(self.pulse.close)
            theirs.callback(their_pulse.close)
            fds = (
                their_channel.fileno(),
                their_pulse.fileno(),
                *theirs.enter_context(_own_stderr()),
            )
            self._process = subprocess.Popen(  # noqa: S603 - our own file, no shell
                boot_command(python, _MODULE, *map(str, fds)),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=fds,
            )
            undo.pop_all()
        self.channel = Channel(channel)
        self.pulse.setblocking(False)  # noqa: FBT003 - the standard library's own call
        assert self._process.stderr is not None  # noqa: S101 - asked for above
        self.stderr = self._process.stderr
        os.set_blocking(self.stderr.fileno(), False)
        self._transcript = Transcript()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ask(self) -> None:
        """Ask whether it still answers; never waits."""
        # A full socket: it has not heard the earlier ones. A closed one: it has gone.
        with contextlib.suppress(OSError):
            self.pulse.send(b"\1")

    def answers(self) -> bytes | None:
        """Return what it has answered since, a byte each, or None when it does so no more."""
        try:
            return self.pulse.recv(64) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def read_stderr(self) -> bool:
        """Log what it has written since; tell whether there may be more."""
        if self.stderr.closed:
            return False
        try:
            data = os.read(self.stderr.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        now = time.monotonic()
        _log(self._transcript.take(data, now) if data else self._transcript.finish(now))
        return bool(data)

    def tell_left_out(self) -> None:
        """Log how much of what it has written was left out, if that is due."""
        _log(self._transcript.summary(time.monotonic()))

    def last_words(self) -> str:
        """Return the last lines of its standard error; after `end` too."""
        return self._transcript.last_words()

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
        status = self._await_end()
        self._read_the_rest()
        self.channel.close()
        self.pulse.close()
        self.stderr.close()
        return status

    def _await_end(self) -> int:
        """Wait for the end of one that was killed; leave it behind if there is none."""
        try:
            return self._process.wait(KILL_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning(
                "The streaming process %d cannot be ended: the kernel holds it, most often in a "
                "driver. It is left behind, and keeps its ports until then.",
                self.pid,
            )
            _left_behind.append(self._process)
            return -signal.SIGKILL

    def _read_the_rest(self) -> None:
        """Log what it wrote last; a process that it has started may still have the pipe."""
        poll = select.poll()
        poll.register(self.stderr.fileno(), select.POLLIN)
        for _ in range(_LAST_READS):
            if not poll.poll(0):
                break
            if not self.read_stderr():
                return
        _log(self._transcript.finish(time.monotonic()))

    def abandon(self) -> None:
        """Close a forked copy's ends, without a lock: whoever holds it is in the other process."""
        with contextlib.suppress(OSError):
            os.close(self.channel.sock.detach())
        self.pulse.close()
        self.stderr.close()
        # Not our child: whoever forgets the copy must not wait for it.
        self._process.returncode = 0


def _log(lines: Sequence[tuple[int, str]]) -> None:
    for level, text in lines:
        logger.log(level, "streaming process: %s", text)


@contextlib.contextmanager
def _own_stderr() -> Iterator[tuple[int, ...]]:
    """
    Return a copy of our standard error for a while, or nothing where that is closed.

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
    """Return how much CPU time a process has used, or None where that cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - read at every status line
            after_name = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    # proc(5): utime and stime are fields 14 and 15, the name is field 2.
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def memory_bytes(pid: int) -> int | None:
    """
    Return the proportional set size of a process, or `None` if it cannot be read.

    Of the streaming process only root can: see `backpack._worker.sandbox`.
    """
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None
