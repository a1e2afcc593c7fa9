"""Take access units apart into NAL units, and write them as containers want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# ITU-T H.264, table 7-1.
SPS = 7
PPS = 8
AUD = 9

_START = b"\x00\x00\x01"
_LONGEST_SPS_COUNT = 31
_PROFILES_WITH_CHROMA_FIELDS = (100, 110, 122, 144)


def split_annex_b(data: bytes) -> Iterator[bytes]:
    """Return the NAL units of an access unit in Annex B form, without their start codes."""
    start = data.find(_START)
    while start >= 0:
        following = data.find(_START, start + 3)
        unit = data[start + 3 : following if following >= 0 else len(data)]
        # Zeros before a start code belong to it (B.1.1); no NAL unit ends in one.
        unit = unit.rstrip(b"\x00")
        if unit:
            yield unit
        start = following


def nal_type(unit: bytes) -> int:
    """Return a NAL unit's type."""
    return unit[0] & 0x1F


def with_lengths(units: Iterable[bytes]) -> bytes:
    """Write NAL units as MP4 and Matroska hold them: four bytes of length before each."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def decoder_configuration(sps: list[bytes], pps: list[bytes]) -> bytes:
    """
    Write the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).

    Args:
        sps: Sequence parameter sets, at least one.
        pps: Picture parameter sets, at least one.

    """
    profile, compatibility, level = sps[0][1:4]
    sets = bytes([0xE0 | min(len(sps), _LONGEST_SPS_COUNT)])
    sets += b"".join(len(one).to_bytes(2, "big") + one for one in sps)
    sets += bytes([len(pps)])
    sets += b"".join(len(one).to_bytes(2, "big") + one for one in pps)
    record = bytes([1, profile, compatibility, level, 0xFF]) + sets
    if profile in _PROFILES_WITH_CHROMA_FIELDS:
        # 4:2:0, 8 bits, which is all that the encoders make; no extensions.
        record += bytes([0xFC | 1, 0xF8, 0xF8, 0])
    return record
