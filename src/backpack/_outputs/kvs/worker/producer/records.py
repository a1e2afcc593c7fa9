r"""
Write and read the file that holds one fragment while it waits on disk.

The form is our own; numbers are big-endian::

    file    = "SpyGlass KVS 1\n", record, record, …
    record  = length of the payload (4 bytes), CRC-32 of all that follows (4),
              kind (1), time (8, signed, nanoseconds), payload

    kind "H"  what the fragment is, as JSON; its time is that of the first
              frame on the monotonic clock. It stands first. Another one
              further on replaces it: times move when the wall clock steps.
    kind "F"  one frame as it goes into the cluster; its time is counted from
              the first frame.

A file is read up to the first record that is not whole: the process ended
while it was being written. What stands before can be decoded.

Reads and writes no file itself.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass
from typing import Any, Final

from backpack._outputs.kvs.worker.producer.fragments import Fragment
from backpack._outputs.kvs.worker.producer.matroska import Track

MAGIC: Final = b"SpyGlass KVS 1\n"
"""The digit is the version of the form."""

_START: Final = struct.Struct(">II")
_REST: Final = struct.Struct(">cq")
_HEAD: Final = b"H"
_FRAME: Final = b"F"


class NotOursError(ValueError):
    """Say that a file was not written by this version of ours."""


@dataclass(frozen=True)
class Found:
    """
    What a file holds.

    Attributes:
        fragment: It has no frame where not even the first one is whole.
        whole_bytes: Up to where the file is whole.

    """

    fragment: Fragment
    whole_bytes: int


def head_record(fragment: Fragment) -> list[bytes]:
    """Write what a fragment is, all but its frames."""
    track = fragment.track
    content = {
        "timeline": fragment.timeline,
        "timecode_ms": fragment.timecode_ms,
        "width": track.width,
        "height": track.height,
        "codec_private": track.codec_private.hex(),
        "tags": fragment.tags.hex(),
    }
    return _record(_HEAD, fragment.begin_ns, json.dumps(content).encode())


def frame_record(block: bytes, after_ns: int) -> list[bytes]:
    """
    Write a frame.

    Args:
        block: The frame, as it goes into the cluster.
        after_ns: Its time, counted from the first one.

    """
    return _record(_FRAME, after_ns, block)


def _record(kind: bytes, time_ns: int, payload: bytes) -> list[bytes]:
    # In parts: whoever writes them needs no copy of the frame.
    rest = _REST.pack(kind, time_ns)
    return [_START.pack(len(payload), zlib.crc32(payload, zlib.crc32(rest))), rest, payload]


def read_fragment(data: bytes) -> Found | None:
    """
    Read a file, as far as it is whole.

    Returns:
        What it holds. None: not even what the fragment is.

    Raises:
        NotOursError: It is another file.

    """
    if not data.startswith(MAGIC):
        if MAGIC.startswith(data):
            return None
        raise NotOursError
    fragment: Fragment | None = None
    at = len(MAGIC)
    while (record := _next_record(data, at)) is not None:
        kind, time_ns, payload = record
        if kind == _HEAD:
            fragment = _describe(fragment, time_ns, payload)
        elif fragment is not None:
            fragment.add(payload, fragment.begin_ns + time_ns)
        at += _START.size + _REST.size + len(payload)
    return None if fragment is None else Found(fragment, at)


def _next_record(data: bytes, at: int) -> tuple[bytes, int, bytes] | None:
    """Read the record that stands here. None: there is none, or it is not whole."""
    begin = at + _START.size
    if len(data) < begin + _REST.size:
        return None
    length, check = _START.unpack_from(data, at)
    end = begin + _REST.size + length
    if len(data) < end or zlib.crc32(memoryview(data)[begin:end]) != check:
        return None
    kind, time_ns = _REST.unpack_from(data, begin)
    return kind, time_ns, data[begin + _REST.size : end]


def _describe(fragment: Fragment | None, begin_ns: int, payload: bytes) -> Fragment:
    """Make a fragment of its head, or change one that has a head already."""
    try:
        content: dict[str, Any] = json.loads(payload)
        if fragment is None:
            private = bytes.fromhex(content["codec_private"])
            track = Track(content["width"], content["height"], private)
            fragment = Fragment(0, 0, 0, track, begin_ns, begin_ns, complete=True)
        fragment.timeline = content["timeline"]
        fragment.timecode_ms = content["timecode_ms"]
        fragment.tags = bytes.fromhex(content["tags"])
    except (ValueError, TypeError, KeyError) as error:
        raise NotOursError from error
    return fragment
