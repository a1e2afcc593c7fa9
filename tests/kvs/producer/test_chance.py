from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from backpack.kvs.producer.commands import (
    Call,
    Close,
    EndBody,
    Open,
    ProducerSettings,
    ProducerState,
    Send,
)
from backpack.kvs.producer.producer import Producer
from tests.kvs.producer.video import START_WALL_NS, unit
from tests.kvs_server.rules import FragmentRules
from tests.kvs_server.streams import Session, Stream

if TYPE_CHECKING:
    from backpack.kvs.producer.commands import Command
    from tests.kvs_server.streams import Fragment

ENDPOINT = "http://127.0.0.1:9"
STEP = 0.05
BEGIN_MS = START_WALL_NS // 1_000_000
RETRYABLE = (4000, 4003, 5000, 5001, 4999)
REFUSALS = ((500, ""), (503, ""), (400, "ClientLimitExceeded"), (403, "AccessDenied"),
            (400, "InvalidEndpoint"), (404, "ResourceNotFound"))  # fmt: skip


class Weather:
    """Be the network and the service, in a time of its own, with faults by chance."""

    def __init__(self, seed: int, *, badness: float) -> None:
        self.random = random.Random(seed)
        self.badness = badness
        self.producer = Producer(
            ProducerSettings("us-east-1", "test", ENDPOINT, fragment_seconds=1.0),
            segment_uid=bytes(16),
            random=self.random.random,
        )
        self.now = 1000.0
        self.stream = Stream("test", 24, 0.0)
        self.rules: FragmentRules | None = None
        # What is under way to the producer: when it arrives, and what.
        self.answers: list[tuple[float, bytes]] = []

    def bad(self, times: float = 1.0) -> bool:
        """Decide whether something goes wrong."""
        return self.random.random() < self.badness * times

    def step(self) -> None:
        """Let a twentieth of a second pass."""
        self.now += STEP
        while self.answers and self.answers[0][0] <= self.now:
            self.producer.received(self.answers.pop(0)[1], self.now)
        if self.rules is not None and self.bad(0.2):
            self.broke()
        for _ in range(200):
            command = self.producer.poll(self.now)
            if command is None:
                return
            self.obey(command)

    def broke(self) -> None:
        """Lose the connection, and tell."""
        self.hang_up()
        self.producer.broke("weather", self.now)

    def hang_up(self) -> None:
        """Forget the connection and what was under way."""
        self.rules = None
        self.answers.clear()

    def obey(self, command: Command) -> None:
        """Do what the producer asks for."""
        if isinstance(command, Close):
            self.hang_up()
        elif isinstance(command, Call):
            self.call(command)
        elif isinstance(command, Open):
            self.open()
        elif self.rules is not None and isinstance(command, Send):
            self.rules.feed(command.data)
            if self.bad(0.3):
                self.broke()
        elif self.rules is not None and isinstance(command, EndBody):
            self.rules.end()

    def call(self, command: Call) -> None:
        """Answer a call of the control plane."""
        if self.bad(3):
            self.producer.broke("no network", self.now)
            return
        answer: dict[str, Any] = {"DataEndpoint": ENDPOINT}
        if command.request.operation.value == "/describeStream":
            answer = {"StreamInfo": {"Status": "ACTIVE", "DataRetentionInHours": 24}}
        self.producer.answered(200, self.now, body=json.dumps(answer).encode())

    def open(self) -> None:
        """Take a connection, or refuse it."""
        if self.bad(3):
            status, error = self.random.choice(REFUSALS)
            self.producer.answered(status, self.now, error_type=error)
            return
        self.rules = FragmentRules(
            self.stream,
            Session(len(self.stream.sessions), 0.0, (BEGIN_MS // 1000, 0)),
            absolute=True,
            next_number=lambda: str(len(self.stream.fragments)),
            on_begun=self.begun,
            on_block=lambda _: None,
            on_complete=self.complete,
        )
        expires = self.random.choice([None, None, 30.0])
        self.producer.answered(200, self.now, expires_in_seconds=expires)

    def begun(self, fragment: Fragment) -> None:
        """Say that a fragment is being taken, or that it cannot be."""
        self.say("BUFFERING", fragment)
        if self.bad(2):
            self.say("ERROR", fragment, ErrorId=self.random.choice(RETRYABLE))

    def complete(self, fragment: Fragment) -> None:
        """Keep a fragment; the answer that says so may be lost."""
        fragment.state = "persisted"
        self.say("RECEIVED", fragment)
        if not self.bad(2):
            self.say("PERSISTED", fragment)

    def say(self, event: str, fragment: Fragment, **more: object) -> None:
        """Have an answer on its way, in two parts."""
        ack = {"EventType": event, "FragmentTimecode": fragment.timecode, **more}
        last = self.answers[-1][0] if self.answers else self.now
        delay = self.random.choice([0.0, 0.1, 0.5])
        data = json.dumps(ack).encode()
        cut = self.random.randrange(len(data))
        self.answers.append((max(last, self.now + delay), data[:cut]))
        self.answers.append((max(last, self.now + delay), data[cut:]))


@pytest.mark.parametrize("badness", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_every_frame_is_played_once_and_at_its_time(
    seed: int, badness: float
) -> None:
    """Breaks, refusals, errors and lost answers by chance; the service looks at every element."""
    weather = Weather(seed, badness=badness)
    count = 600
    for number in range(1, count + 1):
        assert weather.producer.frame(unit(number), weather.now)
        weather.step()
        weather.step()
    weather.badness /= 10
    weather.producer.stop(weather.now, 600.0)
    for _ in range(12_000):
        if weather.producer.state is ProducerState.STOPPED:
            break
        weather.step()

    times = [
        fragment.timecode + block.relative - BEGIN_MS
        for fragment in weather.stream.timeline()
        for block in fragment.blocks
    ]
    assert times == [number * 100 for number in range(count)]
    assert weather.producer.state is ProducerState.STOPPED
    assert len(weather.producer.queue) == 0
    complaints = {text for text in weather.stream.complaints if "in a second" not in text}
    assert complaints == set()
    assert bool(weather.producer.status(weather.now).reconnects) == bool(badness)
    counters = weather.producer.status(weather.now).queue
    assert (counters.frames_persisted, counters.frames_dropped, counters.frames_skipped) == (
        count, 0, 0,
    )  # fmt: skip
