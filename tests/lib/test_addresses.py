from __future__ import annotations

from typing import Any

import pytest

from backpack._lib.addresses import for_url, is_loopback, is_wildcard, own_address
from backpack.errors import SettingsError


@pytest.mark.parametrize(
    ("address", "number"),
    [("127.0.0.1", "127.0.0.1"), ("localhost", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")],
)
def test_names_and_numbers_of_this_machine_become_numbers(address: str, number: str) -> None:
    """What is listened on is always a number, IPv4 where a name has both."""
    assert own_address(address) == number


def test_wide_and_narrow_addresses_are_told_apart() -> None:
    """Wildcards reach everywhere, loopback nowhere."""
    assert is_wildcard("0.0.0.0")
    assert is_wildcard("::")
    assert not is_wildcard("127.0.0.1")
    assert is_loopback("127.8.8.8")
    assert is_loopback("::1")
    assert not is_loopback("0.0.0.0")


def test_ipv6_stands_in_brackets() -> None:
    """URLs hold IPv6 addresses in brackets (RFC 3986, 3.2.2)."""
    assert for_url("::1") == "[::1]"
    assert for_url("127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    "address", ["203.0.113.7", "2001:db8::7", "", "no.such.host.invalid", "fe80::1%lo", None, "a b"]
)
def test_an_address_that_is_not_ours_is_refused(address: Any) -> None:
    """An address of another machine, or none at all, is named in the error."""
    with pytest.raises(SettingsError, match="address="):
        own_address(address)


def test_the_error_for_another_machine_names_the_pushing_form() -> None:
    """Who meant to push learns how."""
    with pytest.raises(SettingsError, match=r"rtsp\+push://"):
        own_address("203.0.113.7")
