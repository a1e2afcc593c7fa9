"""Keep a secret out of everything that prints: logs, errors, dumps, copies on a disk."""

from __future__ import annotations

import hmac
from typing import NoReturn

_MASK = "***"


class Secret:
    """
    Hold a text that shows itself to nobody who does not ask for it by name.

    Args:
        value: The text.

    """

    __hash__ = None  # type: ignore[assignment] # it must not become a key that somebody prints
    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text. Every call of this is a place to look at twice."""
        return self._value

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, _: str) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Takes as long for a wrong text that begins right as for any other.
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __bool__(self) -> bool:
        return bool(self._value)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("A secret is not pickled: it would be readable in what comes out.")
