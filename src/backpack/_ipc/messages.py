"""
What the processes send each other besides frames: small typed messages.

The two ends may be two Pythons, so messages travel as JSON and nothing is
ever unpickled. Descriptors travel beside a message, never inside.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

PROTOCOL_VERSION = 2


@dataclass(frozen=True)
class Message:
    """The base of all messages; a subclass is known by its name."""


# --- from the application to the streaming process ---------------------------


@dataclass(frozen=True)
class Hello(Message):
    """Open the conversation; the first message of the application."""

    version: int
    parent_pid: int
    log_level: int
    gst_log_level: str | None = None
    passed_over: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class OpenServer(Message):
    """Ask for a listening server. Answered by `Opened` or `Failed`."""

    id: int
    kind: str
    settings: dict[str, Any]
    launches: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CloseServer(Message):
    """Ask to close a server and all its clients. Answered by `Closed`."""

    id: int


@dataclass(frozen=True)
class OpenStream(Message):
    """Ask for a stream with its outputs. Answered by `Opened` or `Failed`."""

    id: int
    settings: dict[str, Any]
    outputs: list[dict[str, Any]]
    last_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class AttachRing(Message):
    """Sends a stream its ring; the memory and the wake pipe come beside it."""

    id: int


@dataclass(frozen=True)
class CloseStream(Message):
    """
    Ask to end a stream once what was put has gone out. Answered by `Closed`.

    Attributes:
        id: The stream.
        seconds: For encoding what was put.
        deliver_seconds: For outputs that deliver to somebody far away.

    """

    id: int
    seconds: float
    deliver_seconds: float = 0.0


@dataclass(frozen=True)
class ToOutput(Message):
    """Carry what the application has to say to one of a stream's outputs."""

    id: int
    output: int
    body: dict[str, Any]


@dataclass(frozen=True)
class Shutdown(Message):
    """Ask the streaming process to flush and end."""


# --- from the streaming process to the application ---------------------------


@dataclass(frozen=True)
class Ready(Message):
    """Answer `Hello`."""

    version: int
    python: str
    gstreamer: str


@dataclass(frozen=True)
class Unavailable(Message):
    """Say that this Python cannot stream, and what to install."""

    error: str
    message: str


@dataclass(frozen=True)
class Opened(Message):
    """Say that a server or stream is open."""

    id: int
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed(Message):
    """Say that a server or stream could not be opened, or has broken."""

    id: int
    error: str
    message: str


@dataclass(frozen=True)
class Closed(Message):
    """Say that a server or stream is closed."""

    id: int


@dataclass(frozen=True)
class FromOutput(Message):
    """Carry what one of a stream's outputs has to say to the application."""

    id: int
    output: int
    body: dict[str, Any]


@dataclass(frozen=True)
class StreamReport(Message):
    """What a stream has done so far."""

    id: int
    numbers: dict[str, Any]


@dataclass(frozen=True)
class Log(Message):
    """Carry a log record of the streaming process."""

    level: int
    name: str
    text: str


_TYPES: dict[str, type[Message]] = {kind.__name__: kind for kind in Message.__subclasses__()}


def encode(message: Message) -> bytes:
    """Write a message as bytes."""
    return json.dumps({"type": type(message).__name__, **asdict(message)}).encode()


def decode(data: bytes) -> Message:
    """
    Read a message.

    Raises:
        ValueError: The bytes are no message of this version.

    """
    try:
        values = json.loads(data)
    except RecursionError as error:
        raise ValueError("A message is flat.") from error
    if not isinstance(values, dict):
        raise ValueError("A message is an object.")  # noqa: TRY004 - the bytes are wrong
    kind = _TYPES.get(str(values.pop("type", "")))
    if kind is None or not values.keys() <= {entry.name for entry in fields(kind)}:
        raise ValueError("The other process speaks another version.")
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(str(error)) from error
