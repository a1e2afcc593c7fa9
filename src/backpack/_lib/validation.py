"""Refuse ports and users that no server could have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

HIGHEST_PORT = 65535

DEFAULT_MAX_VIEWERS = 100
"""They share one encoder, but each takes its share of the network."""


def check_port(name: str, value: object, *, lowest: int) -> None:
    """
    Refuse what is no port.

    Raises:
        SettingsError: It is no whole number, or not in the range.

    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not lowest <= value <= HIGHEST_PORT:  # type: ignore[operator]
        raise SettingsError(f"{name}={value!r}: give a port from {lowest} to {HIGHEST_PORT}.")


def check_max_viewers(given: object) -> None:
    """
    Refuse what is no number of viewers.

    Raises:
        SettingsError: It is no whole number, or less than 1.

    """
    if isinstance(given, bool) or not isinstance(given, int):
        raise SettingsError(f"max_viewers={given!r}: give a whole number.")
    if given < 1:
        raise SettingsError(f"max_viewers={given}: give 1 or more.")


def port_number(port: str | int) -> int:
    """
    Read a port that may be text.

    Raises:
        SettingsError: It is no number.

    """
    try:
        return int(port)
    except (TypeError, ValueError):
        raise SettingsError(
            f"port={port!r}: give a whole number from 0 to {HIGHEST_PORT}."
        ) from None


def check_users(users: Mapping[str, str]) -> None:
    """
    Refuse names and passwords that no client could send.

    Raises:
        SettingsError: Which name; never a password.

    """
    for name, password in users.items():
        # RFC 7616: the name ends at a colon, and stands in a quoted header.
        if not isinstance(name, str) or not name or not _is_plain(name, forbidden=':"\\'):
            raise SettingsError(
                f"users: the name {name!r} cannot be used. Give letters, digits and signs, "
                "but no colon, quote or backslash."
            )
        if not isinstance(password, str) or not password or not _is_plain(password):
            raise SettingsError(
                f"users: the password of {name!r} is empty or has line breaks. "
                "Give one that can be typed."
            )


def _is_plain(text: str, forbidden: str = "") -> bool:
    return text.isprintable() and not any(sign in text for sign in forbidden)
