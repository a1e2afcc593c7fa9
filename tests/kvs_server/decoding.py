"""Decode what the server kept, with a decoder that we did not write, and read its numbers."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from tests import numbered
from tests.ffmpeg import passthrough

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.kvs_server.streams import Fragment

__all__ = ["annex_b", "decoded", "frame_numbers", "packets"]

_START = b"\0\0\0\1"


def annex_b(fragments: Iterable[Fragment]) -> bytes:
    """Write the frames of fragments one after the other, as decoders without a container want."""
    data = bytearray()
    for fragment in fragments:
        for block in fragment.blocks:
            at = 0
            while at < len(block.payload):
                size = int.from_bytes(block.payload[at : at + 4], "big")
                data += _START + block.payload[at + 4 : at + 4 + size]
                at += 4 + size
    return bytes(data)


def decoded(data: bytes, width: int, height: int, *, form: str = "h264") -> list[bytes]:
    """
    Decode to gray pictures, one for each frame in the data, none made up.

    Args:
        data: What to decode.
        width: Of the pictures.
        height: Of the pictures.
        form: What ffmpeg calls its form: "h264" or "matroska".

    """
    command = ["ffmpeg", "-v", "error", "-f", form, "-i", "-", *passthrough()]
    command += ["-f", "rawvideo", "-pix_fmt", "gray", "-"]
    done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=120)
    if done.stderr:
        raise ValueError(done.stderr.decode(errors="replace")[:500])
    size = width * height
    return [done.stdout[at : at + size] for at in range(0, len(done.stdout), size)]


def frame_numbers(fragments: Iterable[Fragment]) -> list[int | None]:
    """Decode fragments and read the numbers that `tests.numbered` has drawn."""
    fragments = list(fragments)
    if not fragments:
        return []
    track = next(iter(fragments[0].tracks.values()))
    pictures = decoded(annex_b(fragments), track.width, track.height)
    return [numbered.read(picture, track.width) for picture in pictures]


def packets(body: bytes) -> list[tuple[int, bool]]:
    """Have ffprobe read a connection's body: time in milliseconds and key flag of each packet."""
    command = ["ffprobe", "-v", "error", "-f", "matroska", "-show_packets", "-of", "json", "-"]
    done = subprocess.run(command, input=body, capture_output=True, check=True, timeout=120)
    if done.stderr:
        raise ValueError(done.stderr.decode(errors="replace")[:500])
    return [
        (round(float(packet["pts_time"]) * 1000), packet["flags"].startswith("K"))
        for packet in json.loads(done.stdout)["packets"]
    ]
