from __future__ import annotations

import pytest

from backpack._outputs.kvs.shared.api import Operation
from backpack._outputs.kvs.worker.producer.commands import ProducerState
from tests.outputs.kvs.worker.producer.test_producer import Driven, asked

KMS_AND_CLOCK = [4007, 4500, 4501, 4502, 4503, 4504, 4505, 4506]


@pytest.mark.parametrize("chance", [0.0, 0.999])
def test_a_missing_stream_is_looked_for_every_half_minute_or_so(chance: float) -> None:
    """It may be made later, or anew; nobody has to start the application once more."""
    it = Driven(chance=chance)
    it.frames(1)
    for _ in range(3):
        it.refuse(404, "ResourceNotFound")
        assert it.producer.status(it.now).mending
        assert "create_stream=True" in it.trouble
        assert it.pass_time(29.9) == []
        assert asked(it.pass_time(30.1)) is Operation.DESCRIBE_STREAM
    it.describe()
    it.answer({"DataEndpoint": "http://127.0.0.1:10"})
    it.answer()
    it.frames(14)
    it.ack("PERSISTED", 1)

    assert it.trouble == ""
    assert not it.producer.status(it.now).mending
    assert it.waiting == [11]


@pytest.mark.parametrize("error_id", KMS_AND_CLOCK)
def test_what_somebody_has_to_mend_is_tried_again_slowly(error_id: int) -> None:
    """A key of KMS, or this machine's clock; what waits is kept, and who can mend it is told."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.frames(4)
    it.error(error_id)
    status = it.producer.status(it.now)
    assert (status.mending, it.waiting) == (True, [1])
    assert ("KMS" in it.trouble) is (error_id != 4007)
    assert it.trouble.endswith("It is tried again every half minute or so.")
    assert it.pass_time(29.9) == []
    assert asked(it.pass_time(30.1)) is Operation.PUT_MEDIA


def test_a_stream_that_is_deleted_while_it_runs_is_looked_for() -> None:
    """The connection is ended with 4507, and then there is none to describe."""
    it = Driven()
    it.frames(1)
    it.connect()
    it.error(4507)
    it.wait()
    it.refuse(404, "ResourceNotFound")

    assert it.producer.status(it.now).mending
    assert it.state is ProducerState.IDLE


def test_another_trouble_is_no_longer_somebody_elses_to_mend() -> None:
    """The state says of the present one what it is."""
    it = Driven()
    it.frames(1)
    it.refuse(404, "ResourceNotFound")
    it.pass_time(60)
    it.producer.broke("connection refused", it.now)

    assert not it.producer.status(it.now).mending


def test_who_stops_waits_for_nobody_to_mend_anything() -> None:
    """It is tried once more at once, and then it is over, with what keeps it from sending."""
    it = Driven()
    it.frames(1)
    it.refuse(404, "ResourceNotFound")
    it.producer.stop(it.now, 5.0, 30.0)
    assert asked(it.poll()) is Operation.DESCRIBE_STREAM
    it.refuse(404, "ResourceNotFound")

    assert it.state is ProducerState.FAILED
    assert "create_stream=True" in it.trouble
    assert it.waiting == [1]


def refused_for(it: Driven, seconds: float, status: int, error: str = "") -> None:
    """Refuse every try for so long."""
    end = it.now + seconds
    while it.now < end:
        it.refuse(status, error)
        it.wait()


def opening() -> Driven:
    """Drive a producer that has asked to send video."""
    it = Driven()
    it.frames(1)
    it.describe()
    it.answer({"DataEndpoint": "http://127.0.0.1:10"})
    return it


def test_another_producer_on_the_same_stream_is_named_when_it_is_none_of_ours() -> None:
    """A broken connection of our own counts for some seconds: until then nothing is said."""
    it = opening()
    refused_for(it, 8.0, 400, "ConnectionLimitExceeded")
    assert it.trouble == ""
    refused_for(it, 8.0, 400, "ConnectionLimitExceeded")
    assert "Another producer" in it.trouble


def test_an_outage_before_does_not_count_for_another_producer() -> None:
    """It is told by how long it has been this, and not anything."""
    it = opening()
    for _ in range(20):
        it.producer.broke("connection refused", it.now)
        it.wait()
        if it.state is ProducerState.CALLING:
            it.answer({"DataEndpoint": "http://127.0.0.1:10"})
    assert "Look at the network" in it.trouble
    it.refuse(400, "ConnectionLimitExceeded")

    assert "Another producer" not in it.trouble


@pytest.mark.parametrize(("status", "words"), [(429, "no more calls"), (500, "trouble of its own")])
def test_what_aws_answers_is_not_blamed_on_the_network(status: int, words: str) -> None:
    """Twice is no news, the third time in a row is."""
    it = opening()
    for _ in range(2):
        it.refuse(status)
        it.wait()
    assert it.trouble == ""
    it.refuse(status)

    assert words in it.trouble
    assert "network" not in it.trouble


def test_errors_in_the_middle_are_not_blamed_on_the_network() -> None:
    """KVS has said so itself: 5000 is its own trouble."""
    it = Driven()
    it.frames(1)
    it.connect()
    for _ in range(4):
        it.error(5000)
        it.reconnect()

    assert "5000" in it.trouble
    assert "KVS has trouble of its own" in it.trouble
    assert "network" not in it.trouble
