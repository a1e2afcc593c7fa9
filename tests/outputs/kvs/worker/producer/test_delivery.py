from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.producer.commands import ProducerState
from backpack._outputs.kvs.worker.producer.journal import Journal
from tests.kvs_server.decoding import frame_numbers
from tests.kvs_server.faults import AckError, AckForm, Connections, HttpError
from tests.kvs_server.server import ACCESS_KEY, KVSServer
from tests.kvs_server.signature import Key
from tests.outputs.kvs.worker.producer.driver import Driver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kvs_server.streams import Stream


@pytest.fixture
def server() -> Iterator[KVSServer]:
    """Run a server with one stream, 'test'."""
    with KVSServer() as running:
        running.streams.add("test")
        yield running


@pytest.fixture
def stream(server: KVSServer) -> Stream:
    """Give what the server keeps."""
    return server.streams["test"]


@pytest.fixture
def driver(server: KVSServer) -> Iterator[Driver]:
    """Drive a producer."""
    made = Driver(server)
    yield made
    made.close()


def waits_for(driver: Driver, frames: int) -> bool:
    """Tell whether at most so many frames are not persisted."""
    return driver.producer.queue.frames <= frames


def test_every_frame_arrives_once_and_in_order(driver: Driver, stream: Stream) -> None:
    """Nothing to complain of, for a server that looks at every element."""
    driver.frames(1, 35)
    driver.stop()

    assert driver.producer.state is ProducerState.STOPPED
    assert frame_numbers(stream.timeline()) == list(range(1, 36))
    assert stream.complaints == []
    (session,) = stream.sessions
    # The last acknowledgement comes before the body's end is read.
    assert stream.wait_for(lambda: session.closed is not None)
    assert (session.ended, session.said_end) == (True, True)


@pytest.mark.parametrize("form", list(AckForm))
def test_acknowledgements_in_every_form_free_the_buffer(
    server: KVSServer, driver: Driver, stream: Stream, form: AckForm
) -> None:
    """Late, too."""
    server.faults.ack_form = form
    server.faults.ack_delay_seconds = 0.2
    driver.frames(1, 25)
    driver.stop()

    assert len(driver.producer.queue) == 0
    assert len(stream.sessions) == 1


def test_an_outage_costs_nothing(server: KVSServer, driver: Driver, stream: Stream) -> None:
    """The port is refused while frames come; all of them are there in the end."""
    driver.frames(1, 15)
    driver.run(lambda: waits_for(driver, 5))
    server.refuse()
    driver.frames(16, 35)
    driver.run(lambda: driver.producer.status(time.monotonic()).reconnects != {})
    server.listen()
    driver.frames(36, 40)
    driver.stop()

    assert frame_numbers(stream.timeline()) == list(range(1, 41))
    assert stream.overlaps() == []


def test_what_a_process_leaves_on_disk_is_played_before_what_the_next_one_sends(
    server: KVSServer, stream: Stream, tmp_path: Path
) -> None:
    """The first one ends in an outage; all of it can be decoded, in order."""
    server.refuse()
    with Journal(tmp_path, server.region, "test") as journal:
        first = Driver(server, journal=journal)
        first.frames(1, 25)
        first.stop(0.2)
    server.listen()
    with Journal(tmp_path, server.region, "test") as journal:
        second = Driver(server, journal=journal)
        second.frames(31, 45)
        second.stop()

    assert frame_numbers(stream.timeline()) == [*range(1, 26), *range(31, 46)]
    assert stream.complaints == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_resets_cost_nothing(server: KVSServer, driver: Driver, stream: Stream) -> None:
    """In the middle of a fragment, three times."""
    server.faults.reset_after_blocks = 5
    server.faults.resets = 3
    driver.frames(1, 25)
    driver.stop()

    assert len(stream.sessions) == 4
    assert frame_numbers(stream.timeline()) == list(range(1, 26))


def test_half_a_connection_is_noticed_at_once(
    server: KVSServer, driver: Driver, stream: Stream
) -> None:
    """The server ends its answers and reads on; nobody waits for what will not come."""
    server.faults.half_close_after_fragments = 1
    driver.frames(1, 15)
    driver.run(lambda: len(stream.sessions) == 2)
    server.faults.half_close_after_fragments = None
    driver.stop()

    assert frame_numbers(stream.timeline()) == list(range(1, 16))


def test_errors_of_the_service_cost_nothing(
    server: KVSServer, driver: Driver, stream: Stream
) -> None:
    """Each of those that can be tried again, and refusals before the connection."""
    server.faults.acks = deque(
        AckError(error_id, "X", after_blocks=3, with_timecode=error_id != 5000)
        for error_id in (4000, 4003, 5000, 5001)
    )
    refusals = [(503, ""), (400, "ClientLimitExceeded"), (404, "ResourceNotFound"), (403, "X")]
    server.faults.http["/putMedia"] = deque(HttpError(*one) for one in refusals)
    driver.frames(1, 25)
    driver.stop()

    assert frame_numbers(stream.timeline()) == list(range(1, 26))
    assert driver.producer.status(time.monotonic()).trouble == ""


@pytest.mark.parametrize("connections", list(Connections))
def test_connections_follow_each_other_where_credentials_run_out(
    server: KVSServer, driver: Driver, stream: Stream, connections: Connections
) -> None:
    """Whether two connections of a stream are taken, or the old one must be gone for a while."""
    server.faults.connections = connections
    server.faults.release_seconds = 0.5
    token = "temporary"
    server.keys[ACCESS_KEY] = Key(server.keys[ACCESS_KEY].secret, token, time.time() + 3600)
    driver.signing["token"] = token
    driver.expires_in_seconds = 0.2
    driver.frames(1, 35)
    driver.stop()

    assert len(stream.sessions) > 1
    assert {session.error for session in stream.sessions} == {None}
    assert len({session.segment_uid for session in stream.sessions}) == 1
    assert frame_numbers(stream.timeline()) == list(range(1, 36))
    assert stream.complaints == []


def test_a_missing_stream_is_created(server: KVSServer) -> None:
    """With the retention that was asked for."""
    server.streams._streams.clear()
    server.streams.creating_seconds = 0.2
    driver = Driver(server, create_stream=True, retention_hours=7)
    driver.frames(1, 5)
    driver.stop()

    stream = server.streams["test"]
    assert (stream.retention_hours, stream.persisted()) == (7, 1)
    assert [path for path, _ in server.requests][:3] == [
        "/describeStream", "/createStream", "/describeStream",
    ]  # fmt: skip


def test_a_key_that_is_not_known_is_told_and_tried_again(server: KVSServer) -> None:
    """It may be mended at any time, and nobody has to start anything anew."""
    wrong = Driver(server)
    wrong.signing["secret"] = "wrong"
    wrong.run(lambda: "secret key" in wrong.producer.status(time.monotonic()).trouble)
    assert wrong.producer.state is ProducerState.IDLE
