"""Tell what went wrong without telling a secret."""

from __future__ import annotations

from typing import Final

from backpack._outputs.kvs.shared.quoting import quote
from backpack.errors import BackpackError, OutputError

__all__ = ["CredentialsError", "SigningError", "describe"]

_LONGEST: Final = 300


class CredentialsError(OutputError):
    """Say why there are no credentials, and what to do."""


class SigningError(OutputError):
    """Say why a request was not signed, fit for an operator."""


def describe(error: BaseException) -> str:
    """Give one line about an error, with everything hidden in it that looks like a secret."""
    if isinstance(error, EOFError):
        return (
            "What gives the credentials asks for something (a password, a code), and there is "
            "nobody here to answer: get temporary ones before, and hand them over."
        )
    text = quote(str(error), _LONGEST)
    if isinstance(error, BackpackError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
