from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.kvssink import standing
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.faults import HttpError
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer
from tests.kvs_server.signature import Key
from tests.waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kvs_server.streams import Stream
    from tests.outputs.kvs.worker.kvssink.bench import Bench

TELL_SECONDS = 10.0


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Have the stand-in wait a tenth of what kvssink waits between two tries; log everything."""
    monkeypatch.setenv("KVS_STAND_IN_HURRY", "10")
    caplog.set_level(logging.DEBUG)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Give what the operator is told."""
    return [one.message for one in caplog.records if one.levelno >= logging.WARNING]


def told(bench: Bench, caplog: pytest.LogCaptureFixture) -> tuple[str, str]:
    """Wait until it is told what is wrong, see that it is told once, and give state and trouble."""
    began = time.monotonic()
    wait_for(lambda: bench.output.trouble)
    assert time.monotonic() - began < TELL_SECONDS
    tries = len(caplog.records)
    # It goes on failing meanwhile.
    wait_for(lambda: len(caplog.records) > tries + 5)
    assert [bench.output.trouble in one for one in warnings(caplog)] == [True]
    assert not bench.output.lost
    assert not bench.output.failed
    return bench.numbers["state"], bench.output.trouble


def test_a_wrong_secret_is_told(
    opened: Callable[..., Bench],
    server: KVSServer,
    stream: Stream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In ten seconds, though kvssink itself tries for minutes; without what it prints of keys."""
    server.keys[ACCESS_KEY] = Key("another")
    bench = opened()
    bench.put(20)

    state, trouble = told(bench, caplog)
    assert state == "BUFFERING"
    assert "the secret key does not belong to the access key" in trouble
    assert ACCESS_KEY not in caplog.text
    assert "Signature=" not in caplog.text
    server.keys[ACCESS_KEY] = Key(SECRET_KEY)
    bench.finish()
    assert frame_numbers(stream.timeline()) == list(range(1, 21))
    assert bench.output.trouble == ""


def test_a_missing_stream_is_told(
    opened: Callable[..., Bench], server: KVSServer, caplog: pytest.LogCaptureFixture
) -> None:
    """As FAILED, since somebody has to make it; it goes on once that has happened."""
    bench = opened(stream_name="other")
    bench.put(20)

    state, trouble = told(bench, caplog)
    assert state == "FAILED"
    assert "does not exist" in trouble
    other = server.streams.add("other")
    wait_for(lambda: other.persisted() == 1)
    assert bench.numbers["state"] == "STREAMING"
    assert bench.output.trouble == ""
    bench.finish()
    assert frame_numbers(other.timeline()) == list(range(1, 21))


def test_a_refused_connection_is_told(
    opened: Callable[..., Bench],
    server: KVSServer,
    stream: Stream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With who is not reached."""
    server.refuse()
    bench = opened()
    bench.put(20)

    state, trouble = told(bench, caplog)
    assert state == "BUFFERING"
    assert f"{server.address[0]}:{server.address[1]}" in trouble
    assert "Connection refused" in trouble
    server.listen()
    bench.finish()
    assert frame_numbers(stream.timeline()) == list(range(1, 21))


def test_video_that_is_refused_is_told(
    opened: Callable[..., Bench],
    server: KVSServer,
    stream: Stream,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Though kvssink has its stream and its endpoint, and says nothing of it."""
    server.faults.always["/putMedia"] = HttpError(403, "AccessDenied", "not authorized")
    bench = opened()
    bench.put(20)

    state, trouble = told(bench, caplog)
    assert state == "BUFFERING"
    assert "kinesisvideo:PutMedia" in trouble
    del server.faults.always["/putMedia"]
    bench.finish()
    assert frame_numbers(stream.timeline()) == list(range(1, 21))
    assert bench.output.trouble == ""


def test_a_connection_that_breaks_once_is_no_news(
    opened: Callable[..., Bench],
    server: KVSServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has made another one before anybody could read it."""
    monkeypatch.setattr(standing, "_COMPLAINING_SECONDS", 1.0)
    server.faults.http["/putMedia"] = deque([HttpError(500, "")] * 2)
    bench = opened()
    bench.put(45, seconds=1.5)
    bench.finish()

    assert warnings(caplog) == []
    assert bench.counters["frames_persisted"] == 45
