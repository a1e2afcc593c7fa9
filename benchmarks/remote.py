"""Talk to the processes that are measured: one JSON line asks, one answers."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["ROOT", "Answer", "Child", "ChildError", "Inbox", "serve"]

Answer = dict[str, Any]

ROOT = Path(__file__).resolve().parent.parent

# No command takes as long.
ANSWER_SECONDS = 60.0


class ChildError(RuntimeError):
    """Say what a measured process answered instead of a result."""


class Inbox:
    """
    Lines that come over a file descriptor, read without ever reading too far.

    Args:
        descriptor: Open for reading, owned by the caller.

    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._pending = b""

    def has_line(self) -> bool:
        """Say whether a line is there, or the other side is gone; never wait."""
        return b"\n" in self._pending or bool(select.select([self._descriptor], [], [], 0)[0])

    def line(self, timeout_seconds: float | None = None) -> str | None:
        """
        Wait for the next line.

        Returns:
            The line, or None when the other side is gone.

        Raises:
            TimeoutError: Nothing came in time.

        """
        end = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        while b"\n" not in self._pending:
            left = None if end is None else max(0.0, end - time.monotonic())
            if not select.select([self._descriptor], [], [], left)[0]:
                raise TimeoutError
            received = os.read(self._descriptor, 1 << 16)
            if not received:
                return None
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()


class Child:
    """
    One measured process; ends it when the ``with`` block ends.

    Args:
        module: What ``python -m`` runs; it calls ``serve``.
        python: Which Python runs it.
        environment: Variables to set beside those of this process.

    """

    def __init__(
        self, module: str, *, python: str = sys.executable, environment: Mapping[str, str] = {}
    ) -> None:
        # Safe-path variables of this process would hide the two folders.
        paths = os.pathsep.join((str(ROOT), str(ROOT / "src")))
        self._process = subprocess.Popen(
            [python, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": paths, **environment},
        )
        assert self._process.stdout is not None
        self._inbox = Inbox(self._process.stdout.fileno())
        self.module = module

    @property
    def pid(self) -> int:
        """The process' id."""
        return self._process.pid

    def tell(self, command: str, **arguments: object) -> None:
        """Send a command; ``answer`` waits for what comes of it."""
        assert self._process.stdin is not None
        line = json.dumps({"command": command, **arguments}) + "\n"
        try:
            self._process.stdin.write(line.encode())
        except BrokenPipeError:
            raise ChildError(f"{self.module} is gone (asked to {command})") from None

    def answer(self) -> Answer:
        """
        Wait for the answer to the last command.

        Raises:
            ChildError: The process failed, ended or did not answer in time.

        """
        try:
            line = self._inbox.line(ANSWER_SECONDS)
        except TimeoutError:
            raise ChildError(f"{self.module}: no answer in {ANSWER_SECONDS:.0f} s") from None
        if line is None:
            raise ChildError(f"{self.module} ended with status {self._process.wait()}")
        outcome = json.loads(line)
        if "error" in outcome:
            raise ChildError(f"{self.module}: {outcome['error']}")
        answer: Answer = outcome["answer"]
        return answer

    def ask(self, command: str, **arguments: object) -> Answer:
        """Send a command and wait for its answer."""
        self.tell(command, **arguments)
        return self.answer()

    def close(self) -> None:
        """End the process: its standard input closes, and it is killed if that is not enough."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def serve(commands: Mapping[str, Callable[..., Answer]], inbox: Inbox) -> None:
    """
    Carry out commands until the directing process closes the pipe.

    A command that fails is answered with its error: the next one may work.

    Args:
        commands: What each command calls; the line's other fields are the arguments.
        inbox: Where the lines come from.

    """
    # Libraries that print (GStreamer does) must not garble the answers.
    answers = os.dup(1)
    os.dup2(2, 1)
    while (line := inbox.line()) is not None:
        arguments = json.loads(line)
        try:
            outcome: Answer = {"answer": commands[arguments.pop("command")](**arguments)}
        except Exception as error:  # noqa: BLE001 - told to the one who asked
            outcome = {"error": f"{type(error).__name__}: {error}"}
        text = (json.dumps(outcome) + "\n").encode()
        while text:
            text = text[os.write(answers, text) :]
