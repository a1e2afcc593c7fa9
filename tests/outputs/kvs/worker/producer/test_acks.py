from __future__ import annotations

import json

import pytest

from backpack._outputs.kvs.worker.producer.acks import (
    ERRORS,
    Ack,
    AckError,
    AckReader,
    Action,
    Event,
    meaning,
)

BUFFERING = (
    b'{"EventType":"BUFFERING","FragmentTimecode":1600994737365,'
    b'"FragmentNumber":"91343852333181432392682062607743920146264312345"}'
)
PERSISTED = b'{"EventType":"PERSISTED","FragmentTimecode":1600994737365,"FragmentNumber":"9"}'
ERROR = (
    b'{"EventType":"ERROR","FragmentTimecode":7,"FragmentNumber":"8",'
    b'"ErrorCode":"MAX_FRAGMENT_DURATION_REACHED","ErrorId":4002}'
)

# The table in Amazon's documentation: what has to be done for each number.
TABLE = {
    4000: Action.RESEND,
    4001: Action.SKIP_AND_SHORTEN,
    4002: Action.SKIP_AND_SHORTEN,
    4003: Action.RESEND,
    4004: Action.SKIP_AND_REANCHOR,
    4005: Action.FAIL,
    4006: Action.SKIP_OR_FAIL,
    4007: Action.RESEND_SLOWLY,
    4008: Action.DESCRIBE,
    4009: Action.RESEND_WITHOUT_TAGS,
    4010: Action.FAIL,
    4011: Action.SKIP,
    4012: Action.FAIL,
    4500: Action.RESEND_SLOWLY,
    4501: Action.RESEND_SLOWLY,
    4502: Action.RESEND_SLOWLY,
    4503: Action.RESEND_SLOWLY,
    4504: Action.RESEND_SLOWLY,
    4505: Action.RESEND_SLOWLY,
    4506: Action.RESEND_SLOWLY,
    4507: Action.DESCRIBE,
    5000: Action.RESEND,
    5001: Action.RESEND,
    4999: Action.RESEND,
}


def test_an_answer_is_read() -> None:
    """Event, timecode and the number, which is larger than 64 bits."""
    assert AckReader().feed(BUFFERING) == [
        Ack(
            Event.BUFFERING,
            timecode_ms=1600994737365,
            fragment="91343852333181432392682062607743920146264312345",
        )
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 100, 10_000])
def test_answers_may_be_cut_anywhere(size: int) -> None:
    """Several in a read, or parts of one, give the same."""
    data = b"\r\n".join([BUFFERING, PERSISTED, b"", ERROR, BUFFERING]) + b"\n"
    reader = AckReader()

    acks = [ack for at in range(0, len(data), size) for ack in reader.feed(data[at : at + size])]

    assert [ack.event.name for ack in acks] == ["BUFFERING", "PERSISTED", "ERROR", "BUFFERING"]
    assert (acks[2].error_id, acks[2].error_code) == (4002, "MAX_FRAGMENT_DURATION_REACHED")


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_braces_and_quotes_inside_of_text_end_nothing(size: int) -> None:
    """Text may hold anything, escaped quotes and backslashes at the end too."""
    code = 'a}{"\\" ]\\'
    data = json.dumps({"EventType": "ERROR", "ErrorCode": code, "More": {"a": [{}]}}).encode() * 2
    reader = AckReader()

    acks = [ack for at in range(0, len(data), size) for ack in reader.feed(data[at : at + size])]

    assert [ack.error_code for ack in acks] == [code, code]


def test_an_answer_may_come_in_other_forms() -> None:
    """AckEventType as on the API's page, numbers as text and text as numbers, missing fields."""
    reader = AckReader()

    assert reader.feed(
        b'{"AckEventType":"received","FragmentTimecode":"12","FragmentNumber":34}'
        b'{"EventType":"IDLE"}{"EventType":"ERROR","ErrorId":"5000"}{"EventType":"NEW"}'
    ) == [
        Ack(Event.RECEIVED, timecode_ms=12, fragment="34"),
        Ack(Event.IDLE),
        Ack(Event.ERROR, error_id=5000),
        Ack(Event.UNKNOWN),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b'{"EventType":"IDLE"} x',
        b"{}",
        b"{nonsense}",
        b'{"EventType":7}',
        b'{"EventType":"PERSISTED","FragmentTimecode":true}',
        b'{"EventType":"PERSISTED","FragmentTimecode":1.5}',
        b'{"EventType":"PERSISTED","FragmentTimecode":"soon"}',
        b'{"a":"' + b"x" * 20_000,
        b'{"\xff":1}',
        b"{" + b'"a":{' * 5_000,
    ],
    ids=lambda data: data[:30],
)
def test_what_is_no_answer_is_an_error(data: bytes) -> None:
    """Nobody guesses what rubbish means, and none of it is kept without a bound."""
    with pytest.raises(AckError):
        AckReader().feed(data)


@pytest.mark.parametrize(("error_id", "action"), TABLE.items())
def test_each_error_has_its_action(error_id: int, action: Action) -> None:
    """What the table of the documentation says is done."""
    assert meaning(Ack(Event.ERROR, error_id=error_id)).action is action


def test_the_table_is_whole() -> None:
    """No number is known that has no row above."""
    assert set(ERRORS) == set(TABLE) - {4999}


def test_errors_are_known_by_name_too() -> None:
    """One has no number in the documentation; others may come without."""
    short = Ack(Event.ERROR, error_code="MIN_FRAGMENT_DURATION_REACHED")
    kms = Ack(Event.ERROR, error_code="KMS_KEY_NOT_FOUND")

    assert meaning(short).action is Action.SKIP
    assert meaning(kms).action is Action.RESEND_SLOWLY


@pytest.mark.parametrize(
    ("event", "action"),
    [
        (Event.BUFFERING, Action.NOTE_ALIVE),
        (Event.RECEIVED, Action.MARK_RECEIVED),
        (Event.PERSISTED, Action.FREE),
        (Event.IDLE, Action.CLOSE_IF_PAUSED),
        (Event.UNKNOWN, Action.NOTE_ALIVE),
    ],
)
def test_each_event_has_its_action(event: Event, action: Action) -> None:
    """What is no error needs no words."""
    assert meaning(Ack(event)).action is action
    assert not meaning(Ack(event)).sentence


def test_who_has_to_do_something_is_told_what() -> None:
    """Every error that ends the stream, and every one that somebody has to mend, has a sentence."""
    for code, found in ERRORS.values():
        if found.action in (Action.FAIL, Action.DESCRIBE, Action.RESEND_SLOWLY):
            assert found.sentence.endswith("."), code
