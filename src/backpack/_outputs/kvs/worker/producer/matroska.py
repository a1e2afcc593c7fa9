"""
Write the small part of Matroska that Kinesis Video Streams takes.

Generic muxers put things into their headers that KVS answers with
INVALID_MKV_DATA, so each element is written here, in the order and with the
sizes' form of AWS's own producer (its recorded bytes are in the tests). One
header stands at the beginning of a connection, then there are only clusters;
each cluster is a fragment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backpack._media.nal import (
    PPS,
    SPS,
    decoder_configuration,
    nal_type,
    split_annex_b,
    with_lengths,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

SEGMENT_UID_BYTES = 16

LONGEST_RELATIVE_MS = 32_767
"""A block's time is a signed 16-bit distance from its cluster's."""

_TITLE = b"SpyGlass"
_APPLICATION = b"backpack-spyglass"
_TRACK_NAME = b"spyglass"
_CODEC = b"V_MPEG4/ISO/AVC"

_UNKNOWN_SIZE = b"\xff"
_WIDE = 8
"""Bytes of a size field that AWS's producer fills in afterwards."""

_MILLISECOND_NS = 1_000_000
_KEY = 0x80


@dataclass(frozen=True)
class Track:
    """
    What the header of a connection says about the video.

    A connection has one header, so another track needs another connection.

    Attributes:
        width: Of the picture.
        height: Of the picture.
        codec_private: The AVCDecoderConfigurationRecord.

    """

    width: int
    height: int
    codec_private: bytes


def track_of(data: bytes) -> Track | None:
    """
    Read from a key frame what the header has to say.

    Args:
        data: An access unit in Annex B form.

    Returns:
        The track, or None where the parameter sets are missing.

    Raises:
        ValueError: They are broken.

    """
    # An output is no part of the encoding room; only who has frames needs this.
    from backpack._media.h264 import read_sps  # noqa: PLC0415

    sps: list[bytes] = []
    pps: list[bytes] = []
    for unit in split_annex_b(data):
        kind = nal_type(unit)
        if kind == SPS:
            sps.append(unit)
        elif kind == PPS:
            pps.append(unit)
    described = read_sps(data)
    if described is None or not sps or not pps:
        return None
    return Track(described.width, described.height, decoder_configuration(sps, pps))


def frame_payload(data: bytes) -> bytes:
    """Turn an access unit in Annex B form into a block's payload: a length before each unit."""
    return with_lengths(split_annex_b(data))


def header(segment_uid: bytes, track: Track) -> bytes:
    """
    Write what stands at the beginning of every connection.

    Args:
        segment_uid: 16 random bytes, the same for all connections of a producer.
        track: What follows.

    """
    if len(segment_uid) != SEGMENT_UID_BYTES:
        raise ValueError(f"A segment's id has {SEGMENT_UID_BYTES} bytes.")
    return _EBML + b"\x18\x53\x80\x67" + _UNKNOWN_SIZE + _info(segment_uid) + _tracks(track)


def cluster_start(timecode_ms: int) -> bytes:
    """
    Write the beginning of a fragment.

    Args:
        timecode_ms: Time of its first frame since the epoch.

    """
    timecode = _element(0xE7, timecode_ms.to_bytes(_WIDE, "big"))
    position = _element(0xA7, b"\x00")
    return b"\x1f\x43\xb6\x75" + _UNKNOWN_SIZE + timecode + position


def simple_block(payload: bytes, relative_ms: int, *, key: bool) -> bytes:
    """
    Write one frame.

    Args:
        payload: What `frame_payload` gave.
        relative_ms: Its time, counted from that of the cluster.
        key: Whether decoding can start here.

    Raises:
        ValueError: The time does not fit: a new cluster was due long ago.

    """
    if not 0 <= relative_ms <= LONGEST_RELATIVE_MS:
        raise ValueError(f"A block cannot lie {relative_ms} ms after its cluster's beginning.")
    head = b"\x81" + relative_ms.to_bytes(2, "big") + bytes([_KEY if key else 0])
    return b"\xa3" + _size(len(head) + len(payload), _WIDE) + head + payload


def metadata_tags(metadata: Mapping[str, str]) -> bytes:
    """Write the metadata of the fragment that follows; nothing where there is none."""
    if not metadata:
        return b""
    tags = b"".join(
        _element(0x7373, _simple_tag(name.encode(), value.encode()), _WIDE)
        for name, value in metadata.items()
    )
    return _element(0x1254C367, tags, _WIDE)


def _size(value: int, width: int = 0) -> bytes:
    """Write a size field, as short as it can be if no width is given."""
    if not width:
        width = 1
        # All ones means "unknown" at any width.
        while value >= (1 << 7 * width) - 1:
            width += 1
    return ((1 << 7 * width) | value).to_bytes(width, "big")


def _element(identifier: int, payload: bytes, size_width: int = 0) -> bytes:
    number = identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
    return number + _size(len(payload), size_width) + payload


def _simple_tag(name: bytes, value: bytes) -> bytes:
    text = _element(0x45A3, name, _WIDE) + _element(0x4487, value, _WIDE)
    return _element(0x67C8, text, _WIDE)


def _info(segment_uid: bytes) -> bytes:
    return _element(
        0x1549A966,
        _element(0x73A4, segment_uid)
        + _element(0x2AD7B1, _MILLISECOND_NS.to_bytes(_WIDE, "big"))
        + _element(0x7BA9, _TITLE)
        + _element(0x4D80, _APPLICATION)
        + _element(0x5741, _APPLICATION),
        2,
    )


def _tracks(track: Track) -> bytes:
    video = _element(0xB0, track.width.to_bytes(2, "big"))
    video += _element(0xBA, track.height.to_bytes(2, "big"))
    entry = (
        _element(0xD7, b"\x01")
        + _element(0x73C5, (1).to_bytes(_WIDE, "big"))
        + _element(0x83, b"\x01")
        + _element(0x536E, _TRACK_NAME)
        + _element(0x86, _CODEC)
        + _element(0xE0, video, 4)
        + _element(0x63A2, track.codec_private)
    )
    return _element(0x1654AE6B, _element(0xAE, entry, 4), 4)


_EBML = _element(
    0x1A45DFA3,
    _element(0x4286, b"\x01")
    + _element(0x42F7, b"\x01")
    + _element(0x42F2, b"\x04")
    + _element(0x42F3, b"\x08")
    + _element(0x4282, b"matroska")
    + _element(0x4287, b"\x02")
    + _element(0x4285, b"\x02"),
)

END_OF_FRAGMENT = _element(
    0x1254C367,
    _element(0x7373, _simple_tag(b"AWS_KINESISVIDEO_END_OF_FRAGMENT", b""), _WIDE),
    _WIDE,
)
"""Completes the fragment before it: without this KVS waits for the next one to begin."""
