"""One request on a connection of its own, and its answer: h11 writes and reads them."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

from backpack._outputs.kvs.worker.http.connection import Connection
from backpack._outputs.kvs.worker.http.errors import ANSWERS_ENDED, CLOSED, UNREADABLE
from backpack._outputs.kvs.worker.http.library import h11

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.http.connection import Network

LARGEST_BODY_BYTES = 256 * 1024
"""Of an answer that is read as a whole: what AWS says there is a few hundred."""

_OK = 200


@dataclass(frozen=True)
class Answer:
    """
    What was answered.

    Attributes:
        status: Of HTTP.
        error_type: The header ``x-amzn-ErrorType``.
        body: Without what an answer that goes on brings later.
        skew_seconds: How far this machine's clock is ahead of the Date header.

    """

    status: int
    error_type: str = ""
    body: bytes = field(default=b"", repr=False)
    skew_seconds: float | None = None


class Heard(Protocol):
    """Is told what becomes of an exchange."""

    def answered(self, answer: Answer) -> None:
        """Handle the answer; if it goes on, its head."""

    def more(self, data: bytes) -> None:
        """Handle how an answer goes on."""

    def broke(self, cause: str, sentence: str) -> None:
        """Called when no more comes. The exchange is closed."""


class Exchange:
    """
    One request and its answer.

    Args:
        network: The thread's.
        endpoint: Where to.
        request: Head, and body where that is known.
        heard: Who hears of it.
        goes_on: Whether an answer 200 is told as soon as its head is there.

    Raises:
        ValueError: The request is none.

    """

    def __init__(
        self, network: Network, endpoint: str, request: bytes, heard: Heard, *, goes_on: bool
    ) -> None:
        self._heard = heard
        self._goes_on = goes_on
        self._http = h11.Connection(h11.CLIENT)
        self._head: h11.Response | None = None
        self._body = bytearray()
        # Whether an answer was told, and whether nothing is told any more.
        self._is_answered = False
        self._is_over = False
        written = self._write_again(request)
        self.connection = Connection(network, endpoint, self._on_data, self._on_end)
        self.connection.send(written)

    def send_chunk(self, data: bytes) -> None:
        """Send a part of the body; the end of it where there is no data (RFC 9112, 7.1)."""
        event = h11.Data(data=data) if data else h11.EndOfMessage()
        self.connection.send(self._http.send(event) or b"")

    def _write_again(self, request: bytes) -> bytes:
        """Return a signed request as h11 writes it: h11 has to know what is answered."""
        reader = h11.Connection(h11.SERVER)
        written = b""
        try:
            reader.receive_data(request)
            event = reader.next_event()
            while isinstance(event, (h11.Request, h11.Data, h11.EndOfMessage)):
                written += self._http.send(event) or b""
                event = reader.next_event()
        except h11.ProtocolError as error:
            raise ValueError(f"What is to be sent is no request of HTTP/1.1: {error}.") from None
        if not written:
            raise ValueError("What is to be sent is no whole request of HTTP/1.1.")
        return written

    def close(self) -> None:
        """End it; nothing is told any more. Idempotent."""
        self._is_over = True
        self.connection.close()

    def _on_data(self, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            self._take_events()
        except h11.RemoteProtocolError:
            self._break(UNREADABLE)

    def _take_events(self) -> None:
        while not self._is_over:
            event = self._http.next_event()
            if isinstance(event, h11.Response):
                self._head = event
                if self._goes_on and event.status_code == _OK:
                    self._tell()
            elif isinstance(event, h11.Data):
                self._take_data(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
            elif not isinstance(event, h11.InformationalResponse):
                # It waits for more, or there is nothing more to come.
                return

    def _take_data(self, data: bytes) -> None:
        if self._is_answered:
            self._heard.more(data)
            return
        self._body += data
        if len(self._body) > LARGEST_BODY_BYTES:
            self._break(UNREADABLE)

    def _finish(self) -> None:
        if self._is_answered:
            self._break(ANSWERS_ENDED)
        else:
            self.close()
            self._tell()

    def _on_end(self, cause: str, sentence: str) -> None:
        refused = self._head is not None and self._head.status_code != _OK
        if cause == CLOSED:
            # Some answers last as long as their connection; the others are cut off.
            with contextlib.suppress(h11.RemoteProtocolError):
                self._http.receive_data(b"")
                self._take_events()
        if self._is_over:
            return
        if refused:
            # What matters of a refusal is in its head.
            self._finish()
        else:
            self._is_over = True
            self._heard.broke(cause, sentence)

    def _tell(self) -> None:
        if self._head is None:
            return
        self._is_answered = True
        headers = {name: value.decode("latin-1") for name, value in self._head.headers}
        self._heard.answered(
            Answer(
                self._head.status_code,
                headers.get(b"x-amzn-errortype", ""),
                bytes(self._body),
                _skew_seconds(headers.get(b"date", "")),
            )
        )

    def _break(self, cause: str) -> None:
        self.close()
        self._heard.broke(cause, "")


def _skew_seconds(date: str) -> float | None:
    try:
        there = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError):
        return None
    return time.time() - there.timestamp()
