from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.http.errors import CLOSED
from backpack._outputs.kvs.worker.http.exchange import Answer, Exchange
from tests.outputs.kvs.worker.http.lines import Turns

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REQUEST = b"POST /describeStream HTTP/1.1\r\nHost: aws\r\nContent-Length: 2\r\n\r\n{}"
CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nDate: Sun\r\ntransfer-encoding:  Chunked \r\nContent-Length: 7\r\n\r\n"
    b'3\r\n{"a\r\n0A; name=value\r\n":1}\r\n{"b"\r\n000\r\nTrailer: x\r\n\r\n'
)
COUNTED = b"HTTP/1.0 403\r\nContent-Length: 5\r\nX-Amzn-ErrorType: No\r\n\r\nsorry"
BARE = b"HTTP/1.1 200 OK\r\n\r\nall of it"


@pytest.fixture
def turns() -> Iterator[Turns]:
    """Make a loop."""
    made = Turns()
    yield made
    made.close()


class Hearer:
    """Keep what an exchange tells."""

    def __init__(self, turns: Turns) -> None:
        self.told: list[Answer | bytes | str] = []
        self.exchange = Exchange(turns.network, "http://127.0.0.1:1", REQUEST, self, goes_on=False)

    def answered(self, answer: Answer) -> None:
        """Keep an answer."""
        self.told.append(answer)

    def more(self, data: bytes) -> None:
        """Keep how it goes on."""
        self.told.append(data)

    def broke(self, cause: str, _sentence: str) -> None:
        """Keep the cause."""
        self.told.append(cause)


def told(turns: Turns, pieces: Iterable[bytes], *, end: bool = False) -> list[Answer | bytes | str]:
    """Return what is told of an answer that comes in pieces."""
    hearer = Hearer(turns)
    for piece in pieces:
        if not hearer.exchange._is_over:
            hearer.exchange._on_data(piece)
    if end and not hearer.exchange._is_over:
        hearer.exchange._on_end(CLOSED, "")
    hearer.exchange.close()
    return hearer.told


def cuts(answer: bytes) -> Iterator[list[bytes]]:
    """Cut it anywhere in two, and byte by byte."""
    for at in range(len(answer)):
        yield [answer[:at], answer[at:]] if at else [answer]
    yield [answer[at : at + 1] for at in range(len(answer))]


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (CHUNKED, Answer(200, "", b'{"a":1}\r\n{"b"')),
        (COUNTED, Answer(403, "No", b"sorry")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Answer(204)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Answer(200)),
    ],
    ids=["chunked", "counted", "no content", "empty"],
)
def test_every_cut_gives_the_same(turns: Turns, answer: bytes, expected: Answer) -> None:
    """However the network cuts an answer, it is told once and whole."""
    for pieces in cuts(answer):
        assert told(turns, pieces) == [expected]


def test_without_a_length_the_body_lasts_as_long_as_the_connection(turns: Turns) -> None:
    """It is told when the connection has been closed."""
    for pieces in cuts(BARE):
        assert told(turns, pieces) == []
        assert told(turns, pieces, end=True) == [Answer(200, "", b"all of it")]


def test_a_grant_that_ends_in_its_middle_is_none(turns: Turns) -> None:
    """What is cut off is not taken for whole."""
    for at in range(1, len(CHUNKED)):
        assert told(turns, [CHUNKED[:at]], end=True) == [CLOSED]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02F\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nspace : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + bytes(40_000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 20_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"0" * 20_000,
    ],
)
def test_what_is_no_answer_is_refused(turns: Turns, answer: bytes) -> None:
    """In one piece, and byte by byte: nothing that never ends fills the memory."""
    pieces = [answer[at : at + 1] for at in range(len(answer))]

    assert told(turns, [answer]) == ["unreadable answer"]
    assert told(turns, pieces) == ["unreadable answer"]


@pytest.mark.parametrize("request_", [b"POST", b"POST / HTTP/1.1\r\n\r\n", b"SSH-2.0-x\r\n\r\n"])
def test_what_is_no_request_is_not_sent(turns: Turns, request_: bytes) -> None:
    """A head comes from another process: it is read before a connection is made."""
    with pytest.raises(ValueError, match=r"HTTP/1\.1"):
        Exchange(turns.network, "http://127.0.0.1:1", request_, Hearer(turns), goes_on=False)
