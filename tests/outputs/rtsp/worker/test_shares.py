from __future__ import annotations

from backpack._outputs.rtsp.worker.shares import MOST_OF_CONNECTION, Shares

STRANGER, OTHER = "192.0.2.7", "192.0.2.8"


def test_one_network_has_half_of_the_sessions() -> None:
    """The others have the rest; what has ended leaves room."""
    shares = Shares(4)
    for number in range(2):
        assert shares.has_room(STRANGER, number)
        shares.add(str(number), STRANGER, number)
    assert not shares.has_room(STRANGER, 2)
    assert shares.has_room(OTHER, 2)

    shares.remove("0")
    shares.remove("0")
    assert shares.has_room(STRANGER, 2)


def test_who_is_alone_may_have_one() -> None:
    """Also where there may be one in all."""
    assert Shares(1).has_room(STRANGER, 0)


def test_this_machine_may_have_all() -> None:
    """But not by one connection."""
    shares = Shares(4)
    for number in range(MOST_OF_CONNECTION):
        assert shares.has_room("127.0.0.1", 0)
        shares.add(str(number), "127.0.0.1", 0)
    assert not shares.has_room("127.0.0.1", 0)
    assert shares.has_room("127.0.0.1", 1)
