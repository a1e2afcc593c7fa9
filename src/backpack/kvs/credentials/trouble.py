"""Tell what went wrong without telling a secret."""

from __future__ import annotations

import re
from typing import Final

from backpack.errors import BackpackError, OutputError

__all__ = ["CredentialsError", "SigningError", "describe"]

# AWS's secret keys have 40 letters, tokens hundreds. Foreign errors quote what they could not read.
_SECRETIVE: Final = re.compile(r"[A-Za-z0-9/+=_]{32,}")
_LONGEST: Final = 300


class CredentialsError(OutputError):
    """Say why there are no credentials, and what to do."""


class SigningError(OutputError):
    """Say why a request was not signed, fit for an operator."""


def describe(error: BaseException) -> str:
    """Give one line about an error, with everything hidden in it that looks like a secret."""
    text = _SECRETIVE.sub("***", " ".join(str(error).split()))[:_LONGEST]
    if isinstance(error, BackpackError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
