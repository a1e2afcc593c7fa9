"""Decide when credentials are got again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from backpack._lib.timing import Backoff

if TYPE_CHECKING:
    from backpack._outputs.kvs.credentials.credentials import Credentials

LEAD_SECONDS: Final = 14 * 60.0
"""So long before they run out. botocore renews in the last 15 minutes only."""

LOOK_AGAIN_SECONDS: Final = 10 * 60.0
"""Temporary ones of which nobody says when they run out are looked up that often."""

NOT_YET_SECONDS: Final = 60.0
"""A machine's role has its next credentials only minutes before the old ones run out."""

_FORCED_APART_SECONDS: Final = (10.0, 300.0)
_CALM_SECONDS: Final = 600.0


class Renewal:
    """
    Renew ahead of time, wait after failures, and do not be driven by a service that refuses.

    Reads no clock. ``wall`` is seconds since the epoch, which is what expiry
    is told in; ``now`` is monotonic.
    """

    def __init__(self) -> None:
        self._lead = 0.0
        self._look_again_at = math.inf
        # After a failure, and where there is nothing newer yet.
        self._not_before = -math.inf
        self._backoff = Backoff(1.0, 60.0)
        # For renewals that are forced because AWS refused the credentials.
        self._forced_at = -math.inf
        self._force_not_before = -math.inf
        self._force_backoff = Backoff(*_FORCED_APART_SECONDS)
        # How often in a row it has failed.
        self.failures = 0

    def due_in(self, credentials: Credentials | None, *, wall: float, now: float) -> float:
        """Return in how many seconds they are to be renewed; 0 if now."""
        if credentials is None or not credentials.is_good(wall):
            seconds = 0.0
        elif credentials.expires_at is not None:
            seconds = credentials.expires_at - self._lead - wall
        elif credentials.session_token is not None:
            seconds = self._look_again_at - now
        else:
            seconds = math.inf
        return max(seconds, self._not_before - now, 0.0)

    def may_be_forced(self, now: float) -> bool:
        """Return whether a renewal may be forced: a service may refuse any credentials for ever."""
        return now >= max(self._not_before, self._force_not_before)

    def forced(self, now: float) -> None:
        """Note that one is."""
        if now - self._forced_at > _CALM_SECONDS:
            self._force_backoff.reset()
        self._forced_at = now
        self._force_not_before = now + self._force_backoff.next_wait()

    def succeeded(self, got: Credentials, *, fresh: bool, wall: float, now: float) -> None:
        """
        Note what was got.

        Args:
            got: What holds from now on.
            fresh: Whether they are others, or good for longer, than before.
            wall: The time.
            now: The time.

        """
        self.failures = 0
        self._backoff.reset()
        self._look_again_at = now + LOOK_AGAIN_SECONDS
        self._not_before = -math.inf
        left = got.expires_in_seconds(wall)
        if left is None:
            return
        if fresh:
            self._lead = min(LEAD_SECONDS, left / 2)
        else:
            self._not_before = now + min(NOT_YET_SECONDS, max(left / 4, 1.0))

    def failed(self, now: float) -> float:
        """Note a failure, and give the seconds until the next try."""
        self.failures += 1
        wait = self._backoff.next_wait()
        self._not_before = now + wait
        return wait
