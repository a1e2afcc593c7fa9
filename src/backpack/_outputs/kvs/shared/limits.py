"""Refuse fragments and buffers that KVS would refuse, or that would lose most of the video."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from typing import Final

from backpack.errors import SettingsError

SHORTEST_FRAGMENT_SECONDS: Final = 1.0
"""KVS's own limit."""
LONGEST_FRAGMENT_SECONDS: Final = 8.0
"""KVS takes 20 today and took 10 before; key frames may come up to two seconds late."""

FEWEST_FRAGMENTS: Final = 3
"""One is being recorded, one is sent, and one waits: with less room a connection that is
merely slow loses video."""
FEWEST_BYTES: Final = 1 << 20
"""As much as that takes at a few Mbit/s."""

MOST_TAGS: Final = 10
LONGEST_TAG_NAME: Final = 128
LONGEST_TAG_VALUE: Final = 256
RESERVED_PREFIX: Final = "AWS"
"""Names that KVS keeps to itself."""


def check_fragment_seconds(seconds: object) -> float:
    """
    Refuse fragments that KVS would refuse.

    Raises:
        SettingsError: They are too short or too long.

    """
    number = _number(seconds)
    if number is None or not SHORTEST_FRAGMENT_SECONDS <= number <= LONGEST_FRAGMENT_SECONDS:
        raise SettingsError(
            f"fragment_seconds={seconds!r}: give "
            f"{SHORTEST_FRAGMENT_SECONDS:g} to {LONGEST_FRAGMENT_SECONDS:g}."
        )
    return number


def check_buffer_seconds(seconds: object, *, fragment_seconds: float) -> float:
    """
    Refuse a buffer that video has no room in.

    Raises:
        SettingsError: It holds less than a few fragments.

    """
    number = _number(seconds)
    least = FEWEST_FRAGMENTS * fragment_seconds
    if number is None or number < least:
        raise SettingsError(
            f"buffer_seconds={seconds!r}: give a number of seconds from {least:g} on, "
            f"{FEWEST_FRAGMENTS} fragments of fragment_seconds={fragment_seconds:g}; "
            "the oldest video goes when it is full."
        )
    return number


def check_buffer_bytes(size: object) -> int:
    """
    Refuse a buffer that video has no room in.

    Raises:
        SettingsError: It is no whole number of bytes, or too few.

    """
    number = _number(size)
    if number is None or not number.is_integer() or number < FEWEST_BYTES:
        raise SettingsError(
            f"buffer_bytes={size!r}: give a whole number of bytes from {FEWEST_BYTES} (1 MiB) on; "
            "the oldest video goes when they are full. 128 << 20 are 128 MiB."
        )
    return int(number)


def check_metadata(metadata: object) -> dict[str, str]:
    """
    Refuse fragment metadata that KVS would refuse.

    Raises:
        SettingsError: Which name or value, and what is allowed.

    """
    if not isinstance(metadata, Mapping):
        raise SettingsError(f"metadata={metadata!r}: give names and values, as a dictionary.")
    if len(metadata) > MOST_TAGS:
        raise SettingsError(
            f"{len(metadata)} metadata tags: KVS takes at most {MOST_TAGS} a fragment."
        )
    for name, value in metadata.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise SettingsError(f"metadata {name!r}={value!r}: names and values are text.")
        size = len(name.encode())
        if not 0 < size <= LONGEST_TAG_NAME or name.upper().startswith(RESERVED_PREFIX):
            raise SettingsError(
                f"metadata name {name!r}: give 1 to {LONGEST_TAG_NAME} bytes that do not begin "
                f"with {RESERVED_PREFIX}, which KVS keeps to itself."
            )
        if len(value.encode()) > LONGEST_TAG_VALUE:
            raise SettingsError(
                f"metadata {name!r}: its value is longer than {LONGEST_TAG_VALUE} bytes."
            )
    return dict(metadata)


def _number(value: object) -> float | None:
    """Return a finite number as Python's own; numpy's cannot be sent as JSON."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    number = float(value)
    return number if math.isfinite(number) else None
