from __future__ import annotations

import json

import pytest

from backpack._outputs.kvs.worker.kvssink.protocol import (
    Kind,
    LineReader,
    PartReader,
    order,
    picture,
    say,
)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_parts_come_in_any_pieces(size: int) -> None:
    """What was written is read again, however the socket cuts it."""
    data = order(Kind.BEGIN, {"a": 1}) + picture(5, b"key", key=True)
    data += picture(6, b"", key=False) + order(Kind.END, {"seconds": 2.5})
    reader = PartReader()
    found = [part for at in range(0, len(data), size) for part in reader.feed(data[at : at + size])]

    assert [(kind, wall, body) for kind, wall, body in found[1:3]] == [
        (Kind.KEY, 5, b"key"),
        (Kind.DELTA, 6, b""),
    ]
    assert json.loads(found[0][2]) == {"a": 1}
    assert json.loads(found[3][2]) == {"seconds": 2.5}


def test_a_part_that_cannot_be_is_refused() -> None:
    """Rather than waiting for gigabytes."""
    with pytest.raises(ValueError, match="no picture"):
        list(PartReader().feed(b"\1" + bytes(8) + b"\xff" * 4))


def test_lines_come_in_any_pieces_and_rubbish_is_left_out() -> None:
    """Some library may have printed to a wrong place."""
    reader = LineReader()
    assert reader.feed(say("loaded", version="1")[:9]) == []
    data = say("loaded", version="1")[9:] + b"rubbish\n[1]\n{}\n" + say("ended")
    assert reader.feed(data) == [{"is": "loaded", "version": "1"}, {"is": "ended"}]
