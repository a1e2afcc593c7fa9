from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest

from tests.kvs_server.client import HandClient
from tests.kvs_server.faults import HttpError
from tests.kvs_server.server import ACCESS_KEY, KVSServer
from tests.kvs_server.signature import Key

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIBE = "/describeStream"
HLS = "/getHLSStreamingSessionURL"


def ask(server: KVSServer, path: str, content: dict[str, Any], **signing: Any) -> tuple[int, str]:
    """Ask on a connection of its own, and give status and error."""
    with HandClient(server) as client:
        answer = client.call(path, content, **signing)
        return answer.status, answer.error


def test_a_stream_is_described(server: KVSServer, client: HandClient) -> None:
    """By its name or its ARN, on one connection."""
    info = client.call(DESCRIBE, {"StreamName": "test"}).json["StreamInfo"]
    assert (info["Status"], info["DataRetentionInHours"]) == ("ACTIVE", 24)
    assert client.call(DESCRIBE, {"StreamARN": info["StreamARN"]}).json["StreamInfo"] == info
    assert server.requests == [(DESCRIBE, 200)] * 2


def test_a_stream_is_created_and_becomes_active() -> None:
    """Creating takes a while; a second time it is in use."""
    now = [time.time()]
    with KVSServer(clock=lambda: now[0]) as server:
        server.streams.creating_seconds = 5
        content = {"StreamName": "new", "DataRetentionInHours": 2, "MediaType": "video/h264"}
        with HandClient(server) as client:
            assert client.call("/createStream", content).json["StreamARN"].count("/new/") == 1
            status = [client.call(DESCRIBE, {"StreamName": "new"}).json["StreamInfo"]["Status"]]
            now[0] += 5
            status += [client.call(DESCRIBE, {"StreamName": "new"}).json["StreamInfo"]["Status"]]
            assert client.call("/createStream", content).error == "ResourceInUse"

    assert status == ["CREATING", "ACTIVE"]


def test_the_data_endpoint_is_the_server(server: KVSServer, client: HandClient) -> None:
    """Scheme, host and port, no path."""
    content: dict[str, object] = {"StreamName": "test", "APIName": "PUT_MEDIA"}

    assert client.call("/getDataEndpoint", content).json == {"DataEndpoint": server.url}


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        (DESCRIBE, {"StreamName": "other"}, (404, "ResourceNotFound")),
        (DESCRIBE, {}, (400, "InvalidArgument")),
        (DESCRIBE, {"StreamName": "test", "StreamARN": "arn"}, (400, "InvalidArgument")),
        (DESCRIBE, {"StreamName": "a b"}, (400, "InvalidArgument")),
        (DESCRIBE, {"StreamName": "test", "More": 1}, (400, "InvalidArgument")),
        ("/createStream", {"StreamName": "x" * 257}, (400, "InvalidArgument")),
        (
            "/createStream",
            {"StreamName": "x", "DataRetentionInHours": -1},
            (400, "InvalidArgument"),
        ),
        ("/getDataEndpoint", {"StreamName": "test"}, (400, "InvalidArgument")),
        ("/getStreamingEndpoint", {"StreamName": "test"}, (404, "UnknownOperation")),
        (HLS, {"StreamName": "test", "PlaybackMode": "live"}, (400, "InvalidArgument")),
        (HLS, {"StreamName": "test", "Expires": 60}, (400, "InvalidArgument")),
        (HLS, {"StreamName": "test", "HLSFragmentSelector": {}}, (400, "InvalidArgument")),
        (HLS, {"StreamName": "test"}, (404, "ResourceNotFound")),
    ],
)
def test_what_aws_would_refuse_is_refused(
    server: KVSServer, path: str, content: dict[str, Any], expected: tuple[int, str]
) -> None:
    """With the status and the name that AWS gives it."""
    assert ask(server, path, content) == expected


PAST = {"StartTimestamp": 1_795_341_000, "EndTimestamp": 1_795_341_060.5}


def selected(mode: str, **chosen: Any) -> dict[str, Any]:
    """Ask for a range; underscores are for what stands around it."""
    kind = chosen.pop("_type", "PRODUCER_TIMESTAMP")
    selector = {"FragmentSelectorType": kind, "TimestampRange": chosen}
    return {"StreamName": "test", "PlaybackMode": mode, "HLSFragmentSelector": selector}


@pytest.mark.parametrize(
    "content",
    [
        {"StreamName": "test", "PlaybackMode": "ON_DEMAND"},
        {"StreamName": "test", "PlaybackMode": "LIVE_REPLAY"},
        selected("LIVE", **PAST),
        selected("ON_DEMAND"),
        selected("ON_DEMAND", StartTimestamp=1),
        selected("ON_DEMAND", EndTimestamp=1),
        selected("LIVE_REPLAY", EndTimestamp=1),
        selected("ON_DEMAND", StartTimestamp=2, EndTimestamp=1),
        selected("ON_DEMAND", StartTimestamp=0, EndTimestamp=24 * 3600 + 1),
        selected("ON_DEMAND", StartTimestamp="2026-11-22T00:00:00Z", EndTimestamp=1),
        selected("ON_DEMAND", **PAST, Middle=1),
        selected("ON_DEMAND", **PAST, _type="CAPTURE"),
    ],
    ids=str,
)
def test_what_is_played_of_the_past_is_named_by_a_range(
    server: KVSServer, content: dict[str, Any]
) -> None:
    """Both ends on demand, the start for a replay, none where it is live; a day at most."""
    assert ask(server, HLS, content) == (400, "InvalidArgument")


def test_a_range_without_video_has_nothing_to_play(server: KVSServer) -> None:
    """Only what was persisted within it is there."""
    for content in (selected("ON_DEMAND", **PAST), selected("LIVE_REPLAY", StartTimestamp=1)):
        assert ask(server, HLS, content) == (404, "ResourceNotFound")


def test_nothing_kept_is_nothing_to_play(server: KVSServer) -> None:
    """A stream with retention 0 has no HLS."""
    server.streams.add("fleeting", 0)

    assert ask(server, HLS, {"StreamName": "fleeting"}) == (400, "NoDataRetention")


def later(seconds: float) -> Callable[[], float]:
    """Make a clock that is off."""
    return lambda: time.time() + seconds


@pytest.mark.parametrize(
    ("signing", "expected"),
    [
        ({"key": "AKIDOTHER"}, (403, "UnrecognizedClient")),
        ({"secret": "wrong"}, (403, "InvalidSignature")),
        ({"region": "eu-west-1"}, (403, "InvalidSignature")),
        ({"token": "unknown"}, (403, "UnrecognizedClient")),
        ({}, (200, "")),
    ],
    ids=str,
)
def test_signatures_are_made_again(
    server: KVSServer, signing: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Unknown keys, other secrets, regions and tokens are refused."""
    assert ask(server, DESCRIBE, {"StreamName": "test"}, **signing) == expected


@pytest.mark.parametrize("seconds", [-301, 301])
def test_clocks_may_differ_by_five_minutes(seconds: float) -> None:
    """A signature that is older, or younger, is refused; the message tells that it is the time."""
    with KVSServer(clock=later(seconds)) as server, HandClient(server) as client:
        server.streams.add("test")
        answer = client.call(DESCRIBE, {"StreamName": "test"})

    assert (answer.status, answer.error) == (403, "InvalidSignature")
    assert "expired" in answer.json["message"] or "not yet current" in answer.json["message"]


def test_temporary_credentials_travel_with_their_token(server: KVSServer) -> None:
    """And run out."""
    content = {"StreamName": "test"}
    server.keys[ACCESS_KEY] = Key(server.keys[ACCESS_KEY].secret, "token", time.time() + 3600)
    assert ask(server, DESCRIBE, content) == (403, "UnrecognizedClient")
    assert ask(server, DESCRIBE, content, token="token") == (200, "")
    server.keys[ACCESS_KEY].expires = time.time() - 1
    assert ask(server, DESCRIBE, content, token="token") == (403, "ExpiredToken")


def test_a_signature_that_does_not_match_is_told_what_it_should_be_of(server: KVSServer) -> None:
    """AWS quotes the canonical request, and with it the session token."""
    server.keys[ACCESS_KEY] = Key("another", "the-session-token")
    with HandClient(server) as client:
        answer = client.call(DESCRIBE, {"StreamName": "test"}, token="the-session-token")

    assert answer.error == "InvalidSignature"
    assert "\nx-amz-security-token:the-session-token\n" in answer.json["message"]


def test_a_body_that_was_changed_is_refused(client: HandClient) -> None:
    """The body's hash is signed."""
    headers = client.signed(DESCRIBE, {}, b'{"StreamName":"test"}')
    client.send_head(DESCRIBE, headers | {"content-length": "21"})
    client.sock.sendall(b'{"StreamName":"TEST"}')

    assert client.answer().error == "InvalidSignature"


@pytest.mark.parametrize(
    "head",
    [
        b"POST /describeStream HTTP/1.0\r\n",
        b"POST /describeStream\r\n",
        b"POST /describeStream HTTP/1.1\r\nHost : x\r\n",
        b"POST /describeStream HTTP/1.1\r\n folded\r\n",
        b"POST /describeStream HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        b"POST /describeStream HTTP/1.1\r\nTransfer-Encoding: gzip\r\n",
        b"POST /describeStream HTTP/1.1\r\nContent-Length: -1\r\n",
        b"POST /describeStream HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
        b"POST /describeStream HTTP/1.1\r\nHost: elsewhere\r\n",
        b"POST /describeStream HTTP/1.1\r\nExpect: wonders\r\n",
    ],
)
def test_heads_are_read_strictly(client: HandClient, head: bytes) -> None:
    """Whatever is not exactly HTTP/1.1 as AWS's clients write it is refused."""
    # With a host that is right: refused at all it would be for want of a signature.
    host = "" if b"elsewhere" in head else f"Host: {client.server.url.partition('//')[2]}\r\n"
    client.sock.sendall(head + host.encode() + b"\r\n")

    assert client.answer().status == 400


def test_a_sixth_call_within_a_second_is_throttled(server: KVSServer, client: HandClient) -> None:
    """For each stream, with the status 400 that AWS has for it."""
    answers = [client.call(DESCRIBE, {"StreamName": "test"}) for _ in range(4)]
    stream = server.streams["test"]
    stream.note("DescribeStream", time.monotonic())
    answers.append(client.call(DESCRIBE, {"StreamName": "test"}))

    # On a machine that needs a second for four calls nothing is throttled.
    throttled = [(answer.status, answer.error) for answer in answers if answer.status != 200]
    assert set(throttled) <= {(400, "ClientLimitExceeded")}


def test_calls_fail_as_told(server: KVSServer) -> None:
    """So many times, and then no more."""
    errors = [HttpError(500, "InternalFailure"), HttpError(400, "ClientLimitExceeded")]
    server.faults.http[DESCRIBE] = deque(errors)
    content = {"StreamName": "test"}

    found = [ask(server, DESCRIBE, content) for _ in range(3)]

    assert found == [(500, "InternalFailure"), (400, "ClientLimitExceeded"), (200, "")]
