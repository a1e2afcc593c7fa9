"""
Write what goes over a viewer's WebSocket.

A binary message is one picture: a header of fixed size, then the access unit
in Annex B form. All numbers are big-endian (static/wire.js reads the same)::

    0  u8   kind: 1, a picture
    1  u8   flags: 1 decoding can start here, 2 a repeat for viewers
    2  u16  epoch of the wall clock
    4  u32  sequence, counts the stream's pictures as this server sends them
    8  u64  capture time on the monotonic clock, microseconds
    16 u64  capture time since 1970, microseconds
    24 u32  number of the put frame; 0: the placeholder that says that there is none

A text message is JSON with a ``type``. From the server: ``hello``, ``format``,
``state``, ``pong``. From the page: ``ping``, ``pause``, ``play``, ``resync``.
The page's binary message, a u32, is the sequence of the picture it shows.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backpack._media.h264 import read_sps
from backpack._media.nal import SPS, nal_type, split_annex_b

if TYPE_CHECKING:
    from backpack._media.access_unit import AccessUnit

HEADER = struct.Struct(">BBHIQQI")
SHOWN = struct.Struct(">I")

_PICTURE = 1
_KEY, _REPEAT = 1, 2

_SHORTEST_SPS = 4


@dataclass(frozen=True)
class Format:
    """
    What a decoder must know before the first picture.

    Attributes:
        codec: As RFC 6381 writes it.
        width: Pixels in a row; 0 where we cannot read it, but a decoder can.
        height: Rows.

    """

    codec: str
    width: int
    height: int


def pack(unit: AccessUnit, sequence: int) -> bytes:
    """Write one picture as a binary message."""
    flags = _KEY * unit.key | _REPEAT * unit.repeat
    header = HEADER.pack(
        _PICTURE,
        flags,
        unit.epoch & 0xFFFF,
        sequence & 0xFFFFFFFF,
        unit.pts_ns // 1000,
        unit.wall_ns // 1000,
        unit.number & 0xFFFFFFFF,
    )
    return header + unit.data


def read_format(key_frame: bytes) -> Format | None:
    """Read the format out of a key frame's parameter set; None where there is none."""
    for nal in split_annex_b(key_frame):
        if nal_type(nal) == SPS:
            break
    else:
        return None
    if len(nal) < _SHORTEST_SPS:
        return None
    try:
        sps = read_sps(key_frame)
    except (ValueError, EOFError, IndexError):
        sps = None
    width, height = (0, 0) if sps is None else (sps.width, sps.height)
    return Format(f"avc1.{nal[1:4].hex().upper()}", width, height)
