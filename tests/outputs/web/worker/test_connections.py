from __future__ import annotations

import asyncio

from backpack._outputs.serving.worker.connections import ConnectionLimits
from backpack._outputs.web.worker.connections import ConnectionGuard, ConnectionLimiter, Limits


def test_who_leaves_is_forgotten() -> None:
    """Its place is free, and what is known of it goes."""
    keeper = ConnectionLimiter(Limits(connections=ConnectionLimits(total=1)))
    inners = [asyncio.Protocol() for _ in range(2)]
    first = keeper.enter(ConnectionGuard(keeper, inners[0]), inners[0], "192.0.2.7")
    assert first is not None
    first.begin()
    assert keeper.enter(ConnectionGuard(keeper, inners[1]), inners[1], "192.0.2.7") is None

    first.is_closed = True
    keeper.leave(inners[0])
    keeper.leave(inners[0])
    assert keeper.enter(ConnectionGuard(keeper, inners[1]), inners[1], "192.0.2.7") is not None
    assert len(keeper._limiter) == 1
