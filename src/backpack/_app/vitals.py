"""Ask one streaming process whether it still answers; decide nothing."""

from __future__ import annotations

import logging
import select
import time
from pathlib import Path
from typing import TYPE_CHECKING

from backpack._app.pulse import Pulse

if TYPE_CHECKING:
    from backpack._ipc.child import StreamingProcess

SILENT_SECONDS = 2.5
"""Closing does not wait for one that has owed an answer for so long."""

logger = logging.getLogger("backpack._ipc")


class Vitals:
    """
    Send pings to a streaming process and hear its answers. The supervisor's thread alone.

    Args:
        child: The process, which was started a moment ago.

    """

    def __init__(self, child: StreamingProcess) -> None:
        self._child = child
        self._pulse = Pulse(time.monotonic())
        self._can_answer = True
        # Whether a debugger held it when a verdict was last due, and whether that was said.
        self._is_held = False
        self._was_held = False

    @property
    def is_silent(self) -> bool:
        """Whether an answer has been due for so long that it may not come. Any thread."""
        return self._pulse.silent_seconds >= SILENT_SECONDS

    def started(self) -> None:
        """Called when it has started."""
        self._pulse.started(time.monotonic())

    def heard(self) -> None:
        """Called when it has said something."""
        self._pulse.heard(time.monotonic())

    def hear_answer(self) -> bool:
        """Take what came in answer to pings; tell whether more can come."""
        answers = self._child.answers()
        if answers:
            self._pulse.answered(time.monotonic(), answers[-1])
        self._can_answer = answers is not None
        return self._can_answer

    def ask_soon(self) -> None:
        """Ask at the next look: somebody is about to wait for it."""
        self._pulse.ask_soon()

    def look(self) -> str:
        """Ask if it is time to; say what has become of it if it is to be given up."""
        now = time.monotonic()
        if self._pulse.must_ask(now):
            self._child.ask()
        self._pulse.count(now)
        verdict = self._pulse.verdict()
        if verdict and self._has_unheard():
            verdict = ""
        # A debugger is looked for when there is a verdict, which costs nothing in between, and
        # from then on at each look: what was missed until it leaves must not count afterwards.
        if verdict or self._is_held:
            self._is_held = is_traced(self._child.pid)
        if not self._is_held:
            return verdict
        self._pulse.start_over(now)
        if not self._was_held:
            logger.info("The streaming process %s; a debugger holds it.", verdict)
        self._was_held = True
        return ""

    def wait_seconds(self) -> float:
        """Return how long there is nothing to look at."""
        return self._pulse.wait_seconds(time.monotonic())

    def _has_unheard(self) -> bool:
        """Return whether it has said something that we have not come to yet."""
        poll = select.poll()
        poll.register(self._child.channel.fileno(), select.POLLIN)
        if self._can_answer:
            poll.register(self._child.pulse.fileno(), select.POLLIN)
        return bool(poll.poll(0))


def is_traced(pid: int) -> bool:
    """Return whether a debugger is attached to a process (proc(5), ``TracerPid``)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_bytes().splitlines()
    except OSError:
        return False
    return any(line.startswith(b"TracerPid:") and int(line.split()[1]) for line in lines)
