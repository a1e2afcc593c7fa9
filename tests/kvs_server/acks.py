"""Write acknowledgements while the body is still being read."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from tests.kvs_server.faults import AckForm
from tests.kvs_server.wire import Closed, chunk

if TYPE_CHECKING:
    from tests.kvs_server.faults import Faults
    from tests.kvs_server.streams import Session
    from tests.kvs_server.wire import Wire

__all__ = ["AckWriter"]

PART_BYTES = 7
GATHER_SECONDS = 0.05


class AckWriter:
    """
    Send acknowledgements when they are due, in the form that was asked for.

    A thread of its own, so that late ones keep nobody from reading.
    """

    def __init__(self, wire: Wire, session: Session, faults: Faults) -> None:
        self._wire = wire
        self._session = session
        self._faults = faults
        # Guards what stands below.
        self._changed = threading.Condition()
        self._waiting: list[tuple[float, bytes]] = []
        self._closing = False
        self._cut = False
        self._thread = threading.Thread(target=self._run, name="kvs-server-acks")
        self._thread.start()

    def say(self, event: str, **more: object) -> None:
        """Have an acknowledgement sent."""
        ack = {"EventType": event, **more}
        self._session.acks.append(ack)
        if self._faults.silent:
            return
        due = time.monotonic() + self._faults.ack_delay_seconds
        with self._changed:
            self._waiting.append((due, json.dumps(ack, separators=(",", ":")).encode() + b"\n"))
            self._changed.notify()

    def close(self, *, cut: bool = False) -> None:
        """
        Send what is left, end the answer, and wait until that is done.

        Args:
            cut: Send nothing any more.

        """
        with self._changed:
            self._closing = True
            self._cut = self._cut or cut
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (data := self._next()) is not None:
                self._faults.awake.wait()
                self._write(data)
            if not self._cut:
                self._wire.send(chunk(b""))
        except Closed:
            # The reading side sees it as well.
            return

    def _next(self) -> bytes | None:
        """Wait for what is due."""
        gather = GATHER_SECONDS if self._faults.ack_form is AckForm.SEVERAL else 0.0
        with self._changed:
            while not self._cut:
                now = time.monotonic()
                due = self._waiting[0][0] + gather if self._waiting else None
                if due is not None and due <= now:
                    ready = [data for at, data in self._waiting if at <= now]
                    count = len(ready) if gather else 1
                    del self._waiting[:count]
                    return b"".join(ready[:count])
                if due is None and self._closing:
                    return None
                self._changed.wait(None if due is None else due - now)
            return None

    def _write(self, data: bytes) -> None:
        if self._faults.ack_form is not AckForm.PARTS:
            self._wire.send(chunk(data))
            return
        for begin in range(0, len(data), PART_BYTES):
            self._wire.send(chunk(data[begin : begin + PART_BYTES]))
