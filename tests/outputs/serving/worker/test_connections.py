from __future__ import annotations

import resource

import pytest

from backpack._outputs.serving.worker.connections import (
    Connection,
    ConnectionLimits,
    Connections,
    is_own,
    network_of,
)

STRANGER, OTHER = "192.0.2.7", "192.0.2.8"


class Arrivals:
    """Let connections in, and note which are closed to make room."""

    def __init__(self, **limits: int) -> None:
        self.connections = Connections(ConnectionLimits(**limits))
        self.closed: list[str] = []

    def arrive(self, name: str, address: str = STRANGER, *, busy: bool = False) -> Connection:
        """Let one in."""
        connection = self.connections.admit(address, lambda: self.closed.append(name))
        assert connection is not None
        if busy:
            connection.begin()
        return connection


def test_who_has_waited_longest_makes_room() -> None:
    """Connections that ask for nothing keep nobody out."""
    arrivals = Arrivals(total=2)
    for name in "abcd":
        arrivals.arrive(name)

    assert arrivals.closed == ["a", "b"]
    assert len(arrivals.connections) == 2


def test_who_once_asked_stays_longer_than_who_never_did() -> None:
    """A browser keeps its connections open between two requests."""
    arrivals = Arrivals(total=2)
    arrivals.arrive("browser", busy=True).end()
    arrivals.arrive("silent")
    arrivals.arrive("new")

    assert arrivals.closed == ["silent"]


def test_where_all_are_in_use_nobody_is_let_in() -> None:
    """Until one of them has ended."""
    arrivals = Arrivals(total=2)
    first = arrivals.arrive("a", busy=True)
    arrivals.arrive("b", busy=True)
    assert arrivals.connections.admit(OTHER, lambda: None) is None

    first.is_closed = True
    assert arrivals.connections.admit(OTHER, lambda: None) is not None
    assert arrivals.closed == []


def test_one_network_makes_room_among_its_own() -> None:
    """Others have theirs."""
    arrivals = Arrivals(per_network=2)
    arrivals.arrive("other", OTHER)
    for name in "abc":
        arrivals.arrive(name)

    assert arrivals.closed == ["a"]


def test_this_machine_may_have_all_connections() -> None:
    """Behind a tunnel or a proxy every viewer comes from there."""
    arrivals = Arrivals(total=3, per_network=1)
    for address in ("127.0.0.1", "127.0.0.2", "::ffff:127.0.0.1"):
        arrivals.arrive(address, address, busy=True)

    assert arrivals.connections.admit("127.0.0.1", lambda: None) is None


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("", ""),
    ],
)
def test_ipv6_is_counted_by_customer(address: str, network: str) -> None:
    """Who has one IPv6 address has 2^64 of them."""
    assert network_of(address) == network
    assert is_own(address) == (address == "::1")


def test_few_descriptors_mean_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process needs some for everything else."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    assert ConnectionLimits().allowed() == (1024 - 256) // 2
    assert ConnectionLimits(descriptors=3).allowed() == (1024 - 256) // 6
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert ConnectionLimits().allowed() == 8
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    assert ConnectionLimits().allowed() == 512


def test_all_are_closed_at_the_end() -> None:
    """Each once."""
    arrivals = Arrivals()
    for name in "ab":
        arrivals.arrive(name)
    arrivals.connections.close_all()
    arrivals.connections.close_all()

    assert arrivals.closed == ["a", "b"]
