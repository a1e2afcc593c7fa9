"""Describe errors without secrets."""

from __future__ import annotations

from typing import Final

from backpack._outputs.kvs.shared.quoting import quote
from backpack.errors import BackpackError

_LONGEST: Final = 300


def describe(error: BaseException) -> str:
    """Return one line about an error, with everything hidden in it that looks like a secret."""
    if isinstance(error, EOFError):
        return (
            "What gives the credentials asks for something (a password, a code), and there is "
            "nobody here to answer: get temporary ones before, and hand them over."
        )
    text = quote(str(error), _LONGEST)
    if isinstance(error, BackpackError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
