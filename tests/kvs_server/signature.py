"""Check signatures by making them again, with botocore's own code."""

from __future__ import annotations

import datetime as dt
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from tests.kvs_server.wire import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.kvs_server.wire import Request

__all__ = ["Key", "check_signature", "sign"]

SKEW_SECONDS = 300
SERVICE = "kinesisvideo"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,]+)/(?P<date>\d{8})/(?P<region>[^/]+)"
    r"/(?P<service>[^/]+)/aws4_request, ?SignedHeaders=(?P<headers>[^,]+), ?"
    r"Signature=(?P<signature>[0-9a-f]{64})"
)
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"

# AWS's words. It quotes what it was sent, the session token included.
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
    "\n\nThe Canonical String for this request should have been\n'{}'\n"
)


@dataclass
class Key:
    """
    Credentials that the server knows.

    Attributes:
        secret: Of the access key.
        token: Goes with temporary credentials, and must be sent with them.
        expires: Seconds since the epoch. None: never.

    """

    secret: str
    token: str | None = None
    expires: float | None = None


class _Again(SigV4Auth):  # type: ignore[misc]
    """Sign exactly the headers that the client has signed, AWS's own producer's choice included."""

    def __init__(self, key: Credentials, region: str, names: list[str]) -> None:
        super().__init__(key, SERVICE, region)
        self._names = names

    def headers_to_sign(self, request: Any) -> Any:
        headers = HTTPHeaders()
        for name in self._names:
            headers[name] = request.headers[name]
        return headers


def check_signature(request: Request, *, keys: Mapping[str, Key], region: str, now: float) -> str:
    """
    Refuse a request that is not signed as AWS wants it.

    Args:
        request: With its body.
        keys: Access keys that are known.
        region: Where this server is.
        now: Seconds since the epoch.

    Returns:
        The access key.

    Raises:
        Refused: With the error that AWS gives.

    """
    found = _AUTHORIZATION.fullmatch(request.get("authorization") or "")
    if found is None:
        raise Refused(403, "MissingAuthenticationToken", "Missing Authentication Token")
    key = keys.get(found["key"])
    if key is None:
        raise Refused(
            403, "UnrecognizedClient", "The security token included in the request is invalid."
        )
    if (request.get("x-amz-security-token") or None) != key.token:
        raise Refused(
            403, "UnrecognizedClient", "The security token included in the request is invalid."
        )
    _check_date(request, found["date"], now)
    if (found["region"], found["service"]) != (region, SERVICE):
        raise Refused(
            403,
            "InvalidSignature",
            f"Credential should be scoped to a valid region: {region}/{SERVICE}.",
        )
    names = found["headers"].split(";")
    _check_names(request, names)
    signature, canonical = _signature(request, key, found["key"], region, names)
    if not hmac.compare_digest(signature, found["signature"]):
        raise Refused(403, "InvalidSignature", _MISMATCH.format(canonical))
    if key.expires is not None and now >= key.expires:
        raise Refused(403, "ExpiredToken", "The security token included in the request is expired")
    return found["key"]


def _check_date(request: Request, scope_date: str, now: float) -> None:
    text = request.get("x-amz-date") or ""
    try:
        date = dt.datetime.strptime(text, _DATE_FORMAT).replace(tzinfo=dt.timezone.utc)
    except ValueError:
        raise Refused(403, "IncompleteSignature", f"Date {text!r} is no date.") from None
    if text[:8] != scope_date:
        raise Refused(403, "InvalidSignature", "Date in Credential scope does not match.")
    ahead = date.timestamp() - now
    if ahead < -SKEW_SECONDS:
        raise Refused(403, "InvalidSignature", f"Signature expired: {text} is now too early.")
    if ahead > SKEW_SECONDS:
        raise Refused(403, "InvalidSignature", f"Signature not yet current: {text} is too late.")


def _check_names(request: Request, names: list[str]) -> None:
    if names != sorted(names) or len(set(names)) != len(names):
        raise Refused(403, "IncompleteSignature", "SignedHeaders are not sorted.")
    sent = {name for name, _ in request.headers}
    # AWS's C producer does not sign the token; the service takes that.
    must = {"host", "x-amz-date"} | {name for name in sent if name.startswith("x-amzn-")}
    missing = must - set(names) or set(names) - sent
    if missing:
        raise Refused(403, "InvalidSignature", f"Not sent or not signed: {sorted(missing)}.")


def _signature(
    request: Request, key: Key, name: str, region: str, names: list[str]
) -> tuple[str, str]:
    """Give the signature as it should be, and the canonical request that it is of."""
    auth = _Again(Credentials(name, key.secret, key.token), region, names)
    again = AWSRequest(
        request.method,
        f"http://{request.get('host')}{request.target}",
        headers={name: request.get(name) for name, _ in request.headers},
        data=request.body,
    )
    again.context["timestamp"] = request.get("x-amz-date")
    canonical = str(auth.canonical_request(again))
    return str(auth.signature(auth.string_to_sign(again, canonical), again)), canonical


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    key: str,
    secret: str,
    token: str | None = None,
    region: str = "us-east-1",
) -> dict[str, str]:
    """Give the headers of a request that botocore has signed, for clients made by hand."""
    request = AWSRequest(method, url, headers=dict(headers), data=body)
    SigV4Auth(Credentials(key, secret, token), SERVICE, region).add_auth(request)
    return dict(request.headers.items())
