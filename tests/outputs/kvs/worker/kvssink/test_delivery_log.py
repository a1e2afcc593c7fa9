from __future__ import annotations

from typing import Any

from backpack._outputs.kvs.worker.kvssink.delivery_log import Deadline, DeliveryLog, Pending

MS = 1_000_000
SECOND_MS = 1000


def pending(*, keeps: bool = True, buffer_seconds: float = 100.0) -> Pending:
    """Give 25 frames, 100 ms apart, every fifth a key frame; fragments of a second at least."""
    made = Pending(1.0, buffer_seconds, keeps=keeps)
    for number in range(25):
        made.add((5000 + number * 100) * MS, key=number % 5 == 0)
    return made


def ack(kind: str, timecode_ms: int) -> dict[str, Any]:
    """Write an acknowledgement as the child does."""
    return {"kind": kind, "timecode_ms": timecode_ms, "fragment": f"n{timecode_ms}", "status": 0}


def test_fragments_are_cut_as_kvssink_cuts_them() -> None:
    """At the first key frame a fragment's duration after the last cut."""
    made = pending()
    assert made.frames == 25
    assert made.persisted(5000) == [10]
    assert made.oldest_ns == 6000 * MS
    assert made.persisted(7000) == [10, 5]
    assert made.frames == 0
    assert made.oldest_ns is None


def test_one_persisted_covers_all_before_it_and_none_after() -> None:
    """Acknowledgements may get lost, and may be for something that is gone."""
    made = pending()
    assert made.persisted(6000) == [10, 10]
    assert made.persisted(5000) == []
    assert made.frames == 5


def test_what_is_never_persisted_is_delivered_when_received() -> None:
    """A stream with no retention persists nothing."""
    assert pending(keeps=False).received(6000) == [10, 10]
    assert pending().received(6000) == []


def test_a_stream_that_persists_is_one_that_keeps() -> None:
    """Whatever the setting says of one that would be created: received is not enough then."""
    made = pending(keeps=False)
    assert made.persisted(5000) == [10]
    assert made.received(6000) == []
    assert made.persisted(6000) == [10]


def test_what_kvssink_has_no_room_for_is_lost() -> None:
    """The oldest fragments go, and are counted unless the service has said that it has them."""
    made = pending(buffer_seconds=3.0)
    assert made.add(8500 * MS, key=True) == 0
    assert made.add(9500 * MS, key=True) == 10
    made.received(6000)
    assert made.add(10_500 * MS, key=True) == 0


def test_frames_after_an_early_end_of_their_fragment() -> None:
    """A fragment is closed after a silence; what follows without a key frame counts still."""
    made = pending()
    made.persisted(7000)
    assert made.add(7600 * MS, key=False) == 0
    assert made.frames == 1
    assert made.persisted(7000) == [1]


def test_what_is_counted() -> None:
    """Sent, resent, persisted, skipped; the last one's number, age and latency."""
    log, made = DeliveryLog(), pending()
    for kind, timecode in (
        *(("buffering", 5000), ("received", 5000), ("buffering", 6000), ("error", 6000)),
        *(("buffering", 6000), ("idle", 0), ("buffering", 7000)),
    ):
        assert not log.hear(ack(kind, timecode), made, now=50.0, wall=8.0)
    assert log.hear(ack("persisted", 6000), made, now=50.0, wall=8.5)
    told = log.numbers(53.0)

    assert told["last_fragment"] == "n6000"
    assert told["last_fragment_age_seconds"] == 3.0
    assert told["latency_seconds"] == 2.5
    assert told["counters"] == {
        "frames_taken": 0,
        "frames_persisted": 20,
        "frames_lost": 0,
        "fragments_sent": 4,
        "fragments_resent": 1,
        "fragments_persisted": 2,
        "fragments_skipped": 1,
        "reconnects": {},
    }


def test_a_fragment_that_is_sent_again_is_not_skipped() -> None:
    """After an error of the service or the line kvssink repeats it; after others it goes on."""
    log, made = DeliveryLog(), pending()
    for status in (4000, 4003, 5000, 5001, 4002, 4006):
        log.hear({**ack("error", 5000), "status": status}, made, now=50.0, wall=8.0)

    assert log.numbers(53.0)["counters"]["fragments_skipped"] == 2


def test_an_end_takes_longer_while_it_gets_somewhere() -> None:
    """Each delivery counts anew, up to the longest."""
    ending = Deadline(100.0, 5.0, 30.0)
    assert ending.over_at(None) == 105.0
    assert ending.over_at(90.0) == 105.0
    assert ending.over_at(104.0) == 109.0
    assert ending.over_at(129.0) == 130.0
