from __future__ import annotations

import os
import socket
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backpack._ipc.channel import Channel, ChannelClosed
from backpack._ipc.messages import AttachRing, Closed, Log, encode
from tests.waiting import open_descriptors, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backpack._ipc.messages import Message


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """Give both ends of a channel."""
    before = open_descriptors()
    ours, theirs = (Channel(sock) for sock in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()
    assert open_descriptors() <= before


@pytest.fixture
def raw() -> Iterator[tuple[Channel, socket.socket]]:
    """Give one end of a channel, and a bare socket as the other."""
    before = open_descriptors()
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    yield channel, theirs
    channel.close()
    theirs.close()
    assert open_descriptors() <= before


def framed(message: Message, fds: int = 0) -> bytes:
    """Write a message as it travels."""
    body = encode(message)
    return struct.pack("!IB", len(body), fds) + body


def messages_of(channel: Channel) -> list[Message]:
    """Give the messages that have come in."""
    return [message for message, _ in channel.receive()]


def test_messages_arrive_in_order(pair: tuple[Channel, Channel]) -> None:
    """What is sent arrives, in order, and nothing twice."""
    ours, theirs = pair
    sent = [Closed(number) for number in range(100)]
    for message in sent:
        ours.send(message)

    assert messages_of(theirs) == sent
    assert messages_of(theirs) == []


def test_a_message_may_come_byte_by_byte(raw: tuple[Channel, socket.socket]) -> None:
    """A message is given when it is whole, however it was cut."""
    channel, sock = raw
    data = framed(Closed(1)) + framed(Log(20, "a", "b"))
    got = []
    for byte in data:
        sock.send(bytes([byte]))
        got += messages_of(channel)

    assert got == [Closed(1), Log(20, "a", "b")]


def test_descriptors_come_with_their_message(pair: tuple[Channel, Channel]) -> None:
    """Each message has its own descriptors beside it, also when many come at once."""
    ours, theirs = pair
    for number in range(6):
        ours.send(Log(20, "before", ""))
        with Path(os.devnull).open() as one, Path("/proc/self/stat").open() as two:
            ours.send(AttachRing(number), [one.fileno(), two.fileno()][: number % 3])
    got = []
    while len(got) < 12:
        got += theirs.receive()

    attached = [(message.id, fds) for message, fds in got if isinstance(message, AttachRing)]
    assert [(number, len(fds)) for number, fds in attached] == [(n, n % 3) for n in range(6)]
    assert all(not fds for message, fds in got if isinstance(message, Log))
    for _, fds in attached:
        for fd, path in zip(fds, (os.devnull, "/stat"), strict=False):
            assert str(Path(f"/proc/self/fd/{fd}").readlink()).endswith(path)
            assert not os.get_inheritable(fd)
            os.close(fd)


def test_sending_never_waits(pair: tuple[Channel, Channel]) -> None:
    """What the socket does not take is kept, and sent by `flush` when there is room."""
    ours, theirs = pair
    sent = [Log(20, "name", "x" * 50_000 + str(number)) for number in range(40)]
    with Path(os.devnull).open() as file:
        for message in sent:
            ours.send(message)
        ours.send(AttachRing(1), [file.fileno()])
    assert ours.has_pending
    got: list[tuple[Message, list[int]]] = []
    while len(got) < 41:
        got += theirs.receive()
        ours.flush()

    assert [message for message, _ in got] == [*sent, AttachRing(1)]
    assert not ours.has_pending
    os.close(got[-1][1][0])


def test_threads_may_send_at_once(pair: tuple[Channel, Channel]) -> None:
    """Messages of several threads do not mix, and each thread's stay in order."""
    ours, theirs = pair

    def send(name: str) -> None:
        for number in range(200):
            ours.send(Log(number, name, "y" * 3000))

    threads = [threading.Thread(target=send, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    got: list[Message] = []

    def all_came() -> bool:
        ours.flush()
        got.extend(messages_of(theirs))
        return len(got) == 800

    wait_for(all_came, every=0.001)
    for thread in threads:
        thread.join()
    for name in "0123":
        mine = [one.level for one in got if isinstance(one, Log) and one.name == name]
        assert mine == list(range(200))


def test_a_reader_that_has_stopped_is_given_up(pair: tuple[Channel, Channel]) -> None:
    """What waits for the other side is bounded."""
    ours, _ = pair
    large = Log(20, "name", "x" * 900_000)

    def send_on_and_on() -> None:
        for _ in range(40):
            ours.send(large)

    with pytest.raises(ChannelClosed):
        send_on_and_on()


def test_too_large_a_message_is_a_mistake_of_ours(pair: tuple[Channel, Channel]) -> None:
    """A message beyond the limit is refused before anything is sent."""
    ours, theirs = pair
    with pytest.raises(ValueError, match="too much"):
        ours.send(Log(20, "name", "x" * (1 << 20)))
    with Path(os.devnull).open() as file, pytest.raises(ValueError, match="too much"):
        ours.send(AttachRing(1), [file.fileno()] * 9)

    assert theirs.receive() == []


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("!IB", 1 << 30, 0),
        struct.pack("!IB", 2, 200) + b"{}",
        struct.pack("!IB", 2, 0) + b"{}",
        struct.pack("!IB", 3, 0) + b"\xff\xff\xff",
        framed(Closed(1), fds=1),
    ],
)
def test_garbage_ends_the_conversation(raw: tuple[Channel, socket.socket], data: bytes) -> None:
    """Whatever is no message of ours means that the other side is not ours."""
    channel, sock = raw
    sock.send(data)

    with pytest.raises(ChannelClosed):
        channel.receive()


def test_garbage_after_descriptors_leaks_none(raw: tuple[Channel, socket.socket]) -> None:
    """Descriptors of messages that nobody gets are closed."""
    channel, sock = raw
    before = open_descriptors()
    with Path(os.devnull).open() as file:
        socket.send_fds(sock, [framed(AttachRing(1), fds=1)], [file.fileno()])
    sock.send(b"\xff" * 5)

    with pytest.raises(ChannelClosed):
        channel.receive()
    assert open_descriptors() <= before


def test_last_words_are_heard(pair: tuple[Channel, Channel]) -> None:
    """What was said before the other side went is given before the news that it went."""
    ours, theirs = pair
    ours.send(Closed(1))
    ours.close()

    assert messages_of(theirs) == [Closed(1)]
    with pytest.raises(ChannelClosed):
        theirs.receive()


def test_last_words_are_heard_though_the_other_side_did_not_listen(
    pair: tuple[Channel, Channel],
) -> None:
    """A side that ends with our words unread resets the connection; its own are heard."""
    ours, theirs = pair
    theirs.send(Closed(7))
    ours.send(Closed(1))
    ours.close()

    assert messages_of(theirs) == [Closed(1)]
    with pytest.raises(ChannelClosed):
        theirs.receive()


def test_sending_to_nobody_is_told(pair: tuple[Channel, Channel]) -> None:
    """Sending after the other side has gone, or after our own close, raises."""
    ours, theirs = pair
    theirs.close()
    with pytest.raises(ChannelClosed):
        ours.send(Closed(1))
    ours.close()
    with pytest.raises(ChannelClosed):
        ours.send(Closed(1))
    ours.flush()


def test_closing_closes_what_waits(raw: tuple[Channel, socket.socket]) -> None:
    """Descriptors that were neither sent nor taken are closed with the channel."""
    channel, sock = raw
    before = open_descriptors()
    with Path(os.devnull).open() as file:
        # Half a message: its descriptor has come, nobody can take it.
        socket.send_fds(sock, [framed(AttachRing(1), fds=1)[:-1]], [file.fileno()])
        assert channel.receive() == []
        while not channel.has_pending:
            channel.send(Log(20, "name", "x" * 100_000))
        channel.send(AttachRing(2), [file.fileno()])
    channel.close()
    channel.close()

    # Less our own socket.
    assert open_descriptors() <= before - 1
