from __future__ import annotations

from backpack._media.nal import (
    PPS,
    SPS,
    decoder_configuration,
    nal_type,
    split_annex_b,
    with_lengths,
)

SPS_BYTES = bytes.fromhex("6742c014da0507ec05a830303528")
PPS_BYTES = bytes.fromhex("68ce3c80")
IDR = b"\x65\x88\x84\x00\x01\x02"


def test_start_codes_of_three_and_four_bytes_are_taken_off() -> None:
    """Both forms of start code separate NAL units, and trailing zeros belong to none."""
    data = b"\0\0\0\1" + SPS_BYTES + b"\0\0\1" + PPS_BYTES + b"\0\0\0\1" + IDR + b"\0\0"

    units = list(split_annex_b(data))

    # IDR itself has a zero inside, not at its end.
    assert units == [SPS_BYTES, PPS_BYTES, IDR]
    assert [nal_type(one) for one in units] == [SPS, PPS, 5]


def test_data_without_a_start_code_has_no_units() -> None:
    """Garbage gives nothing rather than something."""
    assert list(split_annex_b(b"")) == []
    assert list(split_annex_b(b"\x65\x88")) == []
    assert list(split_annex_b(b"\0\0\1")) == []


def test_lengths_stand_before_the_units() -> None:
    """Each unit follows its length in four bytes."""
    assert with_lengths([b"ab", b"c"]) == b"\0\0\0\2ab\0\0\0\1c"


def test_the_configuration_record_carries_profile_and_sets() -> None:
    """Profile and level are the SPS's own, and both sets follow with their lengths."""
    record = decoder_configuration([SPS_BYTES], [PPS_BYTES])

    assert record[:6] == bytes([1, 0x42, 0xC0, 0x14, 0xFF, 0xE1])
    assert record[6:] == (
        len(SPS_BYTES).to_bytes(2, "big") + SPS_BYTES + b"\1" + b"\0\4" + PPS_BYTES
    )


def test_high_profile_adds_its_chroma_fields() -> None:
    """High profile's record ends with chroma format and bit depths (14496-15, 5.3.3.1.2)."""
    high = bytes([0x67, 100]) + SPS_BYTES[2:]

    assert decoder_configuration([high], [PPS_BYTES])[-4:] == bytes([0xFD, 0xF8, 0xF8, 0])
