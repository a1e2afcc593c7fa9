from __future__ import annotations

from typing import Any

import pytest

from backpack._lib.validation import check_port, check_users, port_number
from backpack.errors import SettingsError


@pytest.mark.parametrize("port", [-1, 65536, "8554", 8554.0, True, None])
def test_a_port_that_cannot_be_is_refused(port: Any) -> None:
    """A port is a whole number from 0 to 65535."""
    with pytest.raises(SettingsError, match="port="):
        check_port("port", port, lowest=0)


@pytest.mark.parametrize("port", [1, 8554, 65535])
def test_ports_are_taken(port: int) -> None:
    """From the lowest that was named on; 0 only where it means any."""
    check_port("port", port, lowest=1)
    check_port("port", 0, lowest=0)
    with pytest.raises(SettingsError, match="from 1 to"):
        check_port("port", 0, lowest=1)


def test_a_port_may_be_text() -> None:
    """It comes from configuration files and environment variables."""
    assert port_number("8554") == port_number(8554) == 8554


@pytest.mark.parametrize("port", ["door", "", None])
def test_text_that_is_no_port_is_refused(port: Any) -> None:
    """It has to be a whole number."""
    with pytest.raises(SettingsError, match="port="):
        port_number(port)


@pytest.mark.parametrize(
    "users",
    [{"": "pw"}, {"a:b": "pw"}, {'a"b': "pw"}, {"a\n": "pw"}, {"anna": ""}, {"anna": "p\r\nw"}],
)
def test_users_that_cannot_log_in_are_refused(users: dict[str, str]) -> None:
    """A name or password that no client could send is named, but not the password."""
    with pytest.raises(SettingsError, match="users") as caught:
        check_users(users)
    assert not [one for one in users.values() if one and one in str(caught.value)]


def test_users_with_plain_names_are_taken() -> None:
    """Letters of any language and most signs, and no users at all."""
    check_users({"anna": "p: w", "bärbel@home": '"'})
    check_users({})
