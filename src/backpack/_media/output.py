"""What an output is in the streaming process, and what it gets of its stream."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from backpack._media.hub import Hub


class Peer(Protocol):
    """The application's side of an output. Any thread."""

    def send(self, body: dict[str, Any]) -> None:
        """Send a message, as JSON would take it, to the application's side."""

    def stats_changed(self) -> None:
        """Have the output's numbers reported to the application soon."""


@dataclass(frozen=True)
class StreamSource:
    """
    A stream, as one of its outputs sees it.

    Attributes:
        hub: Gives its access units.
        numbers: Returns its numbers, under the names of `Stats`. Main thread.
        snapshot: Asked for a JPEG of the newest frame, with a largest width;
            calls back once, on any thread, with it or with `None`. Any thread.
        peer: The application's side of the output.

    """

    hub: Hub
    numbers: Callable[[], dict[str, Any]]
    snapshot: Callable[[int, Callable[[bytes | None], None]], None]
    peer: Peer


class WorkerOutput(Protocol):
    """
    An open output, in the streaming process.

    Everything is called on the main thread and must not block: all streams and
    all viewers are served there.
    """

    @property
    def viewers(self) -> int:
        """How many watch through it now."""

    @property
    def lost(self) -> int:
        """How many access units it could not take in time."""

    @property
    def trouble(self) -> str:
        """What keeps it from delivering, and what helps. Empty if nothing does."""

    @property
    def opening(self) -> bool:
        """Whether it is not known yet if it can be opened. Waiting for a network is no opening."""

    @property
    def failed(self) -> bool:
        """Whether nothing is delivered, for good or until something is mended; see `trouble`."""

    def numbers(self) -> dict[str, Any]:
        """
        Return its statistics, as JSON would take them.

        What is under ``counters`` counts from the start of this process.
        """

    def on_message(self, body: dict[str, Any]) -> None:
        """Handle a message of the application's side."""

    def on_app_exit(self) -> None:
        """Handle that the application has gone: nobody answers any more."""

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """
        Begin to end: no access unit comes any more, deliver what there is.

        Args:
            seconds: How long that may take.
            longest_seconds: How long it may take while something is delivered.

        """

    @property
    def finished(self) -> bool:
        """Whether what `finish` began is over. `Peer.stats_changed` is called when it may be."""

    def close(self) -> Future[None] | None:
        """
        Close it, whatever is left. Idempotent.

        Returns:
            What is done once everything is closed. `None` if it is already.

        """


class QuietOutput:
    """An output without statistics and messages, which delivers at once."""

    @property
    def opening(self) -> bool:
        """False: it is open once it is made."""
        return False

    @property
    def finished(self) -> bool:
        """True: nothing waits to be delivered."""
        return True

    @property
    def trouble(self) -> str:
        """Empty: nothing keeps it from delivering."""
        return ""

    @property
    def failed(self) -> bool:
        """False."""
        return False

    def numbers(self) -> dict[str, Any]:
        """Return no statistics."""
        return {}

    def on_message(self, body: dict[str, Any]) -> None:
        """Do nothing: no message is sent to it."""

    def on_app_exit(self) -> None:
        """Do nothing: it waits for no answer."""

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """Do nothing: nothing waits to be delivered."""


class _Opening(WorkerOutput, Protocol):
    def open(self) -> None:
        """Begin."""


_Output = TypeVar("_Output", bound=_Opening)


def opened(output: _Output) -> _Output:
    """Open an output and return it, or leave nothing of it behind."""
    with contextlib.ExitStack() as undo:
        undo.callback(output.close)
        output.open()
        undo.pop_all()
    return output
