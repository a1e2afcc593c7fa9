"""Write the head of a request with AWS's signature in it, Signature Version 4."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from backpack._outputs.kvs.shared.api import SERVICE, Operation, Request, SignedHead
from backpack._outputs.kvs.shared.names import check_endpoint
from backpack._version import VERSION
from backpack.errors import SettingsError, SigningError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from backpack._outputs.kvs.credentials.credentials import Credentials

GOOD_SECONDS: Final = 240.0
"""AWS takes a signature for 300 s; the rest is for a clock that is wrong by a minute."""

_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:.]+")
_KINESIS: Final = re.compile(r"x-amzn-.*", re.IGNORECASE)
_OURS: Final = re.compile(r"host|authorization|user-agent|x-amzn?-.*", re.IGNORECASE)
_USUAL_PORTS: Final = {"https": 443, "http": 80}


def write_head(
    request: Request,
    credentials: Credentials,
    *,
    region: str,
    configured: str | None,
    hosts: Sequence[str] = (),
    wall: float,
) -> SignedHead:
    """
    Sign a request.

    The streaming process says what is to be signed. It gets the calls of
    `Operation` signed, to Kinesis Video Streams, and nothing else.

    Args:
        request: What to sign.
        credentials: What to sign it with.
        region: The stream's.
        configured: The endpoint that stands in for AWS's, if there is one.
        hosts: AWS's, see `check_endpoint`.
        wall: Seconds since the epoch.

    Raises:
        SigningError: It is not signed: it is no such call, or its headers
            would be something else on the wire.

    """
    scheme, host = _place(request, region, configured, hosts)
    _check(request.headers, signed=True)
    _check(request.unsigned, signed=False)
    stamp = dt.datetime.fromtimestamp(wall, dt.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    headers = [("Host", host), ("X-Amz-Date", stamp), *request.headers]
    if credentials.session_token is not None:
        headers.append(("X-Amz-Security-Token", credentials.session_token.reveal()))
    url = f"{scheme}://{host}{request.operation.value}"
    headers.append(("Authorization", _authorize(url, headers, request.body, credentials, region)))
    headers += [("User-Agent", f"backpack-spyglass/{VERSION}"), *request.unsigned]
    lines = [f"POST {request.operation.value} HTTP/1.1", *(f"{n}: {v}" for n, v in headers)]
    left = credentials.expires_in_seconds(wall)
    good_seconds = GOOD_SECONDS if left is None else min(GOOD_SECONDS, left)
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
    return SignedHead(head, good_seconds, left, credentials.lasting_source)


def _place(
    request: Request, region: str, configured: str | None, hosts: Sequence[str]
) -> tuple[str, str]:
    """Return scheme and host, with the port if it is not the usual one."""
    if not isinstance(request.operation, Operation):
        raise SigningError(f"{request.operation!r} is no call of Kinesis Video Streams.")
    try:
        parts = urlsplit(
            check_endpoint(request.endpoint, region=region, configured=configured, hosts=hosts)
        )
    except SettingsError as error:
        raise SigningError(str(error)) from None
    host = parts.hostname or ""
    if not _HOST.fullmatch(host):
        raise SigningError(f"endpoint {request.endpoint!r}: no host has such a name.")
    if ":" in host:
        host = f"[{host}]"
    if parts.port not in (None, _USUAL_PORTS[parts.scheme]):
        host = f"{host}:{parts.port}"
    return parts.scheme, host


def _check(headers: Iterable[tuple[str, str]], *, signed: bool) -> None:
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise SigningError(f"header {name!r}: there is a character in it that none may have.")
        # What is signed is of Kinesis' own. What is not must not pass for what is.
        allowed = _KINESIS.fullmatch(name) if signed else not _OURS.fullmatch(name)
        if not allowed:
            raise SigningError(f"header {name!r} is not for the streaming process to give.")


def _authorize(
    url: str, headers: list[tuple[str, str]], body: bytes, credentials: Credentials, region: str
) -> str:
    """
    Return the value of ``Authorization``.

    `SigV4Auth.add_auth` would do, but writes the session token to its log and
    reads the clock itself. These are the steps that it takes.
    """
    # Loaded on the background thread only.
    from botocore.auth import SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials as Key  # noqa: PLC0415

    key = Key(credentials.access_key, credentials.secret_key.reveal())
    auth = SigV4Auth(key, SERVICE, region)
    aws = AWSRequest("POST", url, headers=dict(headers), data=body)
    aws.context["timestamp"] = dict(headers)["X-Amz-Date"]
    text = auth.string_to_sign(aws, auth.canonical_request(aws))
    names = auth.signed_headers(auth.headers_to_sign(aws))
    signature = auth.signature(text, aws)
    return (
        f"AWS4-HMAC-SHA256 Credential={auth.scope(aws)}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
