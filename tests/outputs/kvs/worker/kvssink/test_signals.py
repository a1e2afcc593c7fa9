from __future__ import annotations

import ctypes

import pytest

from backpack._outputs.kvs.worker.kvssink.signals import (
    Ack,
    FragmentAck,
    Metrics,
    StreamMetrics,
    read_ack,
    read_metrics,
)


def test_the_layout_is_that_of_a_64_bit_c_compiler() -> None:
    """Offsets of "Include.h": a wrong one would read somebody else's memory."""
    assert (FragmentAck.kind.offset, FragmentAck.timestamp.offset) == (4, 8)
    assert (FragmentAck.number.offset, FragmentAck.result.offset) == (16, 148)
    assert ctypes.sizeof(FragmentAck) == 152
    assert (StreamMetrics.overall_duration.offset, StreamMetrics.overall_size.offset) == (16, 32)


@pytest.mark.parametrize(
    ("found", "ack"),
    [
        (
            FragmentAck(0, 3, 1_795_341_036_923, b"9134", 0),
            Ack("persisted", 1_795_341_036_923, "9134", 0),
        ),
        (
            FragmentAck(0, 1, 17_953_410_369_230_000, b"", 0),
            Ack("buffering", 1_795_341_036_923, "", 0),
        ),
        (FragmentAck(0, 4, 0, b"\xff\x01", 4006), Ack("error", 0, "", 4006)),
        (FragmentAck(0, 5, 0, b"", 0), Ack("idle", 0, "", 0)),
        (FragmentAck(0, 9, 0, b"", 0), None),
        (FragmentAck(1, 3, 0, b"", 0), None),
    ],
)
def test_acknowledgements(found: FragmentAck, ack: Ack | None) -> None:
    """Times in milliseconds or in ticks; what is of another version is not read."""
    assert read_ack(found) == ack


def test_metrics() -> None:
    """Durations come in units of 100 ns; what cannot be is not read."""
    found = StreamMetrics(3, 0, 25_000_000, 0, 1000, 29.9, 300)
    assert read_metrics(found) == Metrics(2.5, 1000, 300)
    assert read_metrics(StreamMetrics(0xDEAD)) is None
