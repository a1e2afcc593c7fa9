"""Quote what others say, in one line and without what looks like a secret."""

from __future__ import annotations

import re
from typing import Final

# AWS's secret keys have 40 letters, tokens hundreds. Foreign errors quote what they could not
# read, and AWS the request that it was sent, with the session token.
_SECRETIVE: Final = re.compile(r"[A-Za-z0-9/+=_]{32,}")


def quote(text: str, longest: int) -> str:
    """
    Return a text in one line, with everything hidden in it that looks like a secret.

    Args:
        text: Somebody else's words.
        longest: Letters to give. What is hidden is hidden before the text is cut,
            since a part of a secret looks like none.

    """
    return _SECRETIVE.sub("***", " ".join(text.split()))[:longest]
