"""Drive an output as the streaming process does."""

from __future__ import annotations

import threading
import time
from typing import Any

from backpack._media.hub import Hub
from backpack._outputs.kvs.worker.kvssink.output import KVSSinkOutput
from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings
from tests.outputs.kvs.worker.producer.video import unit
from tests.waiting import wait_for

__all__ = ["Bench"]


class Bench:
    """An output on a hub, and the pictures that go into it."""

    def __init__(self, **description: Any) -> None:
        self.hub = Hub()
        self.news = threading.Event()
        # With each news: some states last for a moment only.
        self.states: list[str] = []
        self.output = KVSSinkOutput(
            self.hub,
            SinkSettings.from_dict(description),
            say=lambda _: None,
            on_stats_changed=self._hear_news,
        )
        self._number = 0
        self.began_ns = time.time_ns()

    def _hear_news(self) -> None:
        self.states.append(self.numbers["state"])
        self.news.set()

    def open(self) -> None:
        """Open the output, and wait until it is known whether the element can be loaded."""
        self.output.open()
        # The machine that looks at all plugins for the first time may be busy.
        wait_for(lambda: not self.output.opening, 60)

    def put(self, count: int, *, seconds: float = 0.0, **changes: Any) -> None:
        """
        Publish the next numbered pictures; the first one is taken now.

        Args:
            count: How many.
            seconds: How long that is to take.
            **changes: See `video.unit`.

        """
        for _ in range(count):
            self._number += 1
            self.hub.publish(unit(self._number, wall_ns=self.began_ns, **changes))
            time.sleep(seconds / count)

    @property
    def numbers(self) -> dict[str, Any]:
        """Give what the output tells."""
        return self.output.numbers()

    @property
    def counters(self) -> dict[str, Any]:
        """Give what it counts."""
        return dict(self.numbers["counters"])

    def pid(self) -> int:
        """Give the child's process id."""
        child = self.output._runner._child  # type: ignore[union-attr]
        return 0 if child is None else child.process.pid

    def wait_state(self, state: str) -> None:
        """Wait until the output is in a state."""
        wait_for(lambda: self.numbers["state"] == state, what=f"{state}: {self.numbers}")

    def close(self) -> None:
        """Close the output, and wait for what the streaming process does not wait for."""
        self.output.close()
        if self.output._runner is not None:
            self.output._runner.join()

    def finish(self, seconds: float = 20.0) -> None:
        """End, and wait for that."""
        self.output.finish(seconds)
        wait_for(lambda: self.output.finished)
