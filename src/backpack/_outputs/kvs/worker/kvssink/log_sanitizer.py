"""Cut what kvssink prints to a measure, and keep what must not be read out of it."""

from __future__ import annotations

import re
from typing import Final

LONGEST_LINE: Final = 400
LINES_A_SECOND: Final = 20.0
_BURST: Final = 100.0
_LONGEST_HALF: Final = 64 * 1024

# Whatever its SDK and curl may print at their most talkative: access keys, and
# what follows a word that announces a secret.
_SECRETS: Final = re.compile(
    r"(?P<key>\b(?:AKIA|ASIA|AKID)[A-Z0-9]{4,})"
    r"|(?P<word>(?:secret|token|signature|authorization|credential|access.?key)s?"
    r"[\"']?\s*[=: ]\s*).*",
    re.IGNORECASE,
)


class LogSanitizer:
    """
    Make log lines of what comes out of a child's standard output.

    Reads no clock: the time is an argument. Not thread-safe.
    """

    def __init__(self) -> None:
        self._half = b""
        self._allowance = _BURST
        self._seen_at: float | None = None
        self._left_out = 0

    def feed(self, data: bytes, now: float) -> list[str]:
        """
        Return the lines that are fit to be logged.

        Args:
            data: What has come.
            now: Monotonic seconds.

        """
        *lines, self._half = (self._half + data).split(b"\n")
        self._half = self._half[-_LONGEST_HALF:]
        if self._seen_at is not None:
            more = (now - self._seen_at) * LINES_A_SECOND
            self._allowance = min(_BURST, self._allowance + more)
        self._seen_at = now
        found = []
        for line in lines:
            if self._allowance < 1:
                self._left_out += 1
                continue
            if self._left_out:
                found.append(f"({self._left_out} lines left out)")
                self._left_out = 0
            self._allowance -= 1
            text = mask(line.decode(errors="replace").strip())[:LONGEST_LINE]
            if text:
                found.append(text)
        return found


def mask(text: str) -> str:
    """Take out of a line what may be a secret."""
    return _SECRETS.sub(lambda found: f"{found['word'] or ''}***", text)
