"""Run the command line as its users do: as a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.clients import ffprobe
from tests.waiting import children, is_running, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

SOURCE = str(Path(__file__).parents[2] / "src")

LONG = 90.0
"""Seconds that a command may take where other programs want the processor, too."""

FREE_PORT = "rtsp://127.0.0.1:0/view"


def environment(**changes: str) -> dict[str, str]:
    """Give an environment that says nothing about SpyGlass but what is named."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("BACKPACK_") and name not in ("PYTHONPATH", "COLUMNS")
    }
    return {**plain, "PYTHONPATH": SOURCE, **changes}


class Command:
    """
    One run of the command line, whose lines can be waited for.

    Its standard error may be given a terminal.
    """

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        python: str = sys.executable,
        stderr: int = subprocess.PIPE,
    ) -> None:
        self.process = subprocess.Popen(
            [python, "-m", "backpack._cli", *arguments],
            env=dict(env or environment()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        self._changed = threading.Condition()
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = [
            threading.Thread(target=self._collect, args=(stream, lines), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
            if stream is not None
        ]
        for thread in self._threads:
            thread.start()

    def _collect(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            with self._changed:
                lines.append(line.rstrip("\n"))
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def wait_line(self, lines: list[str], wanted: str | Callable[[str], object]) -> str:
        """Wait for a line that matches a pattern or pleases a function."""
        fits = re.compile(wanted).search if isinstance(wanted, str) else wanted

        def found() -> str | None:
            return next((line for line in list(lines) if fits(line)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() is not None or not self._is_talking, LONG)
            line = found()
        assert line is not None, f"no {wanted}; out {self.out}, err {self.err}"
        return line

    @property
    def _is_talking(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def url(self) -> str:
        """Wait for the first URL."""
        return self.wait_line(self.out, "^rtsps?://")

    def streaming_process(self) -> int:
        """Wait for its child and give the child's process id."""
        return next(iter(wait_for(lambda: children(self.process.pid), LONG)))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        return self.finish()

    def finish(self) -> int:
        """Wait for the end and give the status."""
        status = self.process.wait(LONG)
        for thread in self._threads:
            thread.join(LONG)
        return status

    def objects(self) -> list[dict[str, Any]]:
        """Give what was printed as JSON."""
        return [json.loads(line) for line in self.out]


@contextlib.contextmanager
def running(*arguments: str, **options: Any) -> Iterator[Command]:
    """Run a command for the time of a block; afterwards nothing of it is left."""
    command = Command(*arguments, **options)
    left: set[int] = set()
    try:
        yield command
        left = children(command.process.pid)
    finally:
        if command.process.poll() is None:
            command.process.terminate()
        try:
            command.finish()
        except subprocess.TimeoutExpired:
            command.process.kill()
            command.finish()
            raise
        for stream in (command.process.stdout, command.process.stderr):
            if stream is not None:
                stream.close()
        wait_for(lambda: not any(is_running(pid) for pid in left), what="the children's end")


def shown(url: str, width: str) -> dict[str, str]:
    """Tell what ffprobe finds once frames of that width are shown: before them there is a card."""

    def look() -> dict[str, str] | None:
        found = ffprobe(url)
        return found if found["width"] == width else None

    found = wait_for(look, LONG, what=f"a width of {width}")
    assert found is not None
    return found


def run(*arguments: str, **options: Any) -> Command:
    """Run a command to its end."""
    with running(*arguments, **options) as command:
        command.finish()
    return command
