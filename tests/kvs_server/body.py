"""Make bodies for the server out of numbered video."""

from __future__ import annotations

from backpack._outputs.kvs.worker.producer import matroska as mkv
from tests.outputs.kvs.worker.producer.video import START_WALL_NS, pictures

__all__ = ["BEGIN_MS", "UID", "cluster", "header"]

BEGIN_MS = START_WALL_NS // 1_000_000
UID = bytes(range(16))


def header() -> bytes:
    """Make what stands at the beginning."""
    track = mkv.track_of(pictures()[0])
    assert track is not None
    return mkv.header(UID, track)


def cluster(
    number: int, frames: int = 10, *, at_ms: int | None = None, step_ms: int = 100
) -> bytes:
    """Make the fragment with this number, from 0 on, a second each."""
    begin = BEGIN_MS + number * 1000 if at_ms is None else at_ms
    data = mkv.cluster_start(begin)
    for frame in range(frames):
        payload = mkv.frame_payload(pictures()[(number * 10 + frame) % 100])
        data += mkv.simple_block(payload, frame * step_ms, key=frame == 0)
    return data
