from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backpack._outputs.kvs.worker.producer import matroska as mkv
from tests.kvs_server.body import BEGIN_MS, cluster, header
from tests.kvs_server.decoding import decoded, frame_numbers
from tests.kvs_server.ebml import MkvError, MkvReader
from tests.kvs_server.rules import FragmentRules, Violation
from tests.kvs_server.streams import Session, Stream
from tests.outputs.kvs.worker.producer.video import pictures

if TYPE_CHECKING:
    from tests.kvs_server.streams import Fragment


class Taken:
    """Hold a body against the rules, and keep what is told."""

    def __init__(self) -> None:
        self.stream = Stream("test", 24, 0.0)
        self.events: list[tuple[str, int]] = []
        self.rules = FragmentRules(
            self.stream,
            Session(1, 0.0, (BEGIN_MS // 1000, 0)),
            absolute=True,
            next_number=lambda: str(len(self.stream.fragments) + 1),
            on_begun=lambda fragment: self.events.append(("begun", fragment.timecode)),
            on_block=lambda _: None,
            on_complete=self._complete,
        )

    def _complete(self, fragment: Fragment) -> None:
        fragment.state = "persisted"
        self.events.append(("complete", fragment.timecode))


@pytest.mark.parametrize("portion", [1, 1000, 100_000])
def test_the_golden_recording_passes(golden: bytes, portion: int) -> None:
    """AWS's own producer sent five fragments of thirty frames, and nothing to complain of."""
    taken = Taken()
    for at in range(0, len(golden), portion):
        taken.rules.feed(golden[at : at + portion])
    taken.rules.end()

    assert [len(one.blocks) for one in taken.stream.timeline()] == [30] * 5
    assert taken.stream.complaints == []
    assert taken.stream.overlaps() == []
    pictures_of_it = decoded(golden, 320, 180, form="matroska")
    assert len(pictures_of_it) == 150


def test_what_was_kept_can_be_decoded() -> None:
    """Frame for frame, with the numbers that were drawn into them."""
    taken = Taken()
    taken.rules.feed(header() + cluster(0) + cluster(1) + cluster(2, 4))
    taken.rules.end()

    assert frame_numbers(taken.stream.timeline()) == list(range(1, 25))
    assert taken.stream.complaints == []


def test_a_fragment_is_complete_when_the_next_begins_or_the_end_is_said() -> None:
    """Not before: a paused producer has to say it."""
    taken = Taken()
    taken.rules.feed(header() + cluster(0))
    assert taken.events == [("begun", BEGIN_MS)]
    taken.rules.feed(mkv.cluster_start(BEGIN_MS + 1000))
    assert taken.events[1:] == [("complete", BEGIN_MS), ("begun", BEGIN_MS + 1000)]
    taken.rules.feed(cluster(1)[18:] + mkv.END_OF_FRAGMENT)
    assert taken.events[3:] == [("complete", BEGIN_MS + 1000)]


def test_metadata_completes_the_fragment_before_it() -> None:
    """And belongs to the one after it."""
    taken = Taken()
    taken.rules.feed(header() + cluster(0) + mkv.metadata_tags({"door": "open"}) + cluster(1))
    taken.rules.end()

    assert [one.metadata for one in taken.stream.timeline()] == [[], [("door", "open")]]


def test_the_newest_of_two_with_the_same_time_is_played() -> None:
    """A fragment that is sent again replaces itself."""
    taken = Taken()
    for frames in (3, 10):
        one = Taken()
        one.rules.feed(header() + cluster(0, frames))
        one.rules.end()
        taken.stream.fragments += one.stream.fragments

    assert [len(one.blocks) for one in taken.stream.timeline()] == [10]


FRAME = mkv.frame_payload(pictures()[0])
BLOCK = mkv.simple_block(FRAME, 0, key=True)
START = mkv.cluster_start(BEGIN_MS)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (cluster(0), 4006),
        (header() + header(), 4006),
        (header() + header()[40:], 4006),
        (header() + BLOCK, 4006),
        (header() + START + START, 4006),
        (header() + START + mkv.simple_block(FRAME, 0, key=False), 4006),
        (header() + mkv.END_OF_FRAGMENT, 4006),
        (header() + START + b"\xe7\x81\x00" + BLOCK, 4006),
        (header() + b"\x1f\x43\xb6\x75\xff\xe7\x84\x00\x00\x00\x01", 4006),
        (header() + b"\x1f\x43\xb6\x75\x8a" + START[5:15], 4006),
        (header() + START + b"\xec\x81\x00", 4006),
        (header() + b"\x1c\x53\xbb\x6b\x81\x00", 4006),
        (header() + START + BLOCK + BLOCK[:12] + b"\x02" + BLOCK[13:], 4006),
        (header() + START + b"\xa3\x86\x81\x00\x00\x80\x00\x00", 4006),
        (header() + START + BLOCK.replace(b"\x81\x00\x00\x80", b"\x82\x00\x00\x80", 1), 4010),
        (header() + cluster(0) + cluster(0), 4004),
        (header() + cluster(1) + cluster(0), 4004),
        (header() + cluster(0, 5, step_ms=5_001), 4002),
        (header() + cluster(0) + cluster(1, at_ms=BEGIN_MS + 999), None),
        (header() + START + mkv.cluster_start(BEGIN_MS + 1)[:5], 4006),
        (header() + b"".join(mkv.metadata_tags({f"n{i}": ""}) for i in range(11)), 4009),
        (header() + mkv.metadata_tags({"n" * 129: ""}), 4009),
        (b"\0" * 20, 4006),
        (header().replace(b"matroska", b"matrosko"), 4006),
        (header().replace(b"\x2a\xd7\xb1", b"\x2a\xd7\xb2"), 4006),
        (header().replace(b"\xd7\x81\x01", b"\xd7\x81\x00"), 4006),
        (header().replace(b"\x18\x53\x80\x67\xff", b"\x18\x53\x80\x67\x81"), 4006),
    ],
)
def test_what_kvs_would_refuse_is_refused(data: bytes, code: int | None) -> None:
    """Element by element, with the identifier of the documentation if it gives one."""
    taken = Taken()
    with pytest.raises(Violation) as found:
        taken.rules.feed(data)

    assert found.value.error_id == code


def test_a_fragment_without_a_frame_of_a_track_is_refused() -> None:
    """Two tracks were announced, one comes."""
    taken = Taken()
    taken.rules.feed(header())
    taken.rules._tracks |= {2: taken.rules._tracks[1]}
    taken.rules.feed(cluster(0))
    with pytest.raises(Violation) as found:
        taken.rules.feed(mkv.END_OF_FRAGMENT)

    assert found.value.error_id == 4011


def test_how_short_a_fragment_is_shows_where_another_follows() -> None:
    """One that a tag ends, or the body, is as short as it has to be."""
    taken = Taken()
    taken.rules.feed(header() + cluster(0, 3) + mkv.END_OF_FRAGMENT)
    taken.rules.feed(cluster(0, 3, at_ms=BEGIN_MS + 500))
    taken.rules.end()

    assert len(taken.stream.timeline()) == 2


def test_a_fragment_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """50 MB are the limit; here it is less."""
    monkeypatch.setattr("tests.kvs_server.rules.LARGEST_BYTES", 1000)
    taken = Taken()
    with pytest.raises(Violation) as found:
        taken.rules.feed(header() + cluster(0))

    assert found.value.error_id == 4001


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (
            START + mkv.simple_block(b"\0\0\0\1\x65\x88", 0, key=True),
            "NAL units with their lengths",
        ),
        (START + mkv.simple_block(b"\0\0\0\2\x41\x9a", 0, key=True), "key=True"),
        (START + BLOCK + BLOCK, "after one at 0 ms"),
        (cluster(0, 12) + cluster(1), "begins before"),
        (b"".join(cluster(number) for number in range(6)), "more than 5"),
        (cluster(0, at_ms=5_000), "a day from"),
    ],
)
def test_what_players_would_stumble_over_is_complained_of(data: bytes, complaint: str) -> None:
    """KVS takes it, and it is a mistake all the same."""
    taken = Taken()
    taken.rules.feed(header() + data)

    assert complaint in "".join(taken.stream.complaints)


def test_a_broken_decoder_configuration_is_complained_of() -> None:
    """KVS looks at it when somebody watches, and then it is too late."""
    taken = Taken()
    taken.rules.feed(
        mkv.header(bytes(16), mkv.Track(320, 240, b"\x01\x42\x00\x0d\xff\xe1\x00\x09"))
    )

    assert "CodecPrivate" in "".join(taken.stream.complaints)


def test_an_element_that_never_ends_is_refused() -> None:
    """A size that cannot be does not fill the memory."""
    with pytest.raises(MkvError):
        MkvReader().feed(header() + START + b"\xa3\x01\x00\x00\x00\xff\xff\xff\xff")
