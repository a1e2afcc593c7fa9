from __future__ import annotations

import random
import ssl
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from backpack._outputs.kvs.worker.producer import matroska as mkv
from tests.kvs_server.body import BEGIN_MS, cluster, header
from tests.kvs_server.client import HandClient, put_media_headers
from tests.kvs_server.decoding import frame_numbers, packets
from tests.kvs_server.faults import AckError, AckForm, Connections, HttpError
from tests.kvs_server.server import KVSServer
from tests.kvs_server.tls import context_of, make_certificate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kvs_server.streams import Stream


def events(acks: list[dict[str, Any]]) -> list[str]:
    """Name what was acknowledged."""
    return [ack["EventType"] for ack in acks]


@pytest.fixture
def stream(server: KVSServer) -> Stream:
    """Give what the server keeps."""
    return server.streams["test"]


def test_video_is_taken_and_acknowledged_while_it_is_sent(
    client: HandClient, stream: Stream
) -> None:
    """The answer begins before the body, and each fragment goes through its three states."""
    assert client.put_media().status == 200
    client.send(header() + cluster(0))
    assert b'"BUFFERING"' in client.chunk()
    client.send(cluster(1))
    assert [b'"RECEIVED"' in client.chunk(), b'"PERSISTED"' in client.chunk()] == [True, True]
    client.send(mkv.END_OF_FRAGMENT)
    client.end()
    acks = client.acks()

    assert events(acks) == ["BUFFERING", "RECEIVED", "PERSISTED"]
    assert {ack["FragmentTimecode"] for ack in acks} == {BEGIN_MS + 1000}
    assert len(acks[0]["FragmentNumber"]) == 47
    assert frame_numbers(stream.timeline()) == list(range(1, 21))
    (session,) = stream.sessions
    assert (session.ended, session.said_end, session.start_timestamp) == (
        True, True, (1795341036, 923),
    )  # fmt: skip
    assert len(packets(bytes(session.body))) == 20
    assert stream.complaints == []


def test_a_stream_that_keeps_nothing_persists_nothing(server: KVSServer) -> None:
    """RECEIVED is the last word where the retention is 0."""
    server.streams.add("fleeting", 0)
    with HandClient(server) as client:
        client.put_media(put_media_headers("fleeting"))
        client.send(header() + cluster(0))
        client.end()

        assert events(client.acks()) == ["BUFFERING", "RECEIVED"]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"x_amzn_stream_name": "other"}, 404, "ResourceNotFound"),
        ({"x_amzn_stream_name": None}, 400, "InvalidArgument"),
        ({"x_amzn_stream_arn": "arn:aws:kinesisvideo:x"}, 400, "InvalidArgument"),
        ({"x_amzn_fragment_timecode_type": None}, 400, "InvalidArgument"),
        ({"x_amzn_fragment_timecode_type": "absolute"}, 400, "InvalidArgument"),
        ({"x_amzn_fragment_acknowledgment_required": "yes"}, 400, "InvalidArgument"),
        ({"x_amzn_producer_start_timestamp": None}, 400, "InvalidArgument"),
        ({"x_amzn_producer_start_timestamp": "2026-11-22"}, 400, "InvalidArgument"),
        ({"x_amzn_more": "1"}, 400, "InvalidArgument"),
        ({"transfer_encoding": None}, 400, "InvalidArgument"),
    ],
)
def test_each_header_is_looked_at(
    client: HandClient, changes: dict[str, Any], status: int, error: str
) -> None:
    """Missing, unknown and wrong ones are refused before any video."""
    answer = client.put_media(put_media_headers(**changes))

    assert (answer.status, answer.error) == (status, error)


def test_headers_of_kvs_must_be_signed(client: HandClient) -> None:
    """Otherwise somebody on the way could send the video elsewhere."""
    headers = client.signed("/putMedia", {"transfer-encoding": "chunked"})
    client.send_head("/putMedia", headers | put_media_headers())

    assert client.answer().error == "InvalidSignature"


def test_an_unpadded_start_timestamp_is_complained_of(client: HandClient, stream: Stream) -> None:
    """AWS's C producer writes it so, and it is five milliseconds all the same."""
    client.put_media(put_media_headers(x_amzn_producer_start_timestamp="1795341036.5"))

    assert stream.sessions[0].start_timestamp == (1795341036, 5)
    assert "three digits" in stream.complaints[0]


def test_what_breaks_a_rule_ends_the_connection(client: HandClient, stream: Stream) -> None:
    """ERROR names the fragment; nothing is taken after it."""
    client.put_media()
    client.send(header() + cluster(1) + cluster(0))
    acks = client.acks()

    assert events(acks) == ["BUFFERING", "RECEIVED", "PERSISTED", "ERROR"]
    assert (acks[-1]["ErrorId"], stream.sessions[0].error) == (4004, 4004)
    assert "4004" in stream.complaints[0]


@pytest.mark.parametrize("data", [b"x\r\n", b"5;ext=1\r\nabcde\r\n", b"2\r\nabc\r\n", b"-1\r\n"])
def test_chunks_are_read_strictly(client: HandClient, data: bytes) -> None:
    """A size that is none, an extension, and data of another size are read errors."""
    client.put_media()
    client.sock.sendall(data)

    assert client.acks()[-1]["ErrorId"] == 4000


def test_a_connection_cut_in_a_fragment_loses_it(client: HandClient, stream: Stream) -> None:
    """What was complete stays."""
    client.put_media()
    client.send(header() + cluster(0) + cluster(1, 5))
    assert stream.wait_for(lambda: stream.persisted() == 1)
    client.sock.close()
    client._file.close()

    assert stream.wait_for(lambda: stream.sessions[0].closed is not None)
    assert [one.state for one in stream.fragments] == ["persisted", "broken"]


def test_two_connections_may_overlap(server: KVSServer) -> None:
    """As AWS's own producer makes them; a third is too many."""
    with HandClient(server) as one, HandClient(server) as two, HandClient(server) as three:
        found = [each.put_media() for each in (one, two, three)]

    assert [answer.status for answer in found] == [200, 200, 400]
    assert found[2].error == "ConnectionLimitExceeded"


def test_one_connection_until_the_old_one_has_been_closed_for_a_while(
    server: KVSServer, stream: Stream
) -> None:
    """As the documentation of limits says."""
    server.faults.connections = Connections.ONE
    server.faults.release_seconds = 0.3
    statuses = []
    with HandClient(server) as one:
        statuses.append(one.put_media().status)
        with HandClient(server) as two:
            statuses.append(two.put_media().status)
        one.send(header() + cluster(0))
        one.end()
        one.acks()
    assert stream.wait_for(lambda: stream.sessions[0].closed is not None)
    while statuses[-1] != 200:
        with HandClient(server) as next_one:
            statuses.append(next_one.put_media().status)

    assert statuses[:2] == [200, 400]
    opened, closed = stream.sessions[1].opened, stream.sessions[0].closed
    assert closed is not None
    assert opened - closed >= 0.3


@pytest.mark.parametrize("form", list(AckForm))
def test_acknowledgements_come_in_every_form(server: KVSServer, form: AckForm) -> None:
    """One in a write, several, or parts of one: together they are the same."""
    server.faults.ack_form = form
    with HandClient(server) as client:
        client.put_media()
        client.send(header() + cluster(0) + cluster(1) + cluster(2))
        client.end()
        chunks = []
        while part := client.chunk():
            chunks.append(part)

    lines = b"".join(chunks).splitlines()
    assert len(lines) == 9
    whole = [part for part in chunks if part.count(b"{") == part.count(b"}") == 1]
    assert {
        AckForm.ONE: len(chunks) == len(whole) == 9,
        AckForm.SEVERAL: len(chunks) < 9,
        AckForm.PARTS: len(chunks) > 50,
    }[form]


def test_acknowledgements_may_be_late_or_never_come(server: KVSServer) -> None:
    """What is late is not lost; a silent server says nothing, and takes all."""
    server.faults.ack_delay_seconds = 0.2
    with HandClient(server) as client:
        client.put_media()
        client.send(header() + cluster(0))
        client.end()
        assert events(client.acks()) == ["BUFFERING", "RECEIVED", "PERSISTED"]
    server.faults.silent = True
    with HandClient(server) as client:
        client.put_media()
        client.send(header() + cluster(1))
        client.end()
        assert client.acks() == []
    assert server.streams["test"].persisted() == 2


@pytest.mark.parametrize("with_timecode", [True, False])
def test_every_error_can_be_asked_for(
    server: KVSServer, client: HandClient, *, with_timecode: bool
) -> None:
    """In the middle of the second fragment, with or without its name."""
    error = AckError(5000, "INTERNAL_ERROR", after_blocks=3, with_timecode=with_timecode)
    server.faults.acks = deque([None, error])
    client.put_media()
    client.send(header() + cluster(0) + cluster(1))
    acks = client.acks()

    assert events(acks)[-2:] == ["BUFFERING", "ERROR"]
    assert acks[-1]["ErrorId"] == 5000
    assert ("FragmentTimecode" in acks[-1]) == with_timecode
    assert [len(one.blocks) for one in server.streams["test"].fragments] == [10, 3]


def test_faults_by_chance_come_again_with_the_same_seed(server: KVSServer) -> None:
    """What a soak has found can be found again."""
    faults = server.faults
    faults.ack_choices = (AckError(4000, "STREAM_READ_ERROR"), AckError(4003, "X"))
    faults.http_choices = (HttpError(503, "ServiceUnavailable"),)
    faults.ack_chance = faults.http_chance = 0.5
    rounds = []
    for _ in range(2):
        faults.random = random.Random(7)
        rounds.append([(faults.next_ack(), faults.next_http("/putMedia")) for _ in range(20)])

    assert rounds[0] == rounds[1]
    assert {error.error_id for error, _ in rounds[0] if error} == {4000, 4003}


def test_a_connection_is_reset_in_a_fragment(server: KVSServer, client: HandClient) -> None:
    """The client's kernel says so at once."""
    server.faults.reset_after_blocks = 4
    server.faults.resets = 1
    client.put_media()
    client.send(header() + cluster(0))
    with pytest.raises(ConnectionResetError):
        client.acks()

    stream = server.streams["test"]
    assert [(one.state, len(one.blocks)) for one in stream.fragments] == [("broken", 4)]


def test_an_old_connection_is_ended_with_an_error(server: KVSServer, client: HandClient) -> None:
    """As after 45 minutes; here it is sooner."""
    server.faults.close_after_seconds = 0.2
    client.put_media()
    client.send(header() + cluster(0))

    assert client.acks()[-1]["ErrorId"] == 4003


def test_a_silent_producer_is_told_and_then_closed(server: KVSServer, client: HandClient) -> None:
    """IDLE first; the connection ends without a word."""
    server.faults.idle_ack_seconds = 0.1
    server.faults.idle_seconds = 2.0
    client.put_media()
    client.send(header() + cluster(0))
    data = b""
    try:
        while part := client.chunk():
            data += part
    except ConnectionResetError:
        pass

    assert data.count(b'"IDLE"') >= 2
    assert server.streams["test"].fragments[0].state == "broken"


def test_the_server_may_end_its_answers_and_read_on(server: KVSServer, client: HandClient) -> None:
    """A half-closed connection: the producer sees that nothing is answered any more."""
    server.faults.half_close_after_fragments = 1
    client.put_media()
    client.send(header() + cluster(0) + cluster(1))
    assert events(client.acks())[:3] == ["BUFFERING", "RECEIVED", "PERSISTED"]
    assert client._file.read() == b""
    client.send(cluster(2) + cluster(3))
    client.end()

    stream = server.streams["test"]
    assert stream.wait_for(lambda: stream.persisted() == 4)


def test_a_server_that_hangs_goes_on_where_it_was(server: KVSServer, client: HandClient) -> None:
    """Nothing is lost or doubled by a pause."""
    client.put_media()
    client.send(header() + cluster(0))
    server.faults.freeze()
    client.send(cluster(1))
    client.end()
    client.sock.settimeout(0.3)
    data = b""
    try:
        while part := client.sock.recv(1000):
            data += part
    except TimeoutError:
        pass
    assert data.count(b"PERSISTED") <= 1
    server.faults.thaw()

    stream = server.streams["test"]
    assert stream.wait_for(lambda: stream.persisted() == 2)


def test_a_server_that_hangs_says_nothing(server: KVSServer, client: HandClient) -> None:
    """What is due to be said meanwhile is said when it goes on."""
    # Longer than it takes to freeze it, on a busy machine too.
    server.faults.ack_delay_seconds = 1.5
    stream = server.streams["test"]
    client.put_media()
    client.send(header() + cluster(0) + mkv.END_OF_FRAGMENT)
    assert stream.wait_for(lambda: stream.persisted() == 1)
    server.faults.freeze()
    client.sock.settimeout(2)
    with pytest.raises(TimeoutError):
        client.sock.recv(1)
    server.faults.thaw()
    client.sock.settimeout(20)

    assert client.sock.recv(1)


def test_a_server_can_be_gone_and_come_back(server: KVSServer, stream: Stream) -> None:
    """The port is refused meanwhile, and is the same afterwards."""
    url = server.url
    with HandClient(server) as client:
        client.put_media()
        server.refuse()
        with pytest.raises(ConnectionRefusedError):
            HandClient(server)
        server.listen()
    with HandClient(server) as client:
        assert client.put_media().status == 200
    assert server.url == url
    assert stream.sessions[0].closed is not None


def test_a_slow_server_slows_the_producer_down(server: KVSServer, client: HandClient) -> None:
    """Its receive buffer fills, and nothing is lost."""
    server.faults.bytes_a_second = 200_000
    client.put_media()
    data = header() + b"".join(cluster(number) for number in range(3))
    for at in range(0, len(data), 4096):
        client.send(data[at : at + 4096])
    client.end()

    assert events(client.acks()).count("PERSISTED") == 3


def test_who_asks_may_continue_or_is_left_waiting(server: KVSServer) -> None:
    """100 Continue is sent, or is not: clients have to stand both."""
    heads = []
    for continues in (True, False):
        server.faults.continues = continues
        with HandClient(server) as client:
            headers = client.signed("/putMedia", put_media_headers())
            client.send_head("/putMedia", headers | {"expect": "100-continue"})
            heads.append(client._read_head()[0])

    assert heads == [100, 200]


def test_a_fragment_that_is_too_short_ends_the_connection(
    client: HandClient, stream: Stream
) -> None:
    """By its name alone: the documentation gives that error no number."""
    client.put_media()
    client.send(header() + cluster(0, 3) + cluster(1, at_ms=BEGIN_MS + 500))
    (*_, last) = client.acks()

    assert last["ErrorCode"] == "MIN_FRAGMENT_DURATION_REACHED"
    assert last["FragmentTimecode"] == BEGIN_MS
    assert "ErrorId" not in last
    assert stream.timeline() == []


def test_an_archive_that_hangs_persists_nothing(
    server: KVSServer, client: HandClient, stream: Stream
) -> None:
    """Fragments are received, and that is all."""
    server.faults.archive_hangs = True
    client.put_media()
    client.send(header() + cluster(0) + mkv.END_OF_FRAGMENT)
    client.end()

    assert events(client.acks()) == ["BUFFERING", "RECEIVED"]
    assert stream.timeline() == []


def test_video_over_tls(tmp_path: Path) -> None:
    """The same, encrypted; both ways at once."""
    certificate = make_certificate(tmp_path)
    with KVSServer(tls=context_of(certificate)) as server:
        server.streams.add("test")
        with HandClient(server) as client:
            context = ssl.create_default_context(cafile=certificate)
            client.secure(context)
            client.put_media()
            for number in range(4):
                client.send((b"" if number else header()) + cluster(number))
            client.end()

            assert events(client.acks()).count("PERSISTED") == 4
