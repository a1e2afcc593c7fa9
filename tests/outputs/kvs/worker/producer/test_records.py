from __future__ import annotations

import struct
import zlib

import pytest

from backpack._outputs.kvs.worker.producer.fragments import Fragment
from backpack._outputs.kvs.worker.producer.matroska import Track
from backpack._outputs.kvs.worker.producer.records import (
    MAGIC,
    NotOursError,
    frame_record,
    head_record,
    read_fragment,
)

TRACK = Track(320, 240, b"\x01\x02")
BLOCKS = (b"first" * 20, b"second", b"")


def made(**options: object) -> Fragment:
    """Make a fragment without frames."""
    options = {"sequence": 9, "timeline": 3, "timecode_ms": 1234, "tags": b"tags"} | options
    return Fragment(track=TRACK, begin_ns=-5, end_ns=-5, **options)  # type: ignore[arg-type]


def written() -> bytes:
    """Write a file of three frames."""
    records = [head_record(made())]
    records += [frame_record(block, place * 1000) for place, block in enumerate(BLOCKS)]
    return MAGIC + b"".join(b"".join(record) for record in records)


def test_what_is_written_is_read() -> None:
    """All that a connection needs; the sequence is given anew."""
    found = read_fragment(written())

    assert found is not None
    assert found.whole_bytes == len(written())
    fragment = found.fragment
    assert (fragment.sequence, fragment.timeline, fragment.timecode_ms) == (0, 3, 1234)
    assert (fragment.track, fragment.tags, fragment.complete) == (TRACK, b"tags", True)
    assert (fragment.blocks, fragment.begin_ns, fragment.end_ns) == ([*BLOCKS], -5, 1995)


def test_wherever_the_end_is_missing_what_stands_before_it_is_read() -> None:
    """Whole frames only, and never an error."""
    data = written()
    seen = set()
    for size in range(len(data)):
        found = read_fragment(data[:size])
        blocks = [] if found is None else found.fragment.blocks
        assert blocks == [*BLOCKS[: len(blocks)]]
        if found is not None:
            assert found.whole_bytes <= size
            assert read_fragment(data[: found.whole_bytes]) is not None
        seen.add(len(blocks))

    assert seen == {0, 1, 2}


def test_a_bit_that_has_turned_ends_the_file_there() -> None:
    """What follows it refers to what is lost."""
    data = written()
    for at in range(len(MAGIC), len(data)):
        broken = data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]
        found = read_fragment(broken)
        blocks = [] if found is None else found.fragment.blocks
        assert len(blocks) < 3
        assert blocks == [*BLOCKS[: len(blocks)]]


def test_a_later_head_replaces_the_first() -> None:
    """The clock has stepped; the frames stay."""
    moved = made(timeline=4, timecode_ms=99, tags=b"")
    found = read_fragment(written() + b"".join(head_record(moved)))

    assert found is not None
    fragment = found.fragment
    assert (fragment.timeline, fragment.timecode_ms, fragment.tags) == (4, 99, b"")
    assert fragment.blocks == [*BLOCKS]


def with_head(payload: bytes) -> bytes:
    """Write a file whose head is whole, whatever it says."""
    rest = b"H" + bytes(8) + payload
    return MAGIC + struct.pack(">II", len(payload), zlib.crc32(rest)) + rest


@pytest.mark.parametrize(
    "data",
    [
        b"\x1a\x45\xdf\xa3",
        MAGIC.replace(b"1", b"2") + b"x",
        with_head(b"[]"),
        with_head(b"{}"),
        with_head(b"\xff"),
        with_head(b'{"codec_private": "xyz"}'),
    ],
)
def test_other_files_are_told_apart(data: bytes) -> None:
    """Another format, another version, or written by something that does not know the form."""
    with pytest.raises(NotOursError):
        read_fragment(data)
