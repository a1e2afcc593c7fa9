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

    def say(self, body: dict[str, Any]) -> None:
        """Send a message, as JSON would take it, to the output's `hear` in the application."""

    def news(self) -> None:
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
    An output that is open.

    All of this is called on the main thread, and none of it waits: all streams
    and all viewers live there.
    """

    @property
    def viewers(self) -> int:
        """How many watch through it now."""

    @property
    def lost(self) -> int:
        """How many pictures it could not take in time."""

    @property
    def trouble(self) -> str:
        """What keeps it from delivering, and what helps. Empty: nothing."""

    @property
    def opening(self) -> bool:
        """Whether it is not known yet if it can be opened. Waiting for a network is no opening."""

    @property
    def failed(self) -> bool:
        """Whether nothing is delivered, for good or until something is mended; see `trouble`."""

    def numbers(self) -> dict[str, Any]:
        """
        Give what it can tell of itself, as JSON would take it.

        What stands under ``counters`` counts from the start of this process.
        """

    def hear(self, body: dict[str, Any]) -> None:
        """Take what its other end, in the application, has to say."""

    def orphaned(self) -> None:
        """Learn that the application has gone: nobody answers any more."""

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """
        Begin to end: no picture comes any more, deliver what there is.

        Args:
            seconds: How long that may take.
            longest_seconds: How long it may take while it gets somewhere.

        """

    @property
    def finished(self) -> bool:
        """Whether what `finish` has begun is over. The peer's `news` says that it may be."""

    def close(self) -> Future[None] | None:
        """
        Close it, whatever is left. Idempotent.

        Returns:
            What is done once everything is closed. `None` if it is already.

        """


class QuietOutput:
    """Be an output that has nothing to tell, and delivers as it goes."""

    @property
    def opening(self) -> bool:
        """It is open once it was made."""
        return False

    @property
    def finished(self) -> bool:
        """Nothing is under way."""
        return True

    @property
    def trouble(self) -> str:
        """Nothing keeps it from delivering."""
        return ""

    @property
    def failed(self) -> bool:
        """It has not."""
        return False

    def numbers(self) -> dict[str, Any]:
        """Tell nothing."""
        return {}

    def hear(self, body: dict[str, Any]) -> None:
        """Do nothing: nothing is said to it."""

    def orphaned(self) -> None:
        """Do nothing: nothing was asked."""

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """Do nothing: nothing waits."""


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
