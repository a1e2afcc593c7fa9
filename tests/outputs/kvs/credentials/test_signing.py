from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from backpack import __version__
from backpack._lib.secrets import Secret
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.signing import write_head
from backpack._outputs.kvs.shared.api import Operation, Request, put_media, write_request
from backpack.errors import SigningError
from tests.kvs_server.client import HandClient
from tests.kvs_server.server import ACCESS_KEY, SECRET_KEY, KVSServer
from tests.kvs_server.signature import Key
from tests.outputs.kvs.credentials.stand_ins import START, TOKEN, Clock, made

if TYPE_CHECKING:
    from backpack._outputs.kvs.shared.api import SignedHead
    from tests.kvs_server.client import Answer

AWS = "https://kinesisvideo.us-east-1.amazonaws.com"
KNOWN = Credentials.of(ACCESS_KEY, SECRET_KEY)


def head(request: Request, credentials: Credentials = KNOWN, **options: Any) -> SignedHead:
    """Sign, at the start of time."""
    options = {"region": "us-east-1", "configured": None, "wall": START} | options
    return write_head(request, credentials, **options)


def ask(server: KVSServer, request: Request, credentials: Credentials = KNOWN) -> Answer:
    """Send what was signed over a real connection."""
    signed = head(request, credentials, configured=server.url)
    with HandClient(server) as client:
        client.sock.sendall(signed.head + request.body)
        return client.answer()


def lines(signed: SignedHead) -> list[str]:
    """Read a head."""
    return signed.head.decode("ascii").split("\r\n")


@pytest.mark.parametrize("token", [None, TOKEN])
def test_the_server_takes_every_call(token: str | None, server: KVSServer) -> None:
    """Whatever is called, with a token or without, the signature is right."""
    server.keys[ACCESS_KEY] = Key(SECRET_KEY, token)
    credentials = Credentials.of(ACCESS_KEY, SECRET_KEY, token)
    name = {"StreamName": "test"}
    requests = [
        write_request(Operation.CREATE_STREAM, server.url, name | {"DataRetentionInHours": 2}),
        write_request(Operation.DESCRIBE_STREAM, server.url, name),
        write_request(Operation.GET_DATA_ENDPOINT, server.url, name | {"APIName": "PUT_MEDIA"}),
        write_request(Operation.GET_HLS_URL, server.url, name),
        put_media(server.url, "test", 1_795_341_036_005),
    ]
    for request in requests:
        # That there is nothing to watch yet is found after the signature.
        assert ask(server, request, credentials).status in (200, 404), request.operation

    assert [one.target for one in server.heads] == [one.operation.value for one in requests]


def test_a_signature_of_another_secret_is_refused(server: KVSServer) -> None:
    """The server would tell if it were wrong."""
    wrong = dataclasses.replace(KNOWN, secret_key=Secret("another"))
    answer = ask(server, write_request(Operation.DESCRIBE_STREAM, server.url), wrong)

    assert (answer.status, answer.error) == (403, "InvalidSignature")


def test_a_changed_body_is_refused(server: KVSServer) -> None:
    """The body of a call is signed."""
    request = write_request(Operation.DESCRIBE_STREAM, server.url, {"StreamName": "test"})
    signed = head(request, configured=server.url)
    with HandClient(server) as client:
        client.sock.sendall(signed.head + request.body.replace(b"test", b"tset"))
        assert client.answer().error == "InvalidSignature"


def test_what_is_signed_and_what_is_not() -> None:
    """Host, date, token and Kinesis' own are; what a proxy may change is not."""
    signed = lines(head(put_media(AWS, "door", 1005), made()))

    assert signed[:3] == [
        "POST /putMedia HTTP/1.1",
        "Host: kinesisvideo.us-east-1.amazonaws.com",
        "X-Amz-Date: 20261122T095036Z",
    ]
    authorization = next(line for line in signed if line.startswith("Authorization: "))
    assert "Credential=ASIA0000000000000001/20261122/us-east-1/kinesisvideo/aws4_request, " in (
        authorization
    )
    assert (
        "SignedHeaders=host;x-amz-date;x-amz-security-token;"
        "x-amzn-fragment-acknowledgment-required;x-amzn-fragment-timecode-type;"
        "x-amzn-producer-start-timestamp;x-amzn-stream-name, " in authorization
    )
    assert signed[-6:] == [
        f"User-Agent: backpack-spyglass/{__version__}",
        "content-type: application/json",
        "transfer-encoding: chunked",
        "connection: keep-alive",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("endpoint", "configured", "host"),
    [
        (f"{AWS}/", None, "kinesisvideo.us-east-1.amazonaws.com"),
        (f"{AWS}:443", None, "kinesisvideo.us-east-1.amazonaws.com"),
        ("https://vpce.example:8443", "https://vpce.example", "vpce.example:8443"),
        ("http://127.0.0.1:80", "http://127.0.0.1:1", "127.0.0.1"),
        ("http://127.0.0.1:443", "http://127.0.0.1:1", "127.0.0.1:443"),
        ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_the_host_has_its_port_if_that_is_not_usual(
    endpoint: str, configured: str | None, host: str
) -> None:
    """As HTTP wants it, and as it is signed."""
    request = Request(Operation.DESCRIBE_STREAM, endpoint)

    assert f"Host: {host}" in lines(head(request, configured=configured))


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://example.com",
        "http://kinesisvideo.us-east-1.amazonaws.com",
        "https://kinesisvideo.eu-west-1.amazonaws.com",
        "https://s3.us-east-1.amazonaws.com",
        "https://kinesisvideo.us-east-1.amazonaws.com.example.com",
        f"{AWS}/other",
        f"{AWS}\r\nEvil: 1",
        "https://a b.kinesisvideo.us-east-1.amazonaws.com",
        "https://user@kinesisvideo.us-east-1.amazonaws.com",
        "",
    ],
)
def test_nothing_is_signed_for_anybody_else(endpoint: str) -> None:
    """Only Kinesis Video Streams of the region."""
    with pytest.raises(SigningError, match="endpoint"):
        head(Request(Operation.DESCRIBE_STREAM, endpoint))


def test_a_line_end_in_an_endpoint_goes_nowhere() -> None:
    """`urlsplit` would drop it without a word."""
    with pytest.raises(SigningError, match="endpoint"):
        head(Request(Operation.DESCRIBE_STREAM, f"{AWS}\n"))


@pytest.mark.parametrize("operation", ["/putMedia", "DELETE_STREAM", None])
def test_nothing_else_is_signed(operation: Any) -> None:
    """Only the calls that streaming needs."""
    with pytest.raises(SigningError, match="no call of Kinesis"):
        head(Request(operation, AWS))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amzn-stream-name", "a\r\nHost: evil"),
        ("x-amzn-stream-name", "a\nb"),
        ("x-amzn-stream-name", "ä"),
        ("x-amzn-stream-name\r\nX", "a"),
        ("x-amzn-stream-name:", "a"),
        ("", "a"),
    ],
)
def test_headers_cannot_end_their_line(name: str, value: str) -> None:
    """Nothing smuggles in another header or request."""
    header = ((name, value),)
    for request in (
        Request(Operation.PUT_MEDIA, AWS, headers=header),
        Request(Operation.PUT_MEDIA, AWS, unsigned=header),
    ):
        with pytest.raises(SigningError, match="header"):
            head(request)


@pytest.mark.parametrize(
    "name", ["Host", "X-Amz-Date", "x-amz-security-token", "Authorization", "content-type"]
)
def test_only_kinesis_own_headers_are_signed(name: str) -> None:
    """Those that make the signature what it is are not given by the other process."""
    with pytest.raises(SigningError, match=name):
        head(Request(Operation.PUT_MEDIA, AWS, headers=((name, "a"),)))


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "X-Amz-Date",
        "x-amz-security-token",
        "Authorization",
        "x-amzn-stream-name",
        "User-Agent",
    ],
)
def test_no_unsigned_header_passes_for_a_signed_one(name: str) -> None:
    """A second host or stream would be taken by some, and not be signed."""
    with pytest.raises(SigningError, match=name):
        head(Request(Operation.PUT_MEDIA, AWS, unsigned=((name, "a"),)))


def test_a_head_is_good_for_four_minutes() -> None:
    """AWS takes it for five; and no longer than the credentials."""
    request = Request(Operation.DESCRIBE_STREAM, AWS)

    lasting, long, short = head(request), head(request, made()), head(request, made(lasts=100))
    assert (lasting.good_seconds, lasting.expires_in_seconds) == (240, None)
    assert (long.good_seconds, long.expires_in_seconds) == (240, 3600)
    assert (short.good_seconds, short.expires_in_seconds) == (100, 100)


@pytest.mark.parametrize(("age", "status"), [(0, 404), (239, 404), (301, 403)])
def test_a_head_is_taken_that_long(
    age: float, status: int, server: KVSServer, clock: Clock
) -> None:
    """The server says the same."""
    request = write_request(Operation.DESCRIBE_STREAM, server.url, {"StreamName": "none"})
    signed = head(request, configured=server.url)
    clock.seconds = age
    with HandClient(server) as client:
        client.sock.sendall(signed.head + request.body)
        assert client.answer().status == status
