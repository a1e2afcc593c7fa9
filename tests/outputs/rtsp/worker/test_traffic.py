from __future__ import annotations

from backpack._outputs.rtsp.worker.traffic import STALLED_NS, SendBuffer

SECOND = 1_000_000_000


def test_a_client_that_acknowledges_nothing_has_stalled() -> None:
    """Data that waits while no acknowledgement comes means that nobody reads."""
    buffer = SendBuffer()
    assert not buffer.stalled(0, acknowledged=10, waiting=5)

    assert not buffer.stalled(STALLED_NS, acknowledged=10, waiting=500)
    assert buffer.stalled(STALLED_NS + 1, acknowledged=10, waiting=500)


def test_a_slow_client_has_not_stalled() -> None:
    """Whoever acknowledges a byte now and then still reads."""
    buffer = SendBuffer()

    for second in range(100):
        assert not buffer.stalled(second * SECOND, acknowledged=second // 4, waiting=9999)


def test_a_client_that_nothing_is_sent_to_has_not_stalled() -> None:
    """Without data under way there is nothing to acknowledge."""
    buffer = SendBuffer()

    for second in range(100):
        assert not buffer.stalled(second * SECOND, acknowledged=7, waiting=0)
    assert not buffer.stalled(104 * SECOND, acknowledged=7, waiting=1)
    assert buffer.stalled(105 * SECOND, acknowledged=7, waiting=1)
