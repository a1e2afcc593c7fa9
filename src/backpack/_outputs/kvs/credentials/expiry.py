"""Find out when credentials of botocore run out, by the one question that it answers in public."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_SECONDS: Final = 400 * 86_400.0
_EXACT_SECONDS: Final = 0.1


def seconds_left(refresh_needed: Callable[[float], bool]) -> float | None:
    """
    Bisect how many seconds are left.

    botocore keeps the time of expiry to itself (``_expiry_time``, which has
    changed its meaning before). What it tells in public is whether fewer than
    so many seconds are left: `RefreshableCredentials.refresh_needed`.

    Args:
        refresh_needed: Asks that, of any number of seconds.

    Returns:
        The seconds, up to 0.1 s too few and never too many; 0 if none are
        left. None: they do not run out within a year.

    """
    if not refresh_needed(_LONGEST_SECONDS):
        return None
    left, too_many = 0.0, _LONGEST_SECONDS
    while too_many - left > _EXACT_SECONDS:
        middle = (left + too_many) / 2
        if refresh_needed(middle):
            too_many = middle
        else:
            left = middle
    return left
