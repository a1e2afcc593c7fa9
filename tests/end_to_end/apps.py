"""Applications that put numbered frames: on a thread here, and as processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.numbered import HEIGHT, WIDTH, numbered
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from backpack.spyglass import SpyGlass

SCRIPT = Path(__file__).with_name("app.py")


@dataclass(frozen=True)
class Put:
    """One call of put(): wall clock before and after, and what it said."""

    before_ns: int
    after_ns: int
    taken: bool


class Putter:
    """
    Put numbered frames and remember when.

    Args:
        spyglass: Where to.
        first: The first frame's number.
        width: Of the frames.
        height: Of the frames.
        grain: As in `numbered`.

    """

    def __init__(
        self,
        spyglass: SpyGlass,
        *,
        first: int = 1,
        width: int = WIDTH,
        height: int = HEIGHT,
        grain: int = 0,
    ) -> None:
        self.spyglass = spyglass
        self.puts: dict[int, Put] = {}
        self.failures: list[BaseException] = []
        self._next = first
        self._size = (width, height)
        self._grain = grain
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, **options: Any) -> bool:
        """Put the next frame."""
        number, self._next = self._next, self._next + 1
        frame = numbered(number, *self._size, grain=self._grain)
        before_ns = time.time_ns()
        taken = self.spyglass.put(frame, **options)
        self.puts[number] = Put(before_ns, time.time_ns(), taken)
        return taken

    @property
    def last(self) -> int:
        """The number of the frame that was put last."""
        return self._next - 1

    @property
    def longest_seconds(self) -> float:
        """How long the longest put() took."""
        return max(one.after_ns - one.before_ns for one in self.puts.values()) / 1e9

    def run(self, fps: float, seconds: float) -> None:
        """Put frames at a rate for a while, on the caller's thread."""
        self._loop(fps, round(fps * seconds))

    def start(self, fps: float) -> None:
        """Put frames at a rate until stopped, on a thread."""
        self._thread = threading.Thread(target=self._loop, args=(fps, None), name="putter")
        self._thread.start()

    def stop(self) -> None:
        """Put no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            assert not self._thread.is_alive()
        self._thread = None
        self._stop.clear()

    def _loop(self, fps: float, count: int | None) -> None:
        due = time.monotonic()
        try:
            while count is None or count > 0:
                if self._stop.wait(max(0.0, due - time.monotonic())):
                    return
                self.put()
                # No catching up: a camera does not either.
                due = max(due + 1 / fps, time.monotonic())
                count = None if count is None else count - 1
        except BaseException as error:  # noqa: BLE001 - told by the test that looks
            self.failures.append(error)


class Show:
    """Put the same frame over and over, on a thread; another one may take its place."""

    def __init__(self, spyglass: SpyGlass, frame: Any, fps: float = 25) -> None:
        self.frame = frame
        self.failures: list[BaseException] = []
        self._spyglass = spyglass
        self._interval = 1 / fps
        self._stop = threading.Event()
        # Before anybody comes, so that nobody sees the card.
        spyglass.put(frame)
        self._thread = threading.Thread(target=self._run, name="show")
        self._thread.start()

    def close(self) -> None:
        """Put no more."""
        self._stop.set()
        self._thread.join(PATIENCE)
        assert not self.failures

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._interval):
                self._spyglass.put(self.frame)
        except BaseException as error:  # noqa: BLE001 - told at the end
            self.failures.append(error)


class App:
    """
    Run `app.py`, an application in a process of its own, and talk to it.

    Args:
        fps: Frames that it puts a second; 0: none unless told.
        options: More arguments.
        stderr: Where its standard error goes. None: where ours goes.
        environment: Added to its environment.

    """

    def __init__(
        self, fps: float = 30, *options: str, stderr: Path | None = None, **environment: str
    ) -> None:
        with contextlib.nullcontext() if stderr is None else stderr.open("w") as told:
            self._process = subprocess.Popen(
                [sys.executable, str(SCRIPT), "--fps", str(fps), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
                env=os.environ | environment,
                start_new_session=True,
            )
        self.pid = self._process.pid
        self.url: str = self._answer()["url"]

    def ask(self, order: str) -> dict[str, Any]:
        """Give an order and wait until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._answer()

    def numbers(self) -> dict[str, Any]:
        """Tell what the application counts, and what its process holds."""
        return self.ask("numbers")

    def wait_for_numbers(
        self, look: Callable[[dict[str, Any]], object], seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """Ask again and again until the numbers are as they should be."""
        deadline = time.monotonic() + seconds
        while not look(numbers := self.numbers()):
            assert time.monotonic() < deadline, f"it stays so: {numbers}"
            time.sleep(0.02)
        return numbers

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to it, or to its group as a terminal does."""
        (os.killpg if group else os.kill)(self.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait until it has ended, and give its status."""
        return self._process.wait(seconds)

    def close(self) -> None:
        """End it, however it goes."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the application has ended with status {self._process.wait(PATIENCE)}"
        answer: dict[str, Any] = json.loads(line)
        return answer
