"""Read what keeps kvssink from delivering out of what it prints: it tells it in no other way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import urlsplit

from backpack._outputs.kvs.shared.api import Operation, read_error
from backpack._outputs.kvs.shared.quoting import quote
from backpack._outputs.kvs.shared.refusals import NextStep, Refusal, judge
from backpack._outputs.kvs.worker.http.errors import CERTIFICATE, NO_NAME, sentence_of

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_HALF: Final = 16 * 1024
_LONGEST_REASON: Final = 200

# Of AWS's C producer (Response.c), three lines after each other for an answer other than 200;
# the last of them is followed by the request's headers. For what curl cannot reach the first of
# them comes before, and then one with the status 0.
_UNREACHED: Final = re.compile(rb"curl perform failed for url (\S+) with result ([^:\n]*):? ?(.*)")
_ANSWER: Final = re.compile(rb"HTTP Error (\d{1,3}) : Response: (.*)")
_URL: Final = re.compile(rb"^Request URL: (\S+)")
# What it was answered instead of acknowledgements stands in this line, and not in the first.
_BODY: Final = re.compile(rb"Failed to submit ACK: (\{.*\}) with status code")

_OPERATIONS: Final = {one.value: one for one in Operation}
_CURL: Final = {
    b"Couldn't resolve host name": NO_NAME,
    b"Could not resolve hostname": NO_NAME,
    b"SSL peer certificate or SSH remote key was not OK": CERTIFICATE,
    b"Problem with the SSL CA cert (path? access rights?)": CERTIFICATE,
}
"""Causes by curl's words for its errors (curl_easy_strerror)."""


_Reading: TypeAlias = "Callable[[re.Match[bytes]], Complaint | None]"


@dataclass(frozen=True)
class Complaint:
    """
    What did not work.

    Attributes:
        cause: A few words that are the same each time.
        refusal: What it means, and what is to be told of it. kvssink itself tries again.

    """

    cause: str
    refusal: Refusal

    @classmethod
    def of(cls, status: int) -> Complaint:
        """Make one of the number that kvssink's signal ``stream-error`` gives."""
        number = f"error 0x{status:08x}"
        return cls(number, Refusal(NextStep.AGAIN))


class Complaints:
    """
    Take complaints out of a child's standard output, however it is cut.

    Reads no clock. What it reads is not to be logged: see `LogSanitizer`.
    """

    def __init__(self) -> None:
        self._half = b""
        # Of the answer whose URL follows: status and body.
        self._answer: tuple[int, bytes] | None = None
        self._body = b""
        self._forms: tuple[tuple[re.Pattern[bytes], _Reading], ...] = (
            (_URL, self._read_url),
            (_ANSWER, self._read_answer),
            (_UNREACHED, _read_unreached),
            (_BODY, self._read_body),
        )

    def feed(self, data: bytes) -> list[Complaint]:
        """Return what it complains of in what it has printed."""
        *lines, self._half = (self._half + data).split(b"\n")
        self._half = self._half[-_LONGEST_HALF:]
        found = (self._read(line) for line in lines)
        return [complaint for complaint in found if complaint is not None]

    def _read(self, line: bytes) -> Complaint | None:
        for form, read in self._forms:
            match = form.search(line)
            if match is not None:
                return read(match)
        return None

    def _read_body(self, found: re.Match[bytes]) -> None:
        self._body = found[1]

    def _read_answer(self, found: re.Match[bytes]) -> None:
        body, self._body = self._body, b""
        self._answer = int(found[1]), found[2] if found[2].startswith(b"{") else body

    def _read_url(self, found: re.Match[bytes]) -> Complaint | None:
        answer, self._answer = self._answer, None
        path = urlsplit(found[1].decode("ascii", "replace")).path
        operation = _OPERATIONS.get(path)
        if answer is None or operation is None or not answer[0]:
            return None
        status, body = answer
        error, message = read_error("", body)
        refusal = judge(operation, status, error, message, keys_of=None)
        return Complaint(f"{status} {error}".strip(), refusal)


def _read_unreached(found: re.Match[bytes]) -> Complaint:
    host = urlsplit(found[1].decode("ascii", "replace")).netloc
    words = found[2].strip()
    cause = _CURL.get(words, quote(words.decode(errors="replace"), _LONGEST_REASON))
    reason = quote(found[3].decode(errors="replace"), _LONGEST_REASON) or cause
    sentence = sentence_of(cause, host.partition(":")[0]) if cause in _CURL.values() else ""
    return Complaint(
        cause,
        Refusal(
            NextStep.AGAIN,
            sentence
            or f"kvssink does not reach {host}: {reason.rstrip('.')}. Look at the network.",
        ),
    )
