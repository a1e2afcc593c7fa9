"""Say how the server misbehaves."""

from __future__ import annotations

import enum
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["AckError", "AckForm", "Connections", "Faults", "HttpError"]


class Connections(enum.Enum):
    """What a second connection of a stream meets."""

    OVERLAP = enum.auto()
    """Two are taken, as AWS's own producer makes them when it rotates."""
    ONE = enum.auto()
    """ConnectionLimitExceeded until the old one has been closed for five seconds."""


class AckForm(enum.Enum):
    """How acknowledgements are cut into writes."""

    ONE = enum.auto()
    SEVERAL = enum.auto()
    """As many in one chunk as are due within 50 ms."""
    PARTS = enum.auto()
    """Seven bytes in a chunk, which ends where it likes."""


@dataclass(frozen=True)
class HttpError:
    """An answer to a request instead of what was asked for."""

    status: int
    error: str
    message: str = "told to"


@dataclass(frozen=True)
class AckError:
    """An error among the acknowledgements, once the fragment has as many blocks."""

    error_id: int
    code: str
    after_blocks: int = 1
    with_timecode: bool = True


THROTTLED = HttpError(400, "ClientLimitExceeded", "Rate exceeded")


@dataclass
class Faults:
    """
    How the server misbehaves. May be changed at any time, by any thread.

    Attributes:
        http: For each path, errors that the next requests meet, one each.
        always: For each path, an error that every request meets.
        acks: Errors that the next fragments meet, one each; None lets one pass.
        random: With it, fragments and requests meet errors by chance.
        ack_chance: For a fragment, with `random`.
        ack_choices: What it meets.
        http_chance: For a request, with `random`.
        http_choices: What it meets.
        reset_after_blocks: A connection is reset in the middle of a fragment,
            after so many blocks of it, `resets` times.
        resets: How often.
        reset_every_seconds: A connection is reset when it is that old.
        close_after_seconds: It is ended with 4003 when it is that old.
        half_close_after_fragments: The server ends its answers, and reads on.
        idle_seconds: Without data a connection is closed after so long.
        idle_ack_seconds: Without data IDLE is said so often.
        ack_delay_seconds: Acknowledgements come that much later.
        ack_form: How they are cut into writes.
        silent: No acknowledgement at all.
        archive_hangs: Fragments are received, and never persisted.
        bytes_a_second: How quickly bodies are read. None: as they come.
        continues: Whether 100 Continue is sent to who asks for it.
        connections: What a second connection meets.
        release_seconds: See `Connections.ONE`.

    """

    http: dict[str, deque[HttpError]] = field(default_factory=dict)
    always: dict[str, HttpError] = field(default_factory=dict)
    acks: deque[AckError | None] = field(default_factory=deque)
    random: random.Random | None = None
    ack_chance: float = 0.0
    ack_choices: tuple[AckError, ...] = ()
    http_chance: float = 0.0
    http_choices: tuple[HttpError, ...] = ()
    reset_after_blocks: int | None = None
    resets: int = 0
    reset_every_seconds: float | None = None
    close_after_seconds: float = 45 * 60.0
    half_close_after_fragments: int | None = None
    idle_seconds: float = 30.0
    idle_ack_seconds: float = 10.0
    ack_delay_seconds: float = 0.0
    ack_form: AckForm = AckForm.ONE
    silent: bool = False
    archive_hangs: bool = False
    bytes_a_second: float | None = None
    continues: bool = True
    connections: Connections = Connections.OVERLAP
    release_seconds: float = 5.0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        # Nothing is read or answered while this is not set.
        self.awake = threading.Event()
        self.awake.set()

    def freeze(self) -> None:
        """Do as a server that hangs: connections are taken by its kernel alone."""
        self.awake.clear()

    def thaw(self) -> None:
        """Go on."""
        self.awake.set()

    def next_http(self, path: str) -> HttpError | None:
        """Decide whether a request meets an error."""
        with self._lock:
            if self.http.get(path):
                return self.http[path].popleft()
            if path in self.always:
                return self.always[path]
            if self.random is not None and self.random.random() < self.http_chance:
                return self.random.choice(self.http_choices)
            return None

    def next_ack(self) -> AckError | None:
        """Decide whether a fragment meets an error."""
        with self._lock:
            if self.acks:
                return self.acks.popleft()
            if self.random is not None and self.random.random() < self.ack_chance:
                return self.random.choice(self.ack_choices)
            return None

    def take_reset(self, blocks: int) -> bool:
        """Decide whether a connection is reset in the middle of a fragment."""
        with self._lock:
            if self.resets > 0 and blocks == self.reset_after_blocks:
                self.resets -= 1
                return True
            return False
