"""Write what is asked of Kinesis Video Streams, and read what it answers."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass, field
from typing import Any, Final

from backpack._outputs.kvs.shared.quoting import quote
from backpack.errors import OutputError

SERVICE = "kinesisvideo"
"""The name that requests are signed for."""

_LONGEST_MESSAGE: Final = 200
"""Of an error. What helps stands at its beginning."""


class Operation(enum.Enum):
    """One call, with its path."""

    DESCRIBE_STREAM = "/describeStream"
    CREATE_STREAM = "/createStream"
    GET_DATA_ENDPOINT = "/getDataEndpoint"
    PUT_MEDIA = "/putMedia"
    GET_HLS_URL = "/getHLSStreamingSessionURL"


@dataclass(frozen=True)
class Request:
    """
    One request, to be signed by the application's process.

    Attributes:
        operation: Which one; it names the path.
        endpoint: Scheme and host to send it to.
        headers: What is signed beside the host and the date.
        unsigned: Headers that proxies may change, and so are not signed.
        body: JSON, or nothing where the body follows in parts.

    """

    operation: Operation
    endpoint: str
    headers: tuple[tuple[str, str], ...] = ()
    unsigned: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def url(self) -> str:
        """What is signed as the address."""
        return self.endpoint + self.operation.value


@dataclass(frozen=True)
class SignedHead:
    """
    A request's head as it goes over the wire, with the signature in it.

    Attributes:
        head: Request line and headers. It holds a session token: never log it.
        good_seconds: How much longer it is taken, counted from when it was given.
        expires_in_seconds: How much longer the credentials are good. None: for ever,
            or nobody has said.
        keys_of: Where the credentials came from if nobody is known to renew them, as a
            sentence would name it. Empty: they are renewed.

    """

    head: bytes = field(repr=False)
    good_seconds: float
    expires_in_seconds: float | None = None
    keys_of: str = ""


@dataclass(frozen=True)
class StreamInfo:
    """
    What DescribeStream tells.

    Attributes:
        status: CREATING, ACTIVE, UPDATING or DELETING.
        retention_hours: How long fragments are kept. 0: they are never persisted.

    """

    status: str
    retention_hours: int


def write_request(
    operation: Operation, endpoint: str, parameters: dict[str, Any] | None = None
) -> Request:
    """Write a request whose parameters are JSON."""
    body = json.dumps(parameters or {}).encode()
    unsigned = (("content-type", "application/json"), ("content-length", str(len(body))))
    return Request(operation, endpoint, unsigned=unsigned, body=body)


def put_media(endpoint: str, stream_name: str, started_ms: int) -> Request:
    """
    Write the request that video follows.

    Args:
        endpoint: What GetDataEndpoint named.
        stream_name: The stream.
        started_ms: Time of the first fragment since the epoch.

    """
    seconds, milliseconds = divmod(started_ms, 1000)
    return Request(
        Operation.PUT_MEDIA,
        endpoint,
        headers=(
            ("x-amzn-stream-name", stream_name),
            ("x-amzn-fragment-timecode-type", "ABSOLUTE"),
            ("x-amzn-fragment-acknowledgment-required", "1"),
            # Three digits: AWS's C producer prints 5 ms after 1 s as "1.5".
            ("x-amzn-producer-start-timestamp", f"{seconds}.{milliseconds:03}"),
        ),
        unsigned=(
            ("content-type", "application/json"),
            ("transfer-encoding", "chunked"),
            ("connection", "keep-alive"),
        ),
    )


def read_stream_info(body: bytes) -> StreamInfo:
    """
    Read the answer to DescribeStream.

    Raises:
        OutputError: It is none.

    """
    try:
        info = json.loads(body)["StreamInfo"]
        return StreamInfo(str(info["Status"]), int(info["DataRetentionInHours"]))
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"KVS answered DescribeStream with {body[:80]!r}.") from error


def read_data_endpoint(body: bytes) -> str:
    """
    Read the answer to GetDataEndpoint.

    Raises:
        OutputError: It is none.

    """
    try:
        return str(json.loads(body)["DataEndpoint"])
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"KVS answered GetDataEndpoint with {body[:80]!r}.") from error


def read_error(error_type: str, body: bytes) -> tuple[str, str]:
    """
    Read the name and the message of an error that AWS answers with.

    To a signature that does not match AWS says what should have been signed, line by
    line, the session token among it. So the first line is all that is taken.

    Args:
        error_type: The header ``x-amzn-ErrorType``, empty if there is none.
        body: JSON, as far as it is there.

    Returns:
        The name without "Exception", and the message, fit for a log; empty where unknown.

    """
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {}
    name = error_type or str(found.get("__type", found.get("code", "")))
    # An address may stand after the name, a package before it.
    name = name.partition(":")[0].rpartition("#")[2].strip()
    message = str(found.get("message", found.get("Message", "")))
    first = next(iter(message.strip().splitlines()), "")
    return name.removesuffix("Exception"), quote(first, _LONGEST_MESSAGE)
