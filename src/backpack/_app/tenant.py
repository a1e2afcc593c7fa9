"""Say what the supervisor keeps open for somebody: a tenant of the streaming process."""

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
    """Give a number that no other tenant of this process has."""
    return next(_next_id)


class Tenant(Protocol):
    """
    What the supervisor keeps open for somebody.

    All three methods are called on the supervisor's thread and must not wait.
    """

    id: int

    def opening(self) -> Sequence[tuple[Message, Sequence[int]]]:
        """Give the messages that open it anew; their descriptors become ours to close."""

    def handle(self, message: Opened | Failed | Closed | StreamReport | FromOutput) -> None:
        """Take a message that concerns this tenant."""

    def went_away(self, error: BackpackError | None) -> None:
        """Learn that the streaming process has gone; the error says why it cannot run."""
