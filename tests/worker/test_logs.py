from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

import pytest

from backpack._ipc.channel import Channel
from backpack._ipc.messages import Log
from backpack._worker.logs import LogHandler

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    """Give both ends of a channel."""
    ours, theirs = (Channel(sock) for sock in socket.socketpair())
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Give a pipe that stands for the application's standard error."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def record(level: int, text: str) -> logging.LogRecord:
    """Make what is to be logged."""
    return logging.LogRecord("backpack.test", level, __file__, 1, "%s", (text,), None)


def test_the_application_decides_where_records_go(
    channels: tuple[Channel, Channel], pipe: tuple[int, int]
) -> None:
    """While it lives all are sent to it, and nothing is written beside it."""
    ours, theirs = channels
    handler = LogHandler(theirs, pipe[1])
    handler.emit(record(logging.WARNING, "careful"))
    handler.emit(record(logging.DEBUG, "by the way"))

    assert [message for message, _ in ours.receive()] == [
        Log(logging.WARNING, "backpack.test", "careful"),
        Log(logging.DEBUG, "backpack.test", "by the way"),
    ]
    with pytest.raises(BlockingIOError):
        os.read(pipe[0], 1)


def test_what_matters_is_written_where_the_application_has_gone(
    channels: tuple[Channel, Channel], pipe: tuple[int, int]
) -> None:
    """Warnings and errors are lines of its standard error then, with their origin."""
    ours, theirs = channels
    ours.close()
    handler = LogHandler(theirs, pipe[1])
    handler.emit(record(logging.WARNING, "nobody knows yet that it has gone"))
    handler.on_app_exit()
    handler.emit(record(logging.INFO, "by the way"))
    handler.emit(record(logging.WARNING, "20 frames"))

    assert os.read(pipe[0], 1000) == b"WARNING backpack.test: 20 frames\n"


def test_nobody_has_to_read_it(channels: tuple[Channel, Channel], pipe: tuple[int, int]) -> None:
    """A standard error that is full, closed or was never there holds nothing up."""
    long = record(logging.ERROR, "x" * 3000)
    handler = LogHandler(channels[1], pipe[1])
    handler.on_app_exit()
    for _ in range(100):
        handler.emit(long)
    assert len(os.read(pipe[0], 1 << 20)) > 3000
    reading, writing = os.pipe()
    os.close(reading)
    for stderr in (writing, None):
        handler = LogHandler(channels[1], stderr)
        handler.on_app_exit()
        handler.emit(long)
    os.close(writing)
