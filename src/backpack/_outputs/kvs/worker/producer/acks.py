"""Read what Kinesis Video Streams answers while it is sent video, and decide what each means."""

from __future__ import annotations

import enum
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from backpack._outputs.kvs.shared.refusals import TRIED_AGAIN
from backpack.errors import BackpackError

LONGEST_ACK_BYTES: Final = 16 * 1024
"""AWS's producer takes 1024 of them; an answer that never ends must not fill the memory."""


class Event(enum.Enum):
    """What happened to a fragment."""

    BUFFERING = "BUFFERING"
    RECEIVED = "RECEIVED"
    PERSISTED = "PERSISTED"
    IDLE = "IDLE"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class Action(enum.Enum):
    """What an answer asks for."""

    NOTE_ALIVE = enum.auto()
    """The service lives."""
    MARK_RECEIVED = enum.auto()
    """Free the fragment if the stream keeps nothing (retention 0)."""
    FREE = enum.auto()
    """Free the fragment and all before it."""
    CLOSE_IF_PAUSED = enum.auto()
    """Close a fragment that is open though its source is silent."""
    RESEND = enum.auto()
    """Connect again and send everything that is not persisted."""
    RESEND_SLOWLY = enum.auto()
    """The same after half a minute or more: somebody has to mend something."""
    SKIP = enum.auto()
    """Give up the fragment, connect again at the next."""
    SKIP_AND_SHORTEN = enum.auto()
    """The same, and make fragments shorter."""
    SKIP_AND_REANCHOR = enum.auto()
    """The same; the next connection may begin at an earlier time."""
    RESEND_WITHOUT_TAGS = enum.auto()
    """Send it once more, and no metadata from now on."""
    SKIP_OR_FAIL = enum.auto()
    """Skip it, but give up where nothing at all has been taken yet."""
    DESCRIBE = enum.auto()
    """Ask what has become of the stream."""
    FAIL = enum.auto()
    """End: it would be refused again."""


@dataclass(frozen=True)
class Meaning:
    """
    What an answer means for the producer.

    Attributes:
        action: What to do.
        sentence: For the operator: what is wrong, and what helps. Empty where
            there is nothing to say.

    """

    action: Action
    sentence: str = ""


@dataclass(frozen=True)
class Ack:
    """
    One answer.

    Attributes:
        event: What happened.
        timecode_ms: The fragment's, as it was sent. None: it does not say.
        fragment: KVS's own number for the fragment, decimal digits.
        error_id: With `Event.ERROR`.
        error_code: With `Event.ERROR`; the name of that error.

    """

    event: Event
    timecode_ms: int | None = None
    fragment: str = ""
    error_id: int | None = None
    error_code: str = ""


class AckError(BackpackError, ValueError):
    """Say that the answers cannot be read: the connection is of no more use."""


def _mend(sentence: str) -> Meaning:
    return Meaning(Action.RESEND_SLOWLY, f"{sentence} {TRIED_AGAIN}")


def _kms(trouble: str) -> Meaning:
    return _mend(f"KVS cannot use the stream's KMS key: {trouble}.")


_BUG = "This is a mistake in SpyGlass; please report it with this message."

# Amazon's page on PutMedia's acknowledgements, and what AWS's producer does.
ERRORS: Final[dict[int, tuple[str, Meaning]]] = {
    4000: ("STREAM_READ_ERROR", Meaning(Action.RESEND)),
    4001: (
        "MAX_FRAGMENT_SIZE_REACHED",
        Meaning(
            Action.SKIP_AND_SHORTEN,
            "A fragment was larger than KVS takes. Fragments are shorter from now on; "
            "give a lower bit rate or fragment_seconds if it comes again.",
        ),
    ),
    4002: (
        "MAX_FRAGMENT_DURATION_REACHED",
        Meaning(
            Action.SKIP_AND_SHORTEN,
            "A fragment was longer than KVS takes. Fragments are shorter from now on.",
        ),
    ),
    4003: ("MAX_CONNECTION_DURATION_REACHED", Meaning(Action.RESEND)),
    4004: (
        "FRAGMENT_TIMECODE_LESSER_THAN_PREVIOUS",
        Meaning(Action.SKIP_AND_REANCHOR, "KVS has seen time run backward."),
    ),
    4005: (
        "MORE_THAN_ALLOWED_TRACKS",
        Meaning(Action.FAIL, f"KVS sees more tracks than it takes. {_BUG}"),
    ),
    4006: (
        "INVALID_MKV_DATA",
        Meaning(Action.SKIP_OR_FAIL, f"KVS could not read what it was sent. {_BUG}"),
    ),
    4007: (
        "INVALID_PRODUCER_TIMESTAMP",
        _mend(
            "KVS does not take the time that was sent with the connection. "
            "Look at this machine's clock."
        ),
    ),
    4008: (
        "STREAM_NOT_ACTIVE",
        Meaning(Action.DESCRIBE, "The stream is not active: it may have been deleted."),
    ),
    4009: (
        "FRAGMENT_METADATA_LIMIT_REACHED",
        Meaning(
            Action.RESEND_WITHOUT_TAGS,
            "KVS takes no more metadata. Fragments go without it from now on.",
        ),
    ),
    4010: (
        "TRACK_NUMBER_MISMATCH",
        Meaning(Action.FAIL, f"KVS sees a track that was not announced. {_BUG}"),
    ),
    4011: ("FRAMES_MISSING_FOR_TRACK", Meaning(Action.SKIP)),
    4012: (
        "MORE_THAN_ALLOWED_TRACKS_FOUND",
        Meaning(Action.FAIL, f"KVS sees more tracks than it takes. {_BUG}"),
    ),
    4500: (
        "KMS_KEY_ACCESS_DENIED",
        _kms("access is denied. Allow kms:GenerateDataKey on it to who sends"),
    ),
    4501: ("KMS_KEY_DISABLED", _kms("it is disabled. Enable it")),
    4502: ("KMS_KEY_VALIDATION_ERROR", _kms("it is not valid. Look at the stream's settings")),
    4503: ("KMS_KEY_UNAVAILABLE", _kms("it is not available now. Look at it in KMS")),
    4504: (
        "KMS_KEY_INVALID_USAGE",
        _kms("it is not made for encryption. Give the stream another one"),
    ),
    4505: ("KMS_KEY_INVALID_STATE", _kms("its state does not allow use. Look at it in KMS")),
    4506: ("KMS_KEY_NOT_FOUND", _kms("it does not exist. Give the stream another one")),
    4507: (
        "STREAM_DELETED",
        Meaning(Action.DESCRIBE, "The stream has been deleted."),
    ),
    5000: ("INTERNAL_ERROR", Meaning(Action.RESEND)),
    5001: ("ARCHIVAL_ERROR", Meaning(Action.RESEND)),
}

# The documentation gives no number for the last one.
_BY_CODE: Final = dict(ERRORS.values()) | {
    "MIN_FRAGMENT_DURATION_REACHED": Meaning(Action.SKIP, "A fragment was shorter than KVS takes.")
}

_EVENTS: Final = {
    Event.BUFFERING: Meaning(Action.NOTE_ALIVE),
    Event.RECEIVED: Meaning(Action.MARK_RECEIVED),
    Event.PERSISTED: Meaning(Action.FREE),
    Event.IDLE: Meaning(Action.CLOSE_IF_PAUSED),
    Event.UNKNOWN: Meaning(Action.NOTE_ALIVE),
}


def meaning(ack: Ack) -> Meaning:
    """Decide what an answer asks for. Errors that nobody has described are tried again."""
    if ack.event is not Event.ERROR:
        return _EVENTS[ack.event]
    if ack.error_id in ERRORS:
        return ERRORS[ack.error_id][1]
    return _BY_CODE.get(ack.error_code, Meaning(Action.RESEND))


class AckReader:
    """
    Cut the stream of answers into answers.

    They are JSON objects with white space between them. Several may come in
    one read, or parts of one: the chunks of HTTP and the objects are cut
    independently. Reads no socket.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        # Up to where ``_data`` has been looked at, and how deep that is.
        self._seen = 0
        self._depth = 0
        self._in_text = False

    def feed(self, data: bytes) -> list[Ack]:
        """
        Take what was read and give the answers that it completes.

        Raises:
            AckError: This is no stream of answers. Connect again.

        """
        self._data += data
        acks = []
        while (end := self._object_end()) is not None:
            acks.append(_parsed(bytes(self._data[:end])))
            del self._data[:end]
            self._seen = 0
        if len(self._data) > LONGEST_ACK_BYTES:
            raise AckError(f"KVS sent {len(self._data)} bytes that are no complete answer.")
        return acks

    def _object_end(self) -> int | None:
        """Find the end of the first object, going on where the last call stopped."""
        if not self._depth:
            self._skip_space()
        while found := (_IN_TEXT if self._in_text else _IN_OBJECT).search(self._data, self._seen):
            mark = found.group()
            if mark == b"\\" and found.end() == len(self._data):
                # What it escapes is still to come.
                self._seen = found.start()
                return None
            self._seen = found.end() + (mark == b"\\")
            if mark == b'"':
                self._in_text = not self._in_text
            elif mark in b"{[":
                self._depth += 1
            elif mark in b"]}":
                self._depth -= 1
                if not self._depth:
                    return self._seen
        self._seen = len(self._data)
        return None

    def _skip_space(self) -> None:
        stripped = self._data.lstrip()
        if stripped and not stripped.startswith(b"{"):
            raise AckError(f"KVS sent {bytes(stripped[:40])!r}, which is no answer.")
        self._data = stripped
        self._seen = 0


_IN_OBJECT: Final = re.compile(rb'["{}\[\]]')
_IN_TEXT: Final = re.compile(rb'["\\]')


def _parsed(data: bytes) -> Ack:
    try:
        found = json.loads(data)
        return _ack(found)
    except (ValueError, TypeError, RecursionError) as error:
        raise AckError(f"KVS sent {data[:80]!r}, which is no answer: {error}.") from error


def _ack(found: dict[str, Any]) -> Ack:
    # The API's page calls the first one AckEventType.
    name = found.get("EventType", found.get("AckEventType"))
    if not isinstance(name, str):
        raise TypeError("it has no EventType")
    try:
        event = Event(name.upper())
    except ValueError:
        event = Event.UNKNOWN
    number = found.get("FragmentNumber")
    return Ack(
        event=event,
        timecode_ms=_integer(found.get("FragmentTimecode")),
        fragment="" if number is None else str(number),
        error_id=_integer(found.get("ErrorId")),
        error_code=str(found.get("ErrorCode", "")),
    )


def _integer(value: object) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        return int(value)
    raise TypeError(f"{value!r} is no whole number")
