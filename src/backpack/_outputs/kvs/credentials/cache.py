"""Keep one handler's credentials fresh, for every stream that uses it."""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from backpack._outputs.kvs.credentials.botocore_chain import taken_over
from backpack._outputs.kvs.credentials.credentials import Credentials
from backpack._outputs.kvs.credentials.quiet_botocore import quiet_botocore
from backpack._outputs.kvs.credentials.renewal import Renewal
from backpack._outputs.kvs.credentials.trouble import describe

if TYPE_CHECKING:
    from collections.abc import Callable

SLOW_SECONDS = 5.0
"""Whoever gets credentials for longer than this is told of, before it has failed."""


class CredentialsSource(Protocol):
    """Where a cache gets credentials from; see `KVSCredentialsHandler`."""

    logger: logging.Logger

    def get_credentials(self) -> Credentials:
        """Return fresh ones. May block."""

    def forget(self) -> None:
        """Called when those of before were refused."""


@dataclass(frozen=True)
class CacheStatus:
    """
    How it stands with the credentials.

    Attributes:
        credentials: Those to use. None: there are none, or they have run out.
        fetching: Whether others are being got.
        trouble: Why they could not be got last time.
        due_in: Seconds until `CredentialsCache.refresh_if_due` has something to do.

    """

    credentials: Credentials | None
    fetching: bool
    trouble: str
    due_in: float


class CredentialsCache:
    """
    Get credentials ahead of time, in a thread that lives for that long.

    What gives credentials may take minutes, or hang: a network that swallows
    everything, a program that asks for a password. So nobody waits for it.
    The old credentials are used until they run out, whatever becomes of the
    new ones. All methods: any thread; none waits.

    Args:
        source: The handler.

    """

    def __init__(self, source: CredentialsSource) -> None:
        self._source = source
        # Guards everything below.
        self._lock = threading.Lock()
        self._renewal = Renewal()
        self._credentials: Credentials | None = None
        self._renewed = 0
        self._trouble = ""
        # What was warned of last, since they were got.
        self._warned = ""
        # The thread that gets credentials, and what it has brought: these, or why there are none.
        self._thread: threading.Thread | None = None
        self._began_at = 0.0
        self._outcome: Credentials | str | None = None
        self._wakes: list[Callable[[], None]] = []
        # What is to be logged, with its level.
        self._told: list[tuple[int, str]] = []

    def attach(self, wake: Callable[[], None]) -> None:
        """Call ``wake``, from the thread that got them, whenever credentials were got or not."""
        with self._lock:
            self._wakes.append(wake)

    def detach(self, wake: Callable[[], None]) -> threading.Thread | None:
        """
        Call it no more.

        Returns:
            The thread that is still getting credentials, if nobody needs it now.

        """
        with self._lock:
            self._wakes.remove(wake)
            return None if self._wakes else self._thread

    def refresh_if_due(self, *, wall: float, now: float, renew: bool = False) -> CacheStatus:
        """
        Begin to get credentials if it is time, and tell how it stands.

        Args:
            wall: Seconds since the epoch.
            now: Seconds, monotonic.
            renew: The present ones were refused: get others before their time.
                Not obeyed more often than every 10 s, and less and less often.

        """
        with self._lock:
            self._take_outcome(wall, now)
            if self._thread is None:
                due = self._renewal.due_in(self._credentials, wall=wall, now=now) <= 0
                forced = renew and self._renewal.may_be_forced(now)
                if forced:
                    self._renewal.forced(now)
                if due or forced:
                    self._begin(wall, now, forget=renew)
            standing = self._standing(wall, now)
            told, self._told = self._told, []
        # Where logs go is the application's business, and may take its time.
        for level, message in told:
            self._source.logger.log(level, "%s", message)
        return standing

    def numbers(self, *, wall: float, now: float) -> dict[str, Any]:
        """Return what goes into the statistics; the times are as in `refresh_if_due`."""
        with self._lock:
            kept = self._credentials
            return {
                "credentials_source": "" if kept is None else kept.source,
                "credentials_good": kept is not None and kept.is_good(wall),
                "credentials_expire_in_seconds": kept and kept.expires_in_seconds(wall),
                "credentials_renewed": self._renewed,
                "credentials_failures": self._renewal.failures,
                "credentials_trouble": self._trouble or self._slowness(now),
            }

    def _slowness(self, now: float) -> str:
        seconds = 0.0 if self._thread is None else now - self._began_at
        if seconds < SLOW_SECONDS:
            return ""
        return (
            f"AWS credentials have been looked for for {seconds:.0f} s: "
            "what gives them has not answered yet."
        )

    def _standing(self, wall: float, now: float) -> CacheStatus:
        credentials = self._credentials
        good = credentials is not None and credentials.is_good(wall)
        fetching = self._thread is not None
        due_in = self._renewal.due_in(credentials, wall=wall, now=now)
        return CacheStatus(
            credentials if good else None, fetching, self._trouble, math.inf if fetching else due_in
        )

    def _begin(self, wall: float, now: float, *, forget: bool) -> None:
        self._began_at = now
        self._thread = threading.Thread(
            target=self._fetch, args=(forget,), name="spyglass-kvs-credentials", daemon=True
        )
        try:
            self._thread.start()
        except RuntimeError as error:
            # There are too many threads, or the interpreter ends.
            self._thread = None
            self._fail(describe(error), wall, now)

    def _fetch(self, forget: bool) -> None:  # noqa: FBT001 - a thread's argument
        outcome: Credentials | str
        try:
            with quiet_botocore():
                if forget:
                    self._source.forget()
                got: object = self._source.get_credentials()
                outcome = _understood(got)
        except BaseException as error:  # noqa: BLE001 - anybody's code, which may even exit
            outcome = describe(error)
        with self._lock:
            self._outcome = outcome
            self._thread = None
            wakes = list(self._wakes)
        for wake in wakes:
            wake()

    def _take_outcome(self, wall: float, now: float) -> None:
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            return
        if isinstance(outcome, Credentials) and outcome.is_good(wall):
            self._succeed(outcome, wall, now)
        elif isinstance(outcome, Credentials):
            self._fail("They had run out when they came. Is this machine's clock right?", wall, now)
        else:
            self._fail(outcome, wall, now)

    def _succeed(self, got: Credentials, wall: float, now: float) -> None:
        before, self._credentials = self._credentials, got
        self._trouble = self._warned = ""
        fresh = not got.is_same(before)
        self._renewal.succeeded(got, fresh=fresh, wall=wall, now=now)
        if not fresh:
            return
        self._renewed += before is not None
        what = "found" if before is None else "renewed"
        where = got.source or type(self._source).__name__
        until = "" if got.expires_at is None else f" until {_time(got.expires_at)}"
        text = f"AWS credentials {what} ({where}): {got.shown_key}, good{until}."
        self._told.append((logging.INFO, text))

    def _fail(self, trouble: str, wall: float, now: float) -> None:
        wait = self._renewal.failed(now)
        self._trouble = trouble
        kept = self._credentials
        rest = ""
        if kept is not None:
            left = kept.expires_in_seconds(wall)
            rest = " The present ones go on being used."
            if left is not None:
                rest = f" The present ones are good for another {left:.0f} s."
        # What is an error of ours says it already.
        begin = "" if "credentials" in trouble else "AWS credentials could not be had: "
        text = f"{begin}{trouble.rstrip('.')}.{rest}"
        level = logging.INFO if trouble == self._warned else logging.WARNING
        self._warned = trouble
        self._told.append((level, f"{text} Trying again in {wait:.0f} s."))


def _understood(got: object) -> Credentials | str:
    """Take what a handler gives: ours, or boto3's; otherwise say what it is."""
    if isinstance(got, Credentials):
        return got
    if all(hasattr(got, name) for name in ("access_key", "secret_key", "token")):
        return taken_over(got)
    return (
        f"get_credentials() gave a {type(got).__name__}: give Credentials.of(…), or what boto3's "
        "Session.get_credentials() gives."
    )


def _time(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
