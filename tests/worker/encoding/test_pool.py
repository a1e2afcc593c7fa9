from __future__ import annotations

from backpack._gst.gi import Gst
from backpack._worker.encoding.colour import Layout
from backpack._worker.encoding.pool import PicturePool

LAYOUT = Layout("video/x-raw,format=GRAY8,width=64,height=64", 4096)


def address_of(buffer: Gst.Buffer) -> bytes:
    """Write into a buffer what can be found again."""
    with buffer.map(Gst.MapFlags.WRITE) as info:
        before = bytes(info.data[:8])
        info.data[:8] = b"used    "
    return before


def test_memory_comes_back() -> None:
    """What was given back is given out again: fresh memory costs page faults."""
    pool = PicturePool(LAYOUT)
    for _ in range(2):
        first, second = pool.take(), pool.take()
        seen = [address_of(first), address_of(second)]
        del first, second
    assert seen == [b"used    ", b"used    "]
    pool.close()


def test_a_closed_pool_gives_nothing() -> None:
    """Whoever comes too late gets None."""
    pool = PicturePool(LAYOUT)
    pool.close()
    assert pool.take() is None
