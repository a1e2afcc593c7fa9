from __future__ import annotations

import asyncio

from backpack.web.gate import Gate, GateKeeper, Limits

STRANGER, OTHER = "192.0.2.7", "192.0.2.8"


def test_one_address_may_have_some_connections() -> None:
    """One too many is refused, the others have theirs; who goes makes room again."""
    keeper = GateKeeper(Limits(connections_per_address=2))
    inners = [asyncio.Protocol() for _ in range(5)]

    def enter(place: int, address: str) -> bool:
        return keeper.enter(Gate(keeper, inners[place]), inners[place], address)

    assert enter(0, STRANGER)
    assert enter(1, STRANGER)
    assert not enter(2, STRANGER)
    assert enter(3, OTHER)
    keeper.leave(inners[0], STRANGER)
    keeper.leave(inners[0], STRANGER)
    assert enter(2, STRANGER)
    assert not enter(4, STRANGER)


def test_this_machine_may_have_all_connections() -> None:
    """Behind a tunnel or a proxy every viewer comes from there."""
    keeper = GateKeeper(Limits(connections=3, connections_per_address=1))
    inners = [asyncio.Protocol() for _ in range(4)]
    addresses = ("127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1")
    entered = [
        keeper.enter(Gate(keeper, inner), inner, address)
        for inner, address in zip(inners, addresses, strict=True)
    ]

    assert entered == [True, True, True, False]
