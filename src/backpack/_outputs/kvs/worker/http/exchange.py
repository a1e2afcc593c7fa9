"""Send one request on a connection of its own, and hear its answer."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol

from backpack._outputs.kvs.worker.http.connection import Connection
from backpack._outputs.kvs.worker.http.errors import ANSWERS_ENDED, CLOSED, UNREADABLE
from backpack._outputs.kvs.worker.http.response import AnswerError, AnswerReader, Head

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.http.connection import Network
    from backpack._outputs.kvs.worker.http.response import Part

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

    """

    def __init__(
        self, network: Network, endpoint: str, request: bytes, heard: Heard, *, goes_on: bool
    ) -> None:
        self._heard = heard
        self._goes_on = goes_on
        self._reader = AnswerReader()
        self._head: Head | None = None
        self._body = bytearray()
        # Whether an answer was told, and whether nothing is told any more.
        self._is_answered = False
        self._is_over = False
        self.connection = Connection(network, endpoint, self._on_data, self._on_end)
        self.connection.send(request)

    def send_chunk(self, data: bytes) -> None:
        """Send a part of the body; the end of it where there is no data (RFC 9112, 7.1)."""
        self.connection.send(b"%x\r\n%b\r\n" % (len(data), data))

    def close(self) -> None:
        """End it; nothing is told any more. Idempotent."""
        self._is_over = True
        self.connection.close()

    def _on_data(self, data: bytes) -> None:
        try:
            parts = self._reader.feed(data)
        except AnswerError:
            self._break(UNREADABLE)
            return
        self._take(parts)

    def _take(self, parts: list[Part]) -> None:
        for part in parts:
            if self._is_over:
                return
            if isinstance(part, Head):
                self._head = part
                if self._goes_on and part.status == _OK:
                    self._tell()
            elif not isinstance(part, bytes):
                self._finish()
            elif self._is_answered:
                self._heard.more(part)
            else:
                self._body += part
                if len(self._body) > LARGEST_BODY_BYTES:
                    self._break(UNREADABLE)

    def _finish(self) -> None:
        if self._is_answered:
            self._break(ANSWERS_ENDED)
        else:
            self.close()
            self._tell()

    def _on_end(self, cause: str, sentence: str) -> None:
        refused = self._head is not None and self._head.status != _OK
        with contextlib.suppress(AnswerError):
            self._take(self._reader.closed() if cause == CLOSED else [])
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
        headers = self._head.headers
        self._heard.answered(
            Answer(
                self._head.status,
                headers.get("x-amzn-errortype", ""),
                bytes(self._body),
                _skew_seconds(headers.get("date", "")),
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
