from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.http.response import END, AnswerError, AnswerReader, Head

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.http.response import Part

CHUNKED = (
    b"HTTP/1.1 100 Continue\r\n\r\n"
    b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nDate: Sun\r\ntransfer-encoding:  Chunked \r\nContent-Length: 7\r\n\r\n"
    b'3\r\n{"a\r\n0A; name=value\r\n":1}\r\n{"b"\r\n000\r\nTrailer: x\r\n\r\nmore'
)
COUNTED = b"HTTP/1.0 403\r\nContent-Length: 5\r\nX-Amzn-ErrorType: No\r\n\r\nsorryHTTP/1.1 200"
BARE = b"HTTP/1.1 200 OK\r\n\r\nall of it"


def told(parts: list[Part]) -> tuple[Head | None, bytes, bool]:
    """Put parts together: head, body, and whether that is all."""
    heads = [part for part in parts if isinstance(part, Head)]
    assert len(heads) <= 1
    body = b"".join(part for part in parts if isinstance(part, bytes))
    assert parts.count(END) <= 1
    return (heads[0] if heads else None), body, END in parts


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (CHUNKED, 200, b'{"a":1}\r\n{"b"'),
        (COUNTED, 403, b"sorry"),
    ],
    ids=["chunked", "counted"],
)
def test_every_cut_gives_the_same(answer: bytes, status: int, body: bytes) -> None:
    """In two pieces, cut anywhere, and byte by byte."""
    ways = [[answer[:at], answer[at:]] for at in range(len(answer))]
    ways.append([answer[at : at + 1] for at in range(len(answer))])
    for pieces in ways:
        reader = AnswerReader()
        parts = list(itertools.chain.from_iterable(map(reader.feed, pieces)))
        head, found, ended = told(parts)

        assert head is not None
        assert (head.status, found, ended) == (status, body, True)
        assert reader.closed() == []


def test_without_a_length_the_body_lasts_as_long_as_the_connection() -> None:
    """Wherever it is cut."""
    for at in range(len(BARE)):
        reader = AnswerReader()
        parts = [*reader.feed(BARE[:at]), *reader.feed(BARE[at:])]
        assert told(parts) == (Head(200, {}), b"all of it", False)
        assert reader.closed() == [END]


def test_an_answer_without_a_body_is_complete() -> None:
    """No content, or none of it."""
    for head in (
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ):
        assert told(AnswerReader().feed(head))[1:] == (b"", True)


@pytest.mark.parametrize("answer", [CHUNKED, COUNTED], ids=["chunked", "counted"])
def test_an_end_in_the_middle_is_an_error(answer: bytes) -> None:
    """What is cut off is not taken for whole."""
    whole = len(answer) - len(b"more" if answer is CHUNKED else b"HTTP/1.1 200")
    for at in range(whole):
        reader = AnswerReader()
        reader.feed(answer[:at])
        with pytest.raises(AnswerError):
            reader.closed()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02F\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nspace : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxy\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + bytes(40_000),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"0" * 2000,
    ],
)
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    """In one piece, and byte by byte: nothing that never ends fills the memory."""
    with pytest.raises(AnswerError):
        AnswerReader().feed(answer)
    with pytest.raises(AnswerError):
        list(map(AnswerReader().feed, (answer[at : at + 1] for at in range(len(answer)))))


def test_a_body_is_given_away_as_it_comes() -> None:
    """Acknowledgements come for hours: nothing of them is kept."""
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n")
    for _ in range(10):
        assert reader.feed(bytes(1000)) == [bytes(1000)]
        assert len(reader._data) == 0
