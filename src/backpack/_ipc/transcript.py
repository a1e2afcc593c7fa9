"""Decide which lines of the streaming process's standard error reach the application's log."""

from __future__ import annotations

import collections
import logging
import re
from typing import Final

_LONGEST_LINE: Final = 4096
_LONGEST_NOISE: Final = 300
_RECORD_BYTES: Final = 80
"""What a log writes before each line: time, level, name."""

_KEPT_LINES: Final = 200
_LAST_LINES: Final = 20
_SUMMARY_SECONDS: Final = 10.0

# What GLib's own handler writes of g_warning, g_critical and weaker ones; g_error, which ends
# the process, is another word. Requests of viewers cause them.
_NOISE: Final = re.compile(
    rb"(?:\*\* )?\([^()]{1,64}:\d+\): (?:[\w.-]+-)?(?:WARNING|CRITICAL|Message|INFO|DEBUG) \*\*: "
)
_CONTROL: Final = {
    number: f"\\x{number:02x}" for number in (*range(9), *range(10, 32), *range(127, 160))
}
"""What would make a terminal do things; a tab does none."""


class Bucket:
    """
    Let bytes pass: many at once, few for long. Reads no clock.

    Args:
        most: What passes at once.
        per_second: What passes for long.

    """

    def __init__(self, most: int, per_second: int) -> None:
        self._most = most
        self._per_second = per_second
        self._left = float(most)
        self._filled_at: float | None = None

    def take(self, count: int, now: float) -> bool:
        """Take out so much, or nothing if there is not enough."""
        if self._filled_at is not None:
            gained = (now - self._filled_at) * self._per_second
            self._left = min(float(self._most), self._left + gained)
        self._filled_at = now
        if count > self._left:
            return False
        self._left -= count
        return True


class Transcript:
    """
    Cut what a streaming process writes into lines, and leave out what is too much of it.

    Viewers can make GStreamer write fifty times what they have sent. Its warnings
    therefore share a small allowance; all else has one that holds any traceback, and
    whatever strangers cause does not use it up.
    """

    def __init__(self) -> None:
        self._noise = Bucket(2048, 64)
        self._rest = Bucket(1 << 18, 1 << 14)
        # A line that has not ended yet, and how much of it was cut off.
        self._line = bytearray()
        self._cut = 0
        self._tail: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
        # What was left out since that was last said, and when to say it.
        self._lines_left_out = 0
        self._bytes_left_out = 0
        self._say_at = 0.0

    def take(self, data: bytes, now: float) -> list[tuple[int, str]]:
        """Take what was written; give the lines to be logged, each with its level."""
        lines: list[tuple[int, str]] = []
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._add(end)
            lines += self._end_line(now)
        self._add(rest)
        return lines

    def finish(self, now: float) -> list[tuple[int, str]]:
        """Take that nothing more comes; give what is left to be logged."""
        return [*self._end_line(now), *self.summary(now, at_once=True)]

    def summary(self, now: float, *, at_once: bool = False) -> list[tuple[int, str]]:
        """Return one line of what was left out, some seconds after the first of it."""
        if not self._lines_left_out or (now < self._say_at and not at_once):
            return []
        text = (
            f"{self._lines_left_out} lines ({self._bytes_left_out} bytes) of what it has written "
            "were left out. All of GStreamer's own log goes to a file named by gst_log_file=."
        )
        self._lines_left_out = self._bytes_left_out = 0
        return [(logging.INFO, text)]

    def last_words(self) -> str:
        """Return the last lines, and the last traceback from its beginning."""
        lines = list(self._tail)
        begin = max(0, len(lines) - _LAST_LINES)
        for index in range(begin):
            if lines[index].startswith(("Traceback (most recent", "Fatal Python error")):
                begin = index
                break
        return "\n".join(lines[begin:])

    def _add(self, piece: bytes) -> None:
        room = _LONGEST_LINE - len(self._line)
        self._line += piece[:room]
        self._cut += max(0, len(piece) - room)

    def _end_line(self, now: float) -> list[tuple[int, str]]:
        line, cut = bytes(self._line), self._cut
        self._line.clear()
        self._cut = 0
        if not line.strip():
            return []
        is_noise = _NOISE.match(line) is not None
        if is_noise:
            cut += max(0, len(line) - _LONGEST_NOISE)
            line = line[:_LONGEST_NOISE]
        bucket = self._noise if is_noise else self._rest
        if not bucket.take(len(line) + _RECORD_BYTES, now):
            if not self._lines_left_out:
                self._say_at = now + _SUMMARY_SECONDS
            self._lines_left_out += 1
            self._bytes_left_out += len(line) + cut
            return []
        text = line.decode(errors="backslashreplace").translate(_CONTROL)
        if cut:
            text = f"{text}… ({cut} bytes more)"
        self._tail.append(text)
        return [(logging.DEBUG if is_noise else logging.INFO, text)]
