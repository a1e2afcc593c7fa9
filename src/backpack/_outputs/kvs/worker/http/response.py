"""Read answers of HTTP/1.1 (RFC 9112) as they come, however the network cuts them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from backpack.errors import BackpackError

if TYPE_CHECKING:
    from collections.abc import Callable

LONGEST_HEAD_BYTES: Final = 32 * 1024
LONGEST_LINE_BYTES: Final = 1024
"""Of a chunk's size, and of all trailers together."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-9][0-9][0-9])(?: .*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?")

_FIRST_FINAL = 200
_WITHOUT_BODY = (204, 304)


class AnswerError(BackpackError, ValueError):
    """Say that an answer is not HTTP/1.1: its connection is of no more use."""


@dataclass(frozen=True)
class Head:
    """
    The head of an answer.

    Attributes:
        status: Of HTTP, none of 1xx.
        headers: By their names in lower case.

    """

    status: int
    headers: dict[str, str]


class _End:
    """What `END` is."""

    def __repr__(self) -> str:
        return "END"


END: Final = _End()
"""The answer is complete."""

Part: TypeAlias = "Head | bytes | _End"


class AnswerReader:
    """
    Take one answer apart: its head, parts of its body, its end.

    Answers 1xx before it are skipped. What follows it is ignored: a connection
    carries one request. Holds no more than a head; the body is given away as
    it comes.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        # Reads what comes next, if enough of it is there.
        self._next: Callable[[list[Part]], bool] = self._read_head
        # Bytes of the body, or of the chunk, that are still to come.
        self._left = 0

    def feed(self, data: bytes) -> list[Part]:
        """
        Take what has come.

        Raises:
            AnswerError: It is no answer.

        """
        self._data += data
        parts: list[Part] = []
        while self._next(parts):
            pass
        return parts

    def closed(self) -> list[Part]:
        """
        Called when nothing comes any more.

        Raises:
            AnswerError: The answer is not complete.

        """
        if self._next == self._read_rest:
            self._next = self._ignore
            return [END]
        if self._next == self._ignore:
            return []
        raise AnswerError("The answer ends in its middle.")

    def _read_head(self, parts: list[Part]) -> bool:
        raw = self._until(b"\r\n\r\n", LONGEST_HEAD_BYTES)
        if raw is None:
            return False
        head = _parse_head(raw)
        if head.status >= _FIRST_FINAL:
            parts.append(head)
            self._next = self._choose_body(head, parts)
        return True

    def _choose_body(self, head: Head, parts: list[Part]) -> Callable[[list[Part]], bool]:
        # RFC 9112, 6.3: a transfer coding beats a length; with neither the
        # body lasts as long as the connection.
        coding = head.headers.get("transfer-encoding")
        length = head.headers.get("content-length")
        if head.status in _WITHOUT_BODY:
            return self._finish(parts)
        if coding is not None:
            if coding.strip().lower() != "chunked":
                raise AnswerError(f"Transfer coding {coding[:40]!r}.")
            return self._read_size
        if length is None:
            return self._read_rest
        if not (length.isascii() and length.isdigit()):
            raise AnswerError(f"Length {length[:40]!r}.")
        self._left = int(length)
        return self._read_counted if self._left else self._finish(parts)

    def _finish(self, parts: list[Part]) -> Callable[[list[Part]], bool]:
        parts.append(END)
        return self._ignore

    def _read_counted(self, parts: list[Part]) -> bool:
        if self._take_some(parts) and not self._left:
            self._next = self._finish(parts)
        return False

    def _read_rest(self, parts: list[Part]) -> bool:
        self._left = len(self._data)
        self._take_some(parts)
        return False

    def _read_size(self, _parts: list[Part]) -> bool:
        line = self._until(b"\r\n", LONGEST_LINE_BYTES)
        if line is None:
            return False
        found = _CHUNK_SIZE.fullmatch(line)
        if found is None:
            raise AnswerError(f"{line[:40]!r} is no size of a chunk.")
        self._left = int(found[1], 16)
        self._next = self._read_chunk if self._left else self._read_trailers
        return True

    def _read_chunk(self, parts: list[Part]) -> bool:
        if not self._take_some(parts):
            return False
        if not self._left:
            self._next = self._read_chunk_end
        return True

    def _read_chunk_end(self, _parts: list[Part]) -> bool:
        if len(self._data) < 2:  # noqa: PLR2004 - CR and LF
            return False
        if self._data[:2] != b"\r\n":
            raise AnswerError("A chunk does not end where its size says.")
        del self._data[:2]
        self._next = self._read_size
        return True

    def _read_trailers(self, parts: list[Part]) -> bool:
        line = self._until(b"\r\n", LONGEST_LINE_BYTES)
        if line == b"":
            self._next = self._finish(parts)
        return line is not None

    def _ignore(self, _parts: list[Part]) -> bool:
        self._data.clear()
        return False

    def _until(self, mark: bytes, limit: int) -> bytes | None:
        end = self._data.find(mark, 0, limit + len(mark))
        if end < 0:
            if len(self._data) >= limit + len(mark):
                raise AnswerError(f"Nothing ends within {limit} bytes.")
            return None
        found = bytes(self._data[:end])
        del self._data[: end + len(mark)]
        return found

    def _take_some(self, parts: list[Part]) -> bool:
        some = bytes(self._data[: self._left])
        if not some:
            return False
        del self._data[: len(some)]
        self._left -= len(some)
        parts.append(some)
        return True


def _parse_head(raw: bytes) -> Head:
    first, *lines = raw.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise AnswerError(f"{first[:40]!r} is no status line of HTTP/1.1.")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not _NAME.fullmatch(name):
            raise AnswerError(f"{line[:40]!r} is no header.")
        key, value = name.lower(), value.strip(" \t")
        if key in ("content-length", "transfer-encoding") and headers.get(key, value) != value:
            raise AnswerError(f"Two headers {key} that differ.")
        headers[key] = value
    return Head(int(status[1]), headers)
