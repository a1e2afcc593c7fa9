"""Pass frames from a source to a SpyGlass, and report how it goes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final, Protocol

from backpack._cli.cost import Bill, line_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from backpack._cli.console import Console
    from backpack._cli.stop import StopRequest
    from backpack.spyglass import SpyGlass

_READ_SECONDS: Final = 0.1
"""How long the command may take to notice that it is to end."""

_TERMINAL_SECONDS: Final = 1.0
_LINES_SECONDS: Final = 5.0


class EndOfSource(Exception):  # noqa: N818 - no error
    """Say that there will be no more frames."""


class FrameSource(Protocol):
    """Where frames come from. Used by one thread."""

    def read(self, use: Callable[[Any], object], wait_seconds: float) -> None:
        """
        Pass the next frame to ``use``, if one comes within so long.

        The frame is valid while ``use`` runs.

        Raises:
            EndOfSource: There will be no more.
            Failure: It cannot be read.

        """

    def close(self) -> None:
        """Release everything. Idempotent."""


class _Reporter:
    """Reports what streaming costs, as often as suits the reader."""

    def __init__(self, spy: SpyGlass, console: Console, *, as_json: bool) -> None:
        self._bill = Bill(spy)
        self._console = console
        self._as_json = as_json
        often = as_json or console.is_terminal
        self._period = _TERMINAL_SECONDS if often else _LINES_SECONDS
        self._next = time.monotonic() + self._period
        if as_json:
            # Machines get the addresses at once, and know the fields from then on.
            self._print({"urls": spy.urls(), **self._bill.numbers()})

    def update(self) -> None:
        """Report if it is time to."""
        now = time.monotonic()
        if now >= self._next:
            # After a standstill (Ctrl-Z, a sleeping laptop) nothing is caught up.
            self._next = max(self._next + self._period, now)
            self.tell()

    def tell(self) -> None:
        """Report now."""
        numbers = self._bill.numbers()
        if self._as_json:
            self._print(numbers)
        else:
            self._console.show(line_of(numbers))

    def _print(self, numbers: dict[str, Any]) -> None:
        print(json.dumps(numbers), flush=True)


def carry(
    source: FrameSource,
    spy: SpyGlass,
    ending: StopRequest,
    console: Console,
    *,
    as_json: bool = False,
) -> None:
    """
    Put frames until the source ends or the command is to.

    Args:
        source: Where frames come from.
        spy: Where they go.
        ending: Says when to end.
        console: Takes the status line.
        as_json: Whether standard output gets the numbers instead.

    Raises:
        Failure: The source cannot be read.
        BackpackError: A frame cannot be put.

    """
    reporter = _Reporter(spy, console, as_json=as_json)
    try:
        while not ending.is_due:
            source.read(spy.put, _READ_SECONDS)
            reporter.update()
    except EndOfSource:
        pass
    reporter.tell()
