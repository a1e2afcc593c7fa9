"""Run a thread's loop by hand."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from backpack._lib.asyncio_thread import end_loop
from backpack._outputs.kvs.worker.http.connection import Connection, Network
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Line", "Turns"]


class Turns:
    """A loop that goes on for as long as a test wants."""

    def __init__(self, lookup: Any = None, ca_bundle: str | None = None) -> None:
        self.loop = asyncio.new_event_loop()
        self.mistakes: list[Any] = []
        self.loop.set_exception_handler(lambda _loop, context: self.mistakes.append(context))
        self.network = Network(self.loop, ca_bundle=ca_bundle, lookup=lookup)

    def run(self, done: Callable[[], object], told: Callable[[], object] = lambda: "") -> None:
        """Go on until something holds."""
        deadline = time.monotonic() + PATIENCE

        async def until() -> None:
            while not done():
                assert time.monotonic() < deadline, told()
                await asyncio.sleep(0.002)

        self.loop.run_until_complete(until())

    def close(self) -> None:
        """End the loop; nothing is left of it, and nothing has gone wrong."""
        end_loop(self.loop)
        assert self.mistakes == []


class Line:
    """A connection with a loop of its own."""

    def __init__(self, endpoint: str, lookup: Any = None, ca_bundle: str | None = None) -> None:
        self.turns = Turns(lookup, ca_bundle)
        self.heard = b""
        self.ends: list[tuple[str, str]] = []
        self.connection = self.another(endpoint)

    def another(self, endpoint: str) -> Connection:
        """Make one more connection in the same loop."""
        return Connection(
            self.turns.network, endpoint, self._on_data, lambda *end: self.ends.append(end)
        )

    def _on_data(self, data: bytes) -> None:
        self.heard += data

    def run(self, done: Callable[[], object]) -> None:
        """Go on until something holds."""
        self.turns.run(done, lambda: (self.heard[:100], self.ends))

    def pause(self) -> None:
        """Let the loop do what it can do at once."""
        self.turns.loop.run_until_complete(asyncio.sleep(0.01))

    def close(self) -> None:
        """Close everything."""
        self.connection.close()
        self.turns.close()
