from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest

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
from backpack.errors import SettingsError
from tests.kvs_server.ebml import ClusterBegun, EndOfFragment, MkvReader, Tracks
from tests.outputs.kvs.worker.producer.video import START_WALL_NS, unit

if TYPE_CHECKING:
    from backpack._outputs.kvs.worker.producer.commands import Command

ENDPOINT = "http://127.0.0.1:9"
DATA = "http://127.0.0.1:10"
BEGIN_MS = START_WALL_NS // 1_000_000
HOUR_NS = 3_600_000_000_000


class Driven:
    """Drive a producer with a clock that stands still until it is told."""

    def __init__(self, *, chance: float = 0.5, **settings: Any) -> None:
        options: dict[str, Any] = {"endpoint": ENDPOINT, "fragment_seconds": 1.0} | settings
        self.producer = Producer(
            ProducerSettings("us-east-1", "test", **options),
            segment_uid=bytes(16),
            random=lambda: chance,
        )
        self.now = 100.0
        self.number = 0
        self.log: list[Command] = []

    def poll(self) -> list[Command]:
        """Have done what is to be done now."""
        done = []
        while (command := self.producer.poll(self.now)) is not None:
            done.append(command)
        self.log += done
        return done

    def wait(self) -> list[Command]:
        """Let time pass until the producer wants to be asked."""
        at = self.producer.wake_at
        assert at is not None
        self.now = max(self.now, at)
        return self.poll()

    def pass_time(self, seconds: float) -> list[Command]:
        """Let time pass, and poll as often as it is asked for."""
        until, done = self.now + seconds, self.poll()
        while (at := self.producer.wake_at) is not None and at <= until:
            self.now = max(self.now, at)
            done += self.poll()
        self.now = until
        return done + self.poll()

    def frames(self, count: int, **options: Any) -> list[Command]:
        """Put frames, a tenth of a second each."""
        done = []
        for _ in range(count):
            self.number += 1
            self.producer.frame(unit(self.number, **options), self.now)
            done += self.poll()
            self.now += 0.1
        return done

    def answer(self, content: dict[str, Any] | None = None, **options: Any) -> list[Command]:
        """Grant what was asked."""
        self.producer.answered(200, self.now, body=json.dumps(content or {}).encode(), **options)
        return self.poll()

    def refuse(self, status: int, error: str = "", message: str = "") -> list[Command]:
        """Refuse what was asked."""
        body = json.dumps({"message": message}).encode()
        self.producer.answered(status, self.now, error_type=f"{error}Exception", body=body)
        return self.poll()

    def describe(self, status: str = "ACTIVE", hours: int = 24) -> list[Command]:
        """Answer DescribeStream."""
        return self.answer({"StreamInfo": {"Status": status, "DataRetentionInHours": hours}})

    def connect(self, **options: Any) -> list[Command]:
        """Go all the way from the start to a connection."""
        self.poll()
        self.describe(hours=options.pop("hours", 24))
        self.answer({"DataEndpoint": DATA})
        assert self.state is ProducerState.OPENING
        return self.answer(**options)

    def reconnect(self) -> list[Command]:
        """Wait for the next try, and grant it."""
        commands = self.wait()
        while not isinstance(commands[-1], Open):
            commands = self.wait()
        return self.answer()

    def ack(self, event: str, number: int | None = None, **more: Any) -> list[Command]:
        """Acknowledge the fragment that begins with this frame."""
        content: dict[str, Any] = {"EventType": event, **more}
        if number is not None:
            content["FragmentTimecode"] = BEGIN_MS + (number - 1) * 100
            content["FragmentNumber"] = f"f{number}"
        self.producer.received(json.dumps(content).encode(), self.now)
        return self.poll()

    def error(self, error_id: int, number: int | None = None) -> list[Command]:
        """Send an error."""
        return self.ack("ERROR", number, ErrorId=error_id, ErrorCode="X")

    @property
    def state(self) -> ProducerState:
        """Tell where the producer is."""
        return self.producer.state

    @property
    def trouble(self) -> str:
        """Tell what it says of itself."""
        return self.producer.status(self.now).trouble

    @property
    def waiting(self) -> list[int]:
        """Name what is not persisted, by the number of the first frame."""
        return [(fragment.timecode_ms - BEGIN_MS) // 100 + 1 for fragment in self.producer.queue]


def body(commands: list[Command]) -> bytes:
    """Put together what was sent."""
    return b"".join(command.data for command in commands if isinstance(command, Send))


def clusters(commands: list[Command]) -> list[int]:
    """Name the clusters that a whole connection has sent, by their first frame's number."""
    return [
        (event.timecode - BEGIN_MS) // 100 + 1
        for event in MkvReader().feed(body(commands))
        if isinstance(event, ClusterBegun)
    ]


def asked(commands: list[Command]) -> Operation:
    """Tell what the only call among them is."""
    (call,) = [one for one in commands if isinstance(one, (Call, Open))]
    return call.request.operation


def test_it_asks_its_way_to_the_endpoint_before_any_frame() -> None:
    """Describe, endpoint; the connection waits for the first frame."""
    it = Driven()

    assert asked(it.poll()) is Operation.DESCRIBE_STREAM
    assert asked(it.describe()) is Operation.GET_DATA_ENDPOINT
    assert it.answer({"DataEndpoint": DATA}) == []
    assert it.producer.wake_at is None
    opened = it.frames(1)
    assert asked(opened) is Operation.PUT_MEDIA
    (command,) = opened
    assert isinstance(command, Open)
    assert command.request.endpoint == DATA


def test_frames_leave_as_they_come() -> None:
    """The header once, a cluster each second, a chunk for each frame."""
    it = Driven()
    it.frames(1)
    sent = it.connect()
    sent += it.frames(24)

    assert len(sent) == 25
    events = MkvReader().feed(body(sent))
    assert sum(isinstance(event, Tracks) for event in events) == 1
    assert clusters(sent) == [1, 11, 21]


def test_persisted_frees_and_is_told() -> None:
    """Fragments wait until then; BUFFERING and RECEIVED free nothing."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(24)
    it.ack("BUFFERING", 1)
    it.ack("RECEIVED", 11)
    assert it.waiting == [1, 11, 21]
    it.ack("PERSISTED", 11)

    assert it.waiting == [21]
    status = it.producer.status(it.now + 3)
    assert (status.last_fragment, status.last_fragment_age_seconds) == ("f11", 3)
    assert status.queue.frames_persisted == 20


def test_what_was_not_sent_whole_cannot_be_persisted() -> None:
    """Nor can what nobody sent: a mistaken answer loses nothing."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(14)
    it.ack("PERSISTED", 11)
    it.ack("PERSISTED", 500)
    it.ack("PERSISTED")

    assert it.waiting == [1, 11]


def test_without_retention_received_frees() -> None:
    """Such a stream persists nothing."""
    it = Driven()
    it.frames(1)
    it.connect(hours=0)
    it.frames(14)
    it.ack("RECEIVED", 1)

    assert it.waiting == [11]


def test_a_stream_that_persists_nothing_any_more_is_described_anew() -> None:
    """Half a minute of RECEIVED alone is said; the next connection knows if the retention is 0."""
    it = Driven(buffer_seconds=300)
    it.frames(1)
    it.connect()
    for number in range(1, 300, 10):
        it.frames(10)
        it.ack("RECEIVED", number)
        assert it.trouble == ""
    for number in range(301, 330, 10):
        it.frames(10)
        it.ack("RECEIVED", number)
    assert "retention" in it.trouble
    assert it.waiting[0] == 1
    it.producer.broke("reset", it.now)
    it.poll()
    assert asked(it.wait()) is Operation.DESCRIBE_STREAM
    assert asked(it.describe(hours=0)) is Operation.PUT_MEDIA
    it.answer()
    it.pass_time(10)
    it.ack("RECEIVED", 321)

    assert it.waiting == [331]
    assert it.trouble == ""


def test_after_a_break_everything_not_persisted_comes_again() -> None:
    """From its first frame, under a new header, with its own times."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(34)
    it.ack("PERSISTED", 1)
    it.ack("RECEIVED", 11)
    it.producer.broke("reset", it.now)
    assert it.poll() == [Close()]
    sent = it.reconnect() + it.pass_time(2)

    assert clusters(sent) == [11, 21, 31]
    status = it.producer.status(it.now)
    assert (status.fragments_resent, status.reconnects) == (3, {"reset": 1})
    it.frames(5)
    it.ack("PERSISTED", 21)
    assert it.waiting == [31]


def test_no_more_than_five_fragments_a_second() -> None:
    """KVS's limit holds after an outage too, across connections."""
    it = Driven()
    it.frames(100)
    it.connect()
    times = []
    for _ in range(20):
        times += [it.now] * len([one for one in it.log if isinstance(one, Send)])
        begun = clusters(it.log)
        if len(begun) == 10:
            break
        it.wait()
    spent = it.now - times[0]

    assert len(begun) == 10
    assert spent >= 9 * 0.2


def test_waits_grow_and_are_jittered() -> None:
    """Twice the limit from try to try, up to ten seconds; half of it here."""
    it = Driven(chance=0.5)
    waits = []
    it.poll()
    for _ in range(10):
        it.producer.broke("no network", it.now)
        before = it.now
        assert it.poll() == [Close()]
        it.wait()
        waits.append(round(it.now - before, 3))

    assert waits == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]
    assert "Look at the network" in it.trouble


def test_waits_begin_anew_when_something_has_arrived() -> None:
    """A connection that is reset every few seconds is made again at once."""
    it = Driven(chance=1.0)
    it.frames(1)
    it.connect()
    for _ in range(5):
        begun = it.waiting[0]
        it.frames(20)
        it.ack("PERSISTED", begun)
        it.producer.broke("reset", it.now)
        it.poll()
        before = it.now
        it.reconnect()
        assert it.now - before < 0.15


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    """Ten seconds; then the endpoint is asked for anew."""
    it = Driven()
    it.frames(1)
    it.poll()
    it.describe()
    it.answer({"DataEndpoint": DATA})
    assert it.state is ProducerState.OPENING
    it.producer.signed(it.now)
    before = it.now
    assert it.wait() == [Close()]
    assert it.now - before == pytest.approx(10, abs=0.2)
    assert asked(it.wait()) is Operation.GET_DATA_ENDPOINT


def test_a_signature_is_waited_for_longer_than_an_answer() -> None:
    """Credentials may take half a minute, and it is not the network's fault if they never come."""
    it = Driven()
    it.poll()
    it.pass_time(30)
    assert it.state is ProducerState.CALLING
    it.producer.signed(it.now)
    it.pass_time(9)
    it.describe()
    it.frames(1)
    assert it.trouble == ""
    for _ in range(5):
        it.pass_time(41)
        assert "does not sign" in it.trouble
    assert it.producer.status(it.now).reconnects == {}


def test_a_server_that_says_nothing_is_left() -> None:
    """Twenty seconds after an answer was due."""
    it = Driven()
    it.frames(1)
    it.connect()
    before = it.now
    it.frames(190)
    assert it.state is ProducerState.STREAMING
    commands = it.frames(15)

    assert Close() in commands
    assert it.now - before < 22
    assert it.producer.status(it.now).reconnects == {"no acknowledgements": 1}


def test_a_slow_line_is_no_dead_one() -> None:
    """As long as the far side's kernel takes bytes, answers may be late."""
    it = Driven()
    it.frames(1)
    it.connect()
    for _ in range(5):
        it.frames(90)
        it.producer.progressed(it.now)

    assert it.state is ProducerState.STREAMING


def test_a_silent_source_is_closed_and_opened_without_an_error() -> None:
    """After twenty seconds the fragment's end is said; the next key frame opens again."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(4)
    it.ack("BUFFERING", 1)
    before = it.now
    ended = it.wait()
    assert it.now - before == pytest.approx(20, abs=0.2)
    assert isinstance(MkvReader().feed(body(it.log))[-1], EndOfFragment)
    assert ended[-1] == EndBody()
    assert it.ack("PERSISTED", 1) == [Close()]
    assert it.pass_time(3600) == []
    assert it.producer.wants_key
    it.number = 10
    assert asked(it.frames(1)) is Operation.PUT_MEDIA

    status = it.producer.status(it.now)
    assert (status.reconnects, status.trouble, status.frames_lost) == ({}, "", 0)


def test_idle_closes_the_fragment_of_a_source_that_pauses() -> None:
    """KVS's own word comes earlier than twenty seconds; a running source is left alone."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(4)
    assert it.ack("IDLE") == []
    it.now += 6

    assert it.ack("IDLE")[-1] == EndBody()


@pytest.mark.parametrize("expires", [None, 60.0])
def test_a_connection_is_replaced_between_two_fragments(expires: float | None) -> None:
    """Before 40 minutes, and before its credentials run out; nothing is lost or doubled."""
    it = Driven()
    it.frames(1)
    sent = it.connect(expires_in_seconds=expires)
    begun = it.now
    it.now += (50 if expires else 2340) - 100 * 0.1
    it.producer.progressed(it.now)
    first, frame = sent, 1
    while EndBody() not in first:
        first = first + it.frames(10)
        it.ack("PERSISTED", frame)
        frame += 10
    assert it.now - begun < (55 if expires else 2400)
    assert isinstance(MkvReader().feed(body(first))[-1], EndOfFragment)
    for number in it.waiting:
        commands = it.ack("PERSISTED", number)
        if Close() in commands:
            break
    second = it.answer() + it.frames(10)

    assert clusters(first)[-1] + 10 == clusters(second)[0]
    assert it.producer.status(it.now).reconnects == {}


def test_another_clock_is_another_connection() -> None:
    """What was sent keeps its time; what was not is moved, and follows on a new connection."""
    it = Driven()
    it.frames(1)
    first = it.connect() + it.frames(14)
    it.number = 20
    first += it.frames(5, wall_ns=START_WALL_NS - HOUR_NS, epoch=1)
    assert first[-1] == EndBody()
    it.ack("PERSISTED", 11)
    second = it.answer()

    assert clusters(first) == [1, 11]
    assert clusters(second) == [21 - 36_000]


def test_another_track_is_another_connection() -> None:
    """A connection has one header; another encoder's parameter sets need their own."""
    it = Driven()
    it.frames(1)
    first = it.connect() + it.frames(9)
    data = unit(11).data.replace(b"\0\0\0\1\x68", b"\0\0\0\1\x68\xfe", 1)
    it.producer.frame(dataclasses.replace(unit(11), data=data), it.now)
    first += it.pass_time(1)
    assert (clusters(first), first[-1]) == ([1], EndBody())
    it.ack("PERSISTED", 1)
    second = it.answer()

    assert clusters(second) == [11]
    assert (
        b"\x68\xfe"
        in next(e for e in MkvReader().feed(body(second)) if isinstance(e, Tracks)).header
    )


def test_what_was_to_be_sent_does_not_go_into_the_next_connection() -> None:
    """A connection that breaks takes with it what was decided for it."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.producer.stop(it.now, 5.0)
    assert isinstance(it.producer.poll(it.now), Send)
    it.producer.broke("reset", it.now)

    assert it.poll() == [Close()]


def test_a_fragment_that_was_being_sent_may_go_after_the_break() -> None:
    """In an outage it is the oldest like any other."""
    it = Driven(buffer_seconds=5)
    it.frames(1)
    it.connect()
    it.frames(4)
    it.producer.broke("reset", it.now)
    it.frames(95)

    assert it.waiting[0] > 40


def test_fragments_that_are_too_long_get_shorter() -> None:
    """Down to the second that KVS asks for."""
    it = Driven(fragment_seconds=2.0)
    it.frames(1)
    it.connect()
    it.frames(25)
    it.error(4002, 1)
    it.frames(25)

    assert it.waiting == [21, 31, 41, 51]


def test_the_times_of_a_connection_only_grow() -> None:
    """Fragments that were sent before the clock stepped back come again on one of their own."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(14)
    it.number = 20
    it.frames(5, wall_ns=START_WALL_NS - HOUR_NS, epoch=1)
    it.producer.broke("reset", it.now)
    it.poll()
    first = it.reconnect() + it.pass_time(1)
    assert (clusters(first), first[-1]) == ([1, 11], EndBody())
    it.ack("PERSISTED", 11)

    assert clusters(it.answer()) == [21 - 36_000]


@pytest.mark.parametrize("error_id", [4000, 4003, 5000, 5001, 4999])
def test_errors_of_the_service_lose_nothing(error_id: int) -> None:
    """The body is ended, the connection closed, everything sent again."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(24)
    it.ack("PERSISTED", 1)

    assert it.error(error_id, 11) == [EndBody(), Close()]
    assert clusters(it.reconnect() + it.pass_time(1)) == [11, 21]
    assert it.producer.status(it.now).queue.fragments_skipped == 0


@pytest.mark.parametrize("error_id", [4001, 4002, 4004, 4006, 4011])
def test_a_fragment_that_is_refused_is_given_up(error_id: int) -> None:
    """Alone, and counted."""
    it = Driven(metadata={"door": "open"})
    it.frames(1)
    it.connect()
    it.frames(34)
    it.error(error_id, 11)
    sent = it.reconnect() + it.pass_time(1)

    assert clusters(sent) == [1, 21, 31]
    counters = it.producer.status(it.now).queue
    assert (counters.fragments_skipped, counters.frames_skipped) == (1, 10)
    assert b"door" in body(sent)


def test_what_is_refused_for_its_metadata_is_sent_without() -> None:
    """Video counts more than what is said of it; refused once more, it is given up."""
    it = Driven(metadata={"door": "open"})
    it.frames(1)
    it.connect()
    it.frames(34)
    it.error(4009, 11)
    sent = it.reconnect() + it.pass_time(1)

    assert clusters(sent) == [1, 11, 21, 31]
    assert b"door" not in body(sent)
    assert "without it" in it.trouble
    assert it.producer.status(it.now).queue.fragments_skipped == 0
    it.error(4009, 11)
    assert it.waiting == [1, 21, 31]


def test_an_error_without_a_name_is_about_what_is_being_taken() -> None:
    """The oldest fragment that was not received."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(34)
    it.ack("RECEIVED", 1)
    it.error(4011)

    assert it.waiting == [1, 21, 31]


def test_the_rest_of_a_fragment_that_is_given_up_goes_with_it() -> None:
    """It was still being made: the next key frame begins anew, and is asked for."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(14)
    it.error(4006, 11)
    it.reconnect()
    assert it.producer.wants_key
    it.frames(8)

    assert it.waiting == [1, 21]
    assert it.producer.status(it.now).frames_lost == 5


@pytest.mark.parametrize("error_id", [4005, 4010, 4012])
def test_errors_that_would_come_again_end_it_with_a_sentence(error_id: int) -> None:
    """What waits is kept, and nothing is tried any more."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(4)

    assert it.error(error_id)[-1] == Close()
    assert it.state is ProducerState.FAILED
    assert it.trouble.endswith(".")
    assert it.producer.wake_at is None
    assert not it.producer.frame(unit(11), it.now)
    assert it.waiting == [1]


def test_what_is_never_understood_ends_it() -> None:
    """Three times in a row and nothing before: that is no chance."""
    it = Driven()
    it.frames(50)
    it.connect()
    for number in (1, 11):
        it.error(4006, number)
        assert it.state is ProducerState.IDLE
        it.reconnect()
    it.error(4006, 21)

    assert it.state is ProducerState.FAILED
    assert "report" in it.trouble


def test_what_was_understood_before_is_a_mishap() -> None:
    """Something has arrived: 4006 skips, however often."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(80)
    it.ack("PERSISTED", 1)
    for number in (11, 21, 31, 41):
        it.error(4006, number)
        it.reconnect()

    assert it.state is ProducerState.STREAMING


@pytest.mark.parametrize("error_id", [4008, 4507])
def test_a_stream_that_is_gone_is_described(error_id: int) -> None:
    """And the endpoint asked for anew."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.error(error_id)

    assert asked(it.wait()) is Operation.DESCRIBE_STREAM
    assert asked(it.describe()) is Operation.GET_DATA_ENDPOINT


def test_answers_that_cannot_be_read_end_the_connection() -> None:
    """Nobody can say what they meant: all of it is sent again."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.producer.received(b"<html>", it.now)

    assert it.poll() == [Close()]
    assert clusters(it.reconnect() + it.pass_time(1)) == [1]


def test_a_missing_stream_is_created_where_that_is_allowed() -> None:
    """And waited for until it is active."""
    it = Driven(create_stream=True, retention_hours=7)
    it.poll()
    it.refuse(404, "ResourceNotFound")
    assert it.trouble == ""
    (command,) = it.wait()
    assert isinstance(command, Call)
    assert command.request.operation is Operation.CREATE_STREAM
    assert json.loads(command.request.body)["DataRetentionInHours"] == 7
    assert asked(it.answer({"StreamARN": "arn"})) is Operation.DESCRIBE_STREAM
    it.describe("CREATING")
    assert "CREATING" in it.trouble
    assert asked(it.wait()) is Operation.DESCRIBE_STREAM
    assert asked(it.describe()) is Operation.GET_DATA_ENDPOINT


@pytest.mark.parametrize(
    ("status", "error", "then"),
    [
        (400, "ConnectionLimitExceeded", Operation.PUT_MEDIA),
        (400, "ClientLimitExceeded", Operation.PUT_MEDIA),
        (500, "", Operation.PUT_MEDIA),
        (403, "AccessDenied", Operation.PUT_MEDIA),
        (400, "InvalidEndpoint", Operation.GET_DATA_ENDPOINT),
        (404, "ResourceNotFound", Operation.DESCRIBE_STREAM),
    ],
)
def test_refused_connections_are_tried_again(status: int, error: str, then: Operation) -> None:
    """From where it makes sense, and nothing is lost meanwhile."""
    it = Driven()
    it.frames(1)
    it.poll()
    it.describe()
    it.answer({"DataEndpoint": DATA})
    it.refuse(status, error)
    commands = it.wait()

    assert asked(commands) is then
    (command,) = commands
    assert isinstance(command, (Open, Call))
    assert command.renew == (status == 403)
    assert it.waiting == [1]


def test_no_credentials_are_waited_for() -> None:
    """The application says why; they are asked for again."""
    it = Driven()
    it.poll()
    it.producer.unsigned("No credentials were found.", it.now)
    it.poll()

    assert it.trouble == "No credentials were found."
    (command,) = it.wait()
    assert isinstance(command, Call)
    assert command.renew


def test_an_endpoint_of_somebody_else_is_not_taken() -> None:
    """It would get the video, and a signature."""
    it = Driven()
    it.poll()
    it.describe()
    it.answer({"DataEndpoint": "https://evil.test"})

    assert "evil.test" in it.trouble
    assert asked(it.wait()) is Operation.GET_DATA_ENDPOINT


def test_an_endpoint_of_aws_is_taken_whatever_was_configured() -> None:
    """The control plane may be reached by another name than the hosts that take video."""
    aws = "https://s-1.kinesisvideo.us-east-1.amazonaws.com"
    it = Driven(endpoint="https://proxy.example")
    it.frames(1)
    it.describe()
    (command,) = it.answer({"DataEndpoint": aws})

    assert isinstance(command, Open)
    assert command.request.endpoint == aws


def test_a_stop_waits_for_the_last_fragment() -> None:
    """Its end is said, the body ended, and it is over when it is persisted."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(14)
    it.ack("PERSISTED", 1)
    it.producer.stop(it.now, 5.0)
    assert not it.producer.wants_key
    assert it.poll()[-1] == EndBody()
    assert not it.producer.frame(unit(31), it.now)
    assert it.producer.status(it.now).frames_lost == 1
    states = [it.state]
    it.ack("PERSISTED", 11)
    states.append(it.state)

    assert states == [ProducerState.DRAINING, ProducerState.STOPPED]
    assert it.waiting == []


def test_a_stop_without_frames_is_over_at_once() -> None:
    """Whatever was being asked."""
    it = Driven()
    it.poll()
    it.describe()
    it.answer({"DataEndpoint": DATA})
    it.producer.stop(it.now, 5.0)
    it.poll()

    assert it.state is ProducerState.STOPPED


def test_a_stop_ends_in_time_and_says_what_is_left() -> None:
    """The service is away: five seconds, no more; what waits is still there."""
    it = Driven()
    it.frames(14)
    it.producer.broke("no network", it.now)
    it.producer.stop(it.now, 5.0)
    before = it.now
    it.pass_time(30)

    assert it.state is ProducerState.STOPPED
    assert it.waiting == [1, 11]
    assert it.producer.status(before).buffered_frames == 14


def test_a_stop_tries_at_once_however_long_the_wait_has_grown() -> None:
    """The service is back, and the next try would come after the time that a stop has."""
    it = Driven(chance=1.0)
    it.frames(14)
    for _ in range(9):
        it.producer.broke("no network", it.now)
        it.pass_time(10)
        assert it.state is ProducerState.CALLING
    it.producer.broke("no network", it.now)
    assert it.pass_time(4) == [Close()]
    it.producer.stop(it.now, 5.0)

    assert asked(it.poll()) is Operation.DESCRIBE_STREAM
    it.producer.broke("no network", it.now)
    assert asked(it.pass_time(0.2)[1:]) is Operation.DESCRIBE_STREAM
    it.describe()
    it.answer({"DataEndpoint": DATA})
    it.answer()
    it.pass_time(1)
    it.ack("PERSISTED", 11)
    assert (it.state, it.waiting) == (ProducerState.STOPPED, [])


def test_a_flush_goes_on_while_it_gets_somewhere() -> None:
    """Five seconds without a step forward end it, thirty in any case."""
    it = Driven()
    it.frames(100)
    it.connect()
    it.producer.stop(it.now, 5.0, 30.0)
    before = it.now
    for number in range(1, 80, 10):
        it.pass_time(4)
        it.ack("PERSISTED", number)
        if it.state is ProducerState.STOPPED:
            break
    it.pass_time(10)

    assert it.state is ProducerState.STOPPED
    assert it.waiting == [71, 81, 91]
    assert it.now - before < 45


def test_a_full_buffer_loses_its_oldest_fragments() -> None:
    """The outage is longer than the buffer: what is left begins with a key frame."""
    it = Driven(buffer_seconds=5)
    it.frames(100)
    it.connect()

    assert it.waiting == [51, 61, 71, 81, 91]
    status = it.producer.status(it.now)
    assert status.queue.frames_dropped == it.waiting[0] - 1
    assert clusters(it.pass_time(3) and it.log) == it.waiting


def test_settings_that_aws_would_refuse_are_refused() -> None:
    """Before anything is asked."""
    for settings in ({"region": "x"}, {"stream_name": "a b"}, {"endpoint": "http://192.0.2.1"}):
        options: dict[str, Any] = {"region": "us-east-1", "stream_name": "test"} | settings
        with pytest.raises(SettingsError):
            Producer(ProducerSettings(**options), segment_uid=bytes(16), random=lambda: 0.5)
