from __future__ import annotations

import pytest

from backpack._lib.addresses import own_address
from backpack._lib.interfaces import reachable_addresses


@pytest.mark.parametrize(
    ("address", "number"), [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1")]
)
def test_a_named_address_stands_for_itself(address: str, number: str) -> None:
    """A server that listens on one address is reached there alone."""
    assert reachable_addresses(address) == [number]


@pytest.mark.parametrize(("address", "first"), [("0.0.0.0", "127.0.0.1"), ("::", "::1")])
def test_all_addresses_are_those_of_the_interfaces(address: str, first: str) -> None:
    """The loopback first, and once; each of them can be listened on."""
    found = reachable_addresses(address)

    assert found[0] == first
    assert len(found) == len(set(found))
    assert not [number for number in found[1:] if number.startswith("127.")]
    assert [own_address(number) for number in found] == found
