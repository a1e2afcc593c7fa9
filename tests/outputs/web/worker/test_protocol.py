from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backpack._media.access_unit import AccessUnit
from backpack._outputs.web.worker.jpeg import captured_ns
from backpack._outputs.web.worker.protocol import HEADER, Format, pack, read_format
from tests.waiting import wait_for

if TYPE_CHECKING:
    from tests.outputs.web.rig import Rig
    from tests.streams import NumberedStream

STATIC = Path(__file__).parents[4] / "src" / "backpack" / "_outputs" / "web" / "worker" / "static"


class Reader:
    """Keep what a hub gives."""

    takes_repeats = True

    def __init__(self) -> None:
        self.units: list[AccessUnit] = []

    def push(self, unit: AccessUnit) -> None:
        """Keep a unit."""
        self.units.append(unit)

    def on_lost(self, error: Exception) -> None:
        """Not expected."""
        raise AssertionError(error)


def test_a_picture_is_a_header_and_the_access_unit() -> None:
    """Numbers that outgrow their place wrap around."""
    unit = AccessUnit(b"data", True, 5_000_001_000, 2**60, 7 + 2**32, True, 2 + 2**16)  # noqa: FBT003

    message = pack(unit, 9 + 2**32)

    assert message[HEADER.size :] == b"data"
    assert HEADER.unpack(message[: HEADER.size]) == (1, 3, 2, 9, 5_000_001, 2**60 // 1000, 7)


def test_the_page_reads_a_header_of_that_size() -> None:
    """wire.js and wire.py say the same."""
    assert f"HEADER_BYTES = {HEADER.size};" in (STATIC / "wire.js").read_text()


def test_the_format_is_read_from_a_key_frame(rig: Rig) -> None:
    """Codec as RFC 6381 writes it, and the size; a picture without parameter sets tells none."""
    stream: NumberedStream = rig.stream()
    reader = Reader()
    stream.hub.subscribe(reader)
    wait_for(lambda: len(reader.units) > 1)
    stream.hub.unsubscribe(reader)

    found = read_format(reader.units[0].data)

    assert found is not None
    assert found.codec.startswith("avc1.42")
    assert (found.width, found.height) == (320, 240)
    assert read_format(reader.units[1].data) is None


def test_a_broken_key_frame_tells_no_format() -> None:
    """It is not for us to judge: the decoder will."""
    assert read_format(b"") is None
    assert read_format(b"\0\0\1\x67") is None
    assert read_format(b"\0\0\1\x67\x42\xc0\x1e") == Format("avc1.42C01E", 0, 0)


def test_a_jpeg_that_says_no_time_has_none() -> None:
    """Only the comment right behind the beginning counts."""
    assert captured_ns(b"\xff\xd8\xff\xfe\x00\x13captured_ns=12345") == 12345
    assert captured_ns(b"\xff\xd8\xff\xe0captured_ns=1") is None
    assert captured_ns(b"") is None
