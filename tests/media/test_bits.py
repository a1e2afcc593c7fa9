from __future__ import annotations

import pytest

from backpack._media.bits import BitReader, BitWriter


def test_numbers_are_read_as_table_9_2_has_them() -> None:
    """1, 010, 011, 00100 are 0, 1, 2, 3."""
    reader = BitReader(bytes([0b10100110, 0b01000000]))
    assert [reader.unsigned() for _ in range(4)] == [0, 1, 2, 3]
    assert reader.position == 12


def test_signed_numbers_alternate() -> None:
    """1, 010, 011, 00100, 00101 are 0, 1, -1, 2, -2 (table 9-3)."""
    reader = BitReader(bytes([0b10100110, 0b01000010, 0b10000000]))
    assert [reader.signed() for _ in range(5)] == [0, 1, -1, 2, -2]


def test_what_is_written_is_read_back() -> None:
    """Any mix of bits and numbers survives, with a stop bit behind it."""
    writer = BitWriter()
    writer.bits(5, 3)
    for value in (0, 1, 7, 255, 65_535):
        writer.unsigned(value)
    reader = BitReader(writer.finish())
    assert reader.bits(3) == 5
    assert [reader.unsigned() for _ in range(5)] == [0, 1, 7, 255, 65_535]
    assert reader.flag()


def test_data_that_ends_too_early_is_told() -> None:
    """Broken data is a ValueError, never an endless loop."""
    with pytest.raises(ValueError, match="ends too early"):
        BitReader(b"\x00\x00").unsigned()
