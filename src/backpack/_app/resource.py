"""What the supervisor keeps open in the streaming process: a stream or a server."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backpack._ipc.messages import (
        Closed,
        Failed,
        FromOutput,
        Message,
        Opened,
        StreamReport,
    )
    from backpack.errors import BackpackError

_next_id = itertools.count(1)


def new_id() -> int:
    """Return a number that no other resource of this process has."""
    return next(_next_id)


class RemoteResource(Protocol):
    """
    What the supervisor keeps open for somebody.

    All three methods are called on the supervisor's thread and must not wait.
    """

    id: int

    def opening(self) -> Sequence[tuple[Message, Sequence[int]]]:
        """Return the messages that open it anew; their descriptors become ours to close."""

    def handle(self, message: Opened | Failed | Closed | StreamReport | FromOutput) -> None:
        """Take a message that concerns this resource."""

    def on_worker_exit(self, error: BackpackError | None) -> None:
        """Called when the streaming process has gone; the error says why it cannot run."""
