"""Be the network and KVS in a time of its own: minutes pass in a second."""

from __future__ import annotations

import dataclasses
import json
import random
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.settings import ProducerSettings
from backpack._outputs.kvs.shared.api import Operation
from backpack._outputs.kvs.worker.producer.commands import (
    Call,
    Close,
    EndBody,
    Open,
    ProducerState,
    Send,
)
from backpack._outputs.kvs.worker.producer.producer import Producer
from tests.kvs_server.rules import FragmentRules, Violation
from tests.kvs_server.streams import Session, Stream
from tests.outputs.kvs.worker.producer.video import FPS, START_PTS_NS, START_WALL_NS, unit

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._media.access_unit import AccessUnit
    from backpack._outputs.kvs.worker.producer.commands import Command, ProducerStatus
    from backpack._outputs.kvs.worker.producer.journal import Journal
    from tests.kvs_server.streams import Fragment

__all__ = ["BEGIN_MS", "ENDPOINT", "OVER", "Service", "stamped"]

ENDPOINT = "http://127.0.0.1:9"
BEGIN_MS = START_WALL_NS // 1_000_000
STEP_SECONDS = 0.05
OVER = (ProducerState.STOPPED, ProducerState.FAILED)


def stamped(number: int, *, padding: int = 0, **options: Any) -> AccessUnit:
    """Give an access unit that is not like any other; see `unit`."""
    made = unit(number, **options)
    return dataclasses.replace(made, data=made.data + b"x" * padding + f"#{number}".encode())


class Service:
    """
    Do what a producer asks for, and answer it; a server's rules look at every element.

    Args:
        journal: Of the producer.
        settings: What `ProducerSettings` takes.

    """

    def __init__(self, *, seed: int = 0, journal: Journal | None = None, **settings: Any) -> None:
        self.random = random.Random(seed)
        options: dict[str, Any] = {"fragment_seconds": 1.0} | settings
        self.producer = Producer(
            ProducerSettings("us-east-1", "test", ENDPOINT, **options),
            segment_uid=bytes(16),
            random=self.random.random,
            journal=journal,
        )
        self.now = START_PTS_NS / 1e9
        self.stream = Stream("test", 24, 0.0)
        self.rules: FragmentRules | None = None
        self.number = 0
        # What is under way: to the producer, and when it arrives; to a server that hangs.
        self.answers: list[tuple[float, bytes]] = []
        self.unread: list[tuple[float, Command]] = []
        # When what the server reads was sent.
        self.sent_at = self.now
        # The port is refused.
        self.gone = False
        # Connections are taken by the kernel alone, nothing is read or answered.
        self.hangs = False
        self.reset_every_seconds: float | None = None
        # When the credentials run out that are signed with. A connection does not outlive them.
        self.expire_at: Callable[[float], float] | None = None
        self.cut_off = 0
        # A second connection is refused until the first has been closed for so long.
        self.release_seconds: float | None = None
        self.ack_seconds = 0.05
        # Fragments are received, and never persisted; nothing of them is kept.
        self.archive_hangs = False
        self.opened_at = self.closed_at = float("-inf")
        self.expires_at = float("inf")

    # The encoder.

    def frames(self, count: int, *, padding: int = 0, **options: Any) -> None:
        """Put the next frames, in time."""
        for _ in range(count):
            self.number += 1
            self.producer.frame(stamped(self.number, padding=padding, **options), self.now)
            self.pass_time(1 / FPS)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds / STEP_SECONDS)):
            self.step()

    def stop(self, seconds: float = 600.0) -> None:
        """Stop, and wait until that is over."""
        self.producer.stop(self.now, seconds)
        end = self.now + seconds + 1
        while self.producer.state not in OVER and self.now < end:
            self.step()

    # What became of it.

    @property
    def status(self) -> ProducerStatus:
        """Ask the producer."""
        return self.producer.status(self.now)

    def played(self) -> list[int]:
        """Name the frames of the final timeline, in the order of their times."""
        return [
            int(block.payload.rpartition(b"#")[2])
            for fragment in self.stream.timeline()
            for block in fragment.blocks
        ]

    def times(self) -> dict[int, int]:
        """Give each frame's time in the final timeline, in milliseconds since the first date."""
        return {
            int(block.payload.rpartition(b"#")[2]): fragment.timecode + block.relative - BEGIN_MS
            for fragment in self.stream.timeline()
            for block in fragment.blocks
        }

    def complaints(self) -> set[str]:
        """Give what no producer should do."""
        return set(self.stream.complaints)

    # The network.

    def step(self) -> None:
        """Let a twentieth of a second pass."""
        self.now += STEP_SECONDS
        while self.answers and self.answers[0][0] <= self.now and not self.hangs:
            self.producer.received(self.answers.pop(0)[1], self.now)
        self.weather()
        while self.unread and not self.hangs:
            self.sent_at, command = self.unread.pop(0)
            self.deliver(command)
        for _ in range(500):
            command = self.producer.poll(self.now)
            if command is None:
                return
            self.obey(command)

    def weather(self) -> None:
        """Break the connection where that is due."""
        if self.rules is None:
            return
        age = self.now - self.opened_at
        if self.gone or (self.reset_every_seconds is not None and age >= self.reset_every_seconds):
            self.broke("reset")
        elif self.now >= self.expires_at:
            self.cut_off += 1
            self.broke("expired")

    def broke(self, cause: str = "weather") -> None:
        """Lose the connection, and tell."""
        self.hang_up()
        self.producer.broke(cause, self.now)

    def hang_up(self) -> None:
        """Forget the connection and what was under way."""
        if self.rules is not None:
            self.closed_at = self.now
        self.rules = None
        self.answers.clear()
        self.unread.clear()

    def obey(self, command: Command) -> None:
        """Do what the producer asks for."""
        if isinstance(command, Close):
            self.hang_up()
        elif self.gone:
            self.producer.broke("refused", self.now)
        elif self.hangs:
            self.unread.append((self.now, command))
        else:
            self.sent_at = self.now
            self.deliver(command)

    def deliver(self, command: Command) -> None:
        """Take what has reached the server."""
        if isinstance(command, Call):
            self.call(command)
        elif isinstance(command, Open):
            self.open()
        elif self.rules is not None and isinstance(command, Send):
            try:
                self.rules.feed(command.data)
            except Violation as error:
                raise AssertionError(str(error)) from error
        elif self.rules is not None and isinstance(command, EndBody):
            self.rules.end()

    # KVS.

    def call(self, command: Call) -> None:
        """Answer a call of the control plane."""
        answer: dict[str, Any] = {"DataEndpoint": ENDPOINT}
        if command.request.operation is Operation.DESCRIBE_STREAM:
            answer = {"StreamInfo": {"Status": "ACTIVE", "DataRetentionInHours": 24}}
        self.producer.answered(200, self.now, body=json.dumps(answer).encode())

    def open(self) -> None:
        """Take a connection, or refuse it."""
        if self.release_seconds is not None and self.now < self.closed_at + self.release_seconds:
            self.refuse(400, "ConnectionLimitExceeded")
            return
        self.opened_at = self.now
        self.expires_at = float("inf")
        if self.expire_at is not None:
            self.expires_at = self.expire_at(self.now)
        session = Session(len(self.stream.sessions), self.now, (BEGIN_MS // 1000, 0))
        self.stream.sessions.append(session)
        self.rules = FragmentRules(
            self.stream,
            session,
            absolute=True,
            next_number=lambda: str(len(self.stream.fragments)),
            on_begun=self.begun,
            on_block=lambda _: None,
            on_complete=self.complete,
            clock=lambda: self.sent_at,
        )
        left = self.expires_at - self.now
        expires = left if self.expire_at is not None else None
        self.producer.answered(200, self.now, expires_in_seconds=expires)

    def refuse(self, status: int, error: str) -> None:
        """Refuse what was asked."""
        self.producer.answered(status, self.now, error_type=f"{error}Exception" if error else "")

    def begun(self, fragment: Fragment) -> None:
        """Say that a fragment is being taken."""
        self.say("BUFFERING", fragment)

    def complete(self, fragment: Fragment) -> None:
        """Keep a fragment, and say so."""
        self.say("RECEIVED", fragment)
        if self.archive_hangs:
            fragment.state = "received"
            fragment.blocks.clear()
            return
        fragment.state = "persisted"
        self.say("PERSISTED", fragment)

    def say(self, event: str, fragment: Fragment, **more: object) -> None:
        """Have an answer on its way, in two parts."""
        ack = {"EventType": event, "FragmentTimecode": fragment.timecode, **more}
        last = self.answers[-1][0] if self.answers else self.now
        data = json.dumps(ack).encode()
        cut = self.random.randrange(len(data))
        self.answers.append((max(last, self.now + self.ack_seconds), data[:cut]))
        self.answers.append((max(last, self.now + self.ack_seconds), data[cut:]))
