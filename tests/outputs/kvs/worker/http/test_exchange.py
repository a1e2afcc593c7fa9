from __future__ import annotations

import socket
import struct
import time
from email.utils import formatdate
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.http import exchange
from backpack._outputs.kvs.worker.http.exchange import Answer, Exchange
from tests.outputs.kvs.worker.http.lines import Turns
from tests.waiting import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = b"POST /putMedia HTTP/1.1\r\nHost: aws\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Talk:
    """One exchange, with a far side that says what a test wants."""

    def __init__(self, *, goes_on: bool, hang_up_after: bytes | None = None) -> None:
        self.turns = Turns()
        self.told: list[Answer | bytes | str] = []
        self._hang_up_after = hang_up_after
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            self.exchange = Exchange(self.turns.network, url, REQUEST, self, goes_on=goes_on)
            self.turns.run(lambda: self.exchange.connection.is_open)
            self.far, _ = listener.accept()
        self.far.settimeout(PATIENCE)
        assert self.far.recv(999).lower() == REQUEST.lower()

    def answered(self, answer: Answer) -> None:
        """Hear an answer."""
        self.told.append(answer)

    def more(self, data: bytes) -> None:
        """Hear how it goes on."""
        self.told.append(data)
        if data == self._hang_up_after:
            self.exchange.close()

    def broke(self, cause: str, sentence: str) -> None:
        """Hear that it ended."""
        assert sentence == ""
        self.told.append(cause)

    def say(self, data: bytes, *, last: bool = False) -> list[Answer | bytes | str]:
        """Have the far side say something, and give all that was told."""
        connection = self.exchange.connection
        come = bytearray()
        take = connection._on_data

        def on_data(data: bytes) -> None:
            come.extend(data)
            take(data)

        connection._on_data = on_data
        self.far.sendall(data)
        self.turns.run(lambda: len(come) == len(data), lambda: self.told)
        connection._on_data = take
        if last:
            self.far.close()
            self.turns.run(lambda: connection._closed, lambda: self.told)
        return self.told

    def close(self) -> None:
        """Close everything."""
        self.exchange.close()
        self.far.close()
        self.turns.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Wait for a whole answer."""
    made = Talk(goes_on=False)
    yield made
    made.close()


@pytest.fixture
def stream() -> Iterator[Talk]:
    """Wait for one that goes on; hang up after "stop"."""
    made = Talk(goes_on=True, hang_up_after=b"stop")
    yield made
    made.close()


def test_an_answer_is_told_as_a_whole(talk: Talk) -> None:
    """With what its head says, and how far the clocks are apart."""
    date = formatdate(time.time() - 600, usegmt=True)
    head = (
        f"HTTP/1.1 400 Bad\r\nX-Amzn-ErrorType: Oops\r\nDate: {date}\r\nContent-Length: 5\r\n\r\n"
    )
    assert talk.say(head.encode() + b"so") == []
    (answer,) = talk.say(b"rry", last=False)

    assert isinstance(answer, Answer)
    assert (answer.status, answer.error_type, answer.body) == (400, "Oops", b"sorry")
    assert answer.skew_seconds == pytest.approx(600, abs=30)
    assert "sorry" not in repr(answer)


def test_an_answer_may_last_as_long_as_the_connection(talk: Talk) -> None:
    """A date that is none is not there."""
    (answer,) = talk.say(b"HTTP/1.1 200 OK\r\nDate: soon\r\n\r\nall", last=True)
    assert answer == Answer(200, "", b"all", None)


def test_of_a_refusal_that_is_cut_off_the_head_counts(talk: Talk) -> None:
    """It says what is wrong."""
    (answer,) = talk.say(b"HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n{", last=True)
    assert answer == Answer(403, "", b"{")


def test_a_grant_that_is_cut_off_is_none(talk: Talk) -> None:
    """Half of it may say something else."""
    assert talk.say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", last=True) == [
        "closed by the service"
    ]


def test_a_reset_ends_no_answer(talk: Talk) -> None:
    """Only who closes has said all."""
    talk.say(b"HTTP/1.1 200 OK\r\n\r\nall")
    talk.far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert talk.say(b"", last=True) == ["connection reset"]


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n\r\n", CHUNKED + b"zz\r\n"])
def test_what_cannot_be_read_ends_it(talk: Talk, data: bytes) -> None:
    """At once."""
    assert talk.say(data) == ["unreadable answer"]


def test_a_whole_answer_has_an_end(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept until it is complete."""
    monkeypatch.setattr(exchange, "LARGEST_BODY_BYTES", 10)
    assert talk.say(CHUNKED + b"b\r\n" + bytes(11)) == ["unreadable answer"]


def test_an_answer_that_goes_on_is_told_as_it_comes(stream: Talk) -> None:
    """First its head, at last its end."""
    stream.say(CHUNKED)
    stream.say(b"3\r\none\r\n3\r\ntwo\r\n")
    assert stream.say(b"0\r\n\r\n") == [Answer(200), b"one", b"two", "answers ended"]
    assert stream.exchange.connection._closed


def test_an_answer_that_goes_on_may_be_cut_off(stream: Talk) -> None:
    """That is told with its cause."""
    assert stream.say(CHUNKED + b"3\r\none\r\n", last=True) == [
        Answer(200), b"one", "closed by the service",
    ]  # fmt: skip


def test_a_refusal_does_not_go_on(stream: Talk) -> None:
    """It is told as a whole."""
    stream.say(b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nn")
    assert stream.say(b"o") == [Answer(503, "", b"no")]


def test_nothing_is_told_after_closing(stream: Talk) -> None:
    """Though it had come with what made the owner close it."""
    assert stream.say(CHUNKED + b"4\r\nstop\r\n3\r\none\r\n0\r\n\r\n") == [Answer(200), b"stop"]


def test_chunks_are_written_as_they_should_be(stream: Talk) -> None:
    """And the last one ends the body."""
    stream.exchange.send_chunk(bytes(17))
    stream.exchange.send_chunk(b"")
    assert stream.far.recv(99) == b"11\r\n" + bytes(17) + b"\r\n0\r\n\r\n"
