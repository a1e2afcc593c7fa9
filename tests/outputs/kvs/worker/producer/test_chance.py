from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.shared.api import Operation
from backpack._outputs.kvs.worker.producer.commands import Call, ProducerState, Send
from tests.outputs.kvs.worker.producer.service import BEGIN_MS, Service, stamped

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.producer.commands import Command
    from tests.kvs_server.streams import Fragment

RETRYABLE = (4000, 4003, 5000, 5001, 4999)
REFUSALS = ((500, ""), (503, ""), (400, "ClientLimitExceeded"), (403, "AccessDenied"),
            (400, "InvalidEndpoint"), (404, "ResourceNotFound"))  # fmt: skip


class Weather(Service):
    """Let everything go wrong by chance."""

    def __init__(self, seed: int, *, badness: float) -> None:
        super().__init__(seed=seed)
        self.badness = badness

    def bad(self, times: float = 1.0) -> bool:
        """Decide whether something goes wrong."""
        return self.random.random() < self.badness * times

    def weather(self) -> None:
        """Lose the connection, or have answers late."""
        if self.rules is not None and self.bad(0.2):
            self.broke()
        self.ack_seconds = self.random.choice([0.0, 0.1, 0.5])

    def deliver(self, command: Command) -> None:
        """Lose the connection in the middle of a fragment."""
        super().deliver(command)
        if isinstance(command, Send) and self.rules is not None and self.bad(0.3):
            self.broke()

    def call(self, command: Call) -> None:
        """Have no network."""
        if self.bad(3):
            self.broke("no network")
        else:
            super().call(command)

    def open(self) -> None:
        """Refuse a connection, or have credentials that run out soon."""
        if self.bad(3):
            self.refuse(*self.random.choice(REFUSALS))
            return
        self.expire_at = self.random.choice([None, None, lambda now: now + 30.0])
        super().open()

    def begun(self, fragment: Fragment) -> None:
        """Say that a fragment cannot be taken."""
        super().begun(fragment)
        if self.bad(2):
            self.say("ERROR", fragment, ErrorId=self.random.choice(RETRYABLE))

    def complete(self, fragment: Fragment) -> None:
        """Lose the answer that says that a fragment is kept."""
        fragment.state = "persisted"
        self.say("RECEIVED", fragment)
        if not self.bad(2):
            self.say("PERSISTED", fragment)


@pytest.mark.parametrize("badness", [0.0, 0.01, 0.05])
@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_every_frame_is_played_once_and_at_its_time(
    seed: int, badness: float
) -> None:
    """Breaks, refusals, errors and lost answers by chance; the service looks at every element."""
    weather = Weather(seed, badness=badness)
    count = 600
    weather.frames(count)
    weather.badness /= 10
    weather.stop()

    assert weather.producer.state is ProducerState.STOPPED
    assert weather.played() == list(range(1, count + 1))
    assert weather.times() == {number: (number - 1) * 100 for number in range(1, count + 1)}
    assert len(weather.producer.queue) == 0
    assert weather.complaints() == set()
    assert bool(weather.status.reconnects) == bool(badness)
    counters = weather.status.queue
    assert (counters.frames_persisted, counters.frames_dropped, counters.frames_skipped) == (
        count, 0, 0,
    )  # fmt: skip


ACK_ERRORS = (4002, 4004, 4006, 5000)
HTTP_ERRORS = ((400, "ClientLimitExceeded"), (401, "NotAuthorized"), (403, "AccessDenied"),
               (404, "ResourceNotFound"), (500, ""), (503, ""))  # fmt: skip


class Faulty(Service):
    """Answer a tenth of all fragments and a third of all requests with an error."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed=seed, fragment_seconds=2.0)
        # What was answered; which fragments were refused for good.
        self.errors: set[int] = set()
        self.refused: set[int] = set()
        self.calm = False

    def begun(self, fragment: Fragment) -> None:
        """Refuse a fragment. The first one passes: see the test that follows."""
        super().begun(fragment)
        if self.random.random() < 0.1 and not self.calm and self.status.last_fragment_age_seconds:
            error_id = self.random.choice(ACK_ERRORS)
            self.errors.add(error_id)
            if error_id != 5000:
                self.refused.add(fragment.timecode)
            self.say("ERROR", fragment, ErrorId=error_id)

    def call(self, command: Call) -> None:
        """Refuse a call. That there is no such stream is said of video only."""
        describes = command.request.operation is Operation.DESCRIBE_STREAM
        if not self.disturbed(HTTP_ERRORS if not describes else HTTP_ERRORS[:3] + HTTP_ERRORS[4:]):
            super().call(command)

    def open(self) -> None:
        """Refuse a connection."""
        if not self.disturbed(HTTP_ERRORS):
            super().open()

    def disturbed(self, errors: tuple[tuple[int, str], ...]) -> bool:
        """Refuse a request by chance."""
        if self.calm or self.random.random() >= 1 / 3:
            return False
        status, error = self.random.choice(errors)
        self.errors.add(status)
        self.refuse(status, error)
        return True


@pytest.mark.parametrize("seed", range(2))
def test_ten_minutes_of_errors_cost_what_kvs_refuses_and_no_more(seed: int) -> None:
    """Each kind comes; what KVS gives up is counted, all else is played once, at its time."""
    faulty = Faulty(seed)
    count = 6000
    faulty.frames(count)
    faulty.calm = True
    faulty.stop()

    assert faulty.producer.state is ProducerState.STOPPED
    assert faulty.errors == {*ACK_ERRORS, 400, 401, 403, 404, 500, 503}
    played, counters = faulty.times(), faulty.status.queue
    assert played == {number: (number - 1) * 100 for number in sorted(played)}
    assert sum(len(one.blocks) for one in faulty.stream.timeline()) == len(played)
    assert counters.frames_persisted + counters.frames_skipped + faulty.status.frames_lost == count
    assert 0 < counters.fragments_skipped <= len(faulty.refused)
    # What was refused while it was still growing takes its rest with it.
    missing = set(range(1, count + 1)) - set(played)
    assert len(missing) <= counters.frames_skipped + faulty.status.frames_lost
    begun = [timecode - BEGIN_MS for timecode in faulty.refused]
    assert all(any(0 <= (one - 1) * 100 - at <= 4000 for at in begun) for one in missing)
    assert faulty.complaints() == set()


def test_what_no_trying_mends_ends_with_what_to_do() -> None:
    """A name that cannot be; what was put is still there."""

    class Refusing(Service):
        def call(self, _: Call) -> None:
            self.refuse(400, "InvalidArgument")

    refusing = Refusing()
    refusing.frames(30)

    assert refusing.producer.state is ProducerState.FAILED
    assert "look at" in refusing.status.trouble
    assert refusing.producer.wake_at is None
    assert not refusing.producer.frame(stamped(31), refusing.now)


def test_what_kvs_never_understands_ends_with_what_to_do() -> None:
    """4006 for all that is sent: somebody is asked to report it."""

    class Refusing(Service):
        def begun(self, fragment: Fragment) -> None:
            self.say("ERROR", fragment, ErrorId=4006)

    refusing = Refusing()
    refusing.frames(100)

    assert refusing.producer.state is ProducerState.FAILED
    assert "report" in refusing.status.trouble
