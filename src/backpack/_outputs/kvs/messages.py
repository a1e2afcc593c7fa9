"""
The messages that the two sides of a KVS output send each other.

The streaming process talks to AWS and has no key; the application has the key
and talks to nobody. So the one asks for signatures, and the other for calls.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from backpack._outputs.kvs.shared.api import Operation, Request, SignedHead


@dataclass(frozen=True)
class Sign:
    """
    Ask the application to sign a request. Answered by `Signed`.

    Attributes:
        number: Of the question; the answer carries it.
        operation: Name of the `Operation`.
        endpoint: Scheme and host that it goes to.
        headers: What is signed beside host and date.
        unsigned: What is not.
        body: JSON, or nothing.
        renew: Get fresh credentials first: these were refused.

    """

    number: int
    operation: str
    endpoint: str
    headers: list[list[str]] = field(default_factory=list)
    unsigned: list[list[str]] = field(default_factory=list)
    body: str = ""
    renew: bool = False

    @classmethod
    def of(cls, number: int, request: Request, *, renew: bool = False) -> Sign:
        """Ask for a request."""
        return cls(
            number,
            request.operation.name,
            request.endpoint,
            [list(pair) for pair in request.headers],
            [list(pair) for pair in request.unsigned],
            request.body.decode(),
            renew,
        )

    @property
    def request(self) -> Request:
        """
        The request that is to be signed.

        Raises:
            KeyError: There is no such operation.
            ValueError: A header is no pair.

        """
        return Request(
            Operation[self.operation],
            self.endpoint,
            tuple((name, value) for name, value in self.headers),
            tuple((name, value) for name, value in self.unsigned),
            self.body.encode(),
        )


@dataclass(frozen=True)
class Signed:
    """
    Answer `Sign`.

    Attributes:
        number: Of the question.
        head: See `SignedHead`. Empty: it could not be signed.
        good_seconds: See there.
        expires_in_seconds: See there.
        keys_of: See there.
        trouble: Why it could not be signed, fit for an operator.

    """

    number: int
    head: str = field(default="", repr=False)
    good_seconds: float = 0.0
    expires_in_seconds: float | None = None
    keys_of: str = ""
    trouble: str = ""

    @classmethod
    def of(cls, number: int, signed: SignedHead) -> Signed:
        """Answer with a head."""
        head = signed.head.decode("latin-1")
        return cls(number, head, signed.good_seconds, signed.expires_in_seconds, signed.keys_of)

    @property
    def signed_head(self) -> SignedHead:
        """The head."""
        head = self.head.encode("latin-1")
        return SignedHead(head, self.good_seconds, self.expires_in_seconds, self.keys_of)


@dataclass(frozen=True)
class Fetch:
    """
    Ask the streaming process to send a request that is signed already. Answered by `Fetched`.

    Attributes:
        number: Of the question; the answer carries it.
        endpoint: Scheme and host to send it to.
        head: Request line and headers.
        body: JSON.

    """

    number: int
    endpoint: str
    head: str = field(repr=False)
    body: str = ""


@dataclass(frozen=True)
class Fetched:
    """
    Answer `Fetch`.

    Attributes:
        number: Of the question.
        status: Of HTTP. 0: there was no answer.
        error_type: The header ``x-amzn-ErrorType``.
        body: The answer's. It may hold a URL that lets anybody watch: never log it.
        skew_seconds: How far this machine's clock is ahead of the Date header.
        trouble: Why there was no answer.
        keys_of: See `SignedHead`; known to who has signed.

    """

    number: int
    status: int = 0
    error_type: str = ""
    body: str = field(default="", repr=False)
    skew_seconds: float | None = None
    trouble: str = ""
    keys_of: str = ""


KVSMessage: TypeAlias = Sign | Signed | Fetch | Fetched

_TYPES: dict[str, type[KVSMessage]] = {
    kind.__name__: kind for kind in (Sign, Signed, Fetch, Fetched)
}


def write_message(message: KVSMessage) -> dict[str, Any]:
    """Write a message as JSON would take it."""
    return {"type": type(message).__name__, **asdict(message)}


def read_message(body: dict[str, Any]) -> KVSMessage:
    """
    Read a message.

    Raises:
        ValueError: It is none of this version.

    """
    values = dict(body)
    kind = _TYPES.get(str(values.pop("type", "")))
    if kind is None:
        raise ValueError("The other process speaks another version.")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from error
