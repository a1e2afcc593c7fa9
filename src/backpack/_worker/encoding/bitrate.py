"""Decide how many bits a second a stream gets, and what to tell the encoder for them."""

from __future__ import annotations

import collections
import math
from typing import Final

_SECOND_NS: Final = 1_000_000_000

_REFERENCE_KBPS: Final = 2500.0
_REFERENCE_PIXELS: Final = 1280 * 720
_REFERENCE_FPS: Final = 30.0
_SMALLEST_KBPS: Final = 150
_LARGEST_KBPS: Final = 25_000


def default_bitrate_kbps(width: int, height: int, fps: float | None) -> int:
    """
    Choose a bit rate for a size and a rate; 720p at 30 a second gets 2,500.

    It grows slower than pixels and pictures do: neighbours in a finer picture
    and in a faster sequence resemble each other more.
    """
    pixels = width * height / _REFERENCE_PIXELS
    rate = (_REFERENCE_FPS if fps is None else fps) / _REFERENCE_FPS
    kbps = _REFERENCE_KBPS * math.pow(pixels, 0.75) * math.pow(rate, 0.6)
    return round(min(max(kbps, _SMALLEST_KBPS), _LARGEST_KBPS))


class RateTracker:
    """
    Measure how many pictures a second really come, from their times alone.

    An encoder allots bits by the rate that it was told. This class says when
    that rate has become wrong, and what to tell it instead. It reads no clock.

    Args:
        told_fps: The rate that the encoder starts with.

    """

    _WINDOW: Final = 32
    _WINDOW_NS: Final = 4 * _SECOND_NS
    # What is kept however old: at one picture a second, four seconds.
    _FEWEST: Final = 4
    # From so many intervals on a tenth off is corrected: bits are off by as
    # much. With fewer, jitter alone is more.
    _MANY: Final = 12
    _COARSE: Final = 0.25
    _FINE: Final = 0.10
    # An interval so many times the next longest is a pause.
    _PAUSE: Final = 3
    # Below one a second a single picture would get several seconds' bits.
    _SLOWEST_FPS: Final = 1.0

    def __init__(self, told_fps: float) -> None:
        self.told_fps = told_fps
        self._last_ns: int | None = None
        # The newest intervals, in nanoseconds, and their sum.
        self._intervals: collections.deque[int] = collections.deque()
        self._total_ns = 0
        # How many pictures have come.
        self._count = 0

    def observe(self, pts_ns: int) -> float | None:
        """
        Take the time of the next picture.

        Returns:
            The rate to tell the encoder from now on, or None while what it
            was told is near enough.

        """
        last_ns, self._last_ns = self._last_ns, pts_ns
        if last_ns is None or pts_ns <= last_ns:
            return None
        self._intervals.append(pts_ns - last_ns)
        self._total_ns += pts_ns - last_ns
        while len(self._intervals) > self._WINDOW or (
            len(self._intervals) > self._FEWEST and self._total_ns > self._WINDOW_NS
        ):
            self._total_ns -= self._intervals.popleft()
        self._count += 1
        # Looking at each of them costs more than one picture in eight tells.
        if self._count > self._WINDOW and self._count % 8:
            return None
        return self._correction()

    def _correction(self) -> float | None:
        true_fps = max(self._measured_fps(), self._SLOWEST_FPS)
        allowed = self._FINE if len(self._intervals) >= self._MANY else self._COARSE
        # Too fast by a quarter is as far off as too slow by a fifth.
        if 1 / (1 + allowed) <= true_fps / self.told_fps <= 1 + allowed:
            return None
        self.told_fps = true_fps
        return true_fps

    def _measured_fps(self) -> float:
        """
        Average the intervals, but for a single pause.

        The app waiting for something once is no slow rate. When it does so
        again while the first time is remembered, it is.
        """
        count, total = len(self._intervals), self._total_ns
        if count > 1:
            second, longest = sorted(self._intervals)[-2:]
            if longest > self._PAUSE * second:
                count, total = count - 1, total - longest
        return _SECOND_NS * count / total


class SpendingTracker:
    """
    Compare the bits that come out with those asked for, and correct the rest.

    Every rate control has a bias of its own, most of all far from the rate it
    was told: x264 spends a fifth too little at a tenth of it. Reads no clock.
    """

    _WINDOW_NS: Final = 8 * _SECOND_NS
    _STEP_NS: Final = 1_500_000_000
    _FEWEST: Final = 6
    # How much of what is missing is asked for on top. Not all of it: the
    # encoder makes up for its own debts, too, and both together swing.
    _GAIN: Final = 0.75
    _SMALLEST: Final = 0.8
    _LARGEST: Final = 1.2
    # Who spends less than this has nothing to spend on: a still picture.
    _SATED: Final = 0.5

    def __init__(self) -> None:
        # By how much more than asked for the encoder is to be told.
        self.factor = 1.0
        # Time and size in bits of the newest pictures.
        self._pictures: collections.deque[tuple[int, int]] = collections.deque()
        self._bits = 0
        self._stepped_ns: int | None = None

    def observe(self, pts_ns: int, size_bytes: int) -> None:
        """Take the time and size of a picture that came out."""
        pictures = self._pictures
        pictures.append((pts_ns, size_bytes * 8))
        self._bits += size_bytes * 8
        while len(pictures) > self._FEWEST and pts_ns - pictures[0][0] > self._WINDOW_NS:
            self._bits -= pictures.popleft()[1]

    @property
    def is_due(self) -> bool:
        """Whether enough has come out since the last correction."""
        pictures = self._pictures
        if len(pictures) < self._FEWEST:
            return False
        begin_ns = pictures[0][0] if self._stepped_ns is None else self._stepped_ns
        return pictures[-1][0] - begin_ns >= self._STEP_NS

    def correct(self, asked_kbps: float) -> bool:
        """Adapt `factor` when that is due. Tell whether it changed."""
        if not self.is_due:
            return False
        pictures = self._pictures
        (first_ns, first_bits), newest_ns = pictures[0], pictures[-1][0]
        span_ns = newest_ns - first_ns
        self._stepped_ns = newest_ns
        # The first picture's bits belong to the time before it.
        spent = (self._bits - first_bits) * _SECOND_NS / span_ns / (asked_kbps * 1000)
        before = self.factor
        # What a still picture does not spend must not be made up for later.
        missing = 0.0 if spent < self._SATED else 1 - spent
        self.factor = min(max(1 + self._GAIN * missing, self._SMALLEST), self._LARGEST)
        return abs(self.factor - before) > before / 50
