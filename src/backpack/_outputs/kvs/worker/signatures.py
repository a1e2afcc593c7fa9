"""Signatures, asked of the application, with one in reserve for when it has gone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.messages import Sign, write_message

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.messages import Signed
    from backpack._outputs.kvs.shared.api import Request

SPARE_SECONDS = 120.0
"""Between two spare heads. AWS takes a signature for five minutes."""

APP_GONE = "The application has gone; nobody is left to sign for it."


@dataclass(frozen=True)
class Signature:
    """
    A head that was signed.

    Attributes:
        head: Request line and headers: never log it.
        good_until: When AWS takes it no longer.
        expires_at: When the credentials run out. None: never.
        keys_of: See `SignedHead`.

    """

    head: bytes = field(repr=False)
    good_until: float
    expires_at: float | None = None
    keys_of: str = ""

    @classmethod
    def of(cls, message: Signed, now: float) -> Signature:
        """Take what the application has signed."""
        signed = message.signed_head
        lasts = signed.expires_in_seconds
        expires_at = None if lasts is None else now + lasts
        return cls(signed.head, now + signed.good_seconds, expires_at, signed.keys_of)

    def is_good(self, now: float) -> bool:
        """Return whether AWS would take it."""
        return now < self.good_until and (self.expires_at is None or now < self.expires_at)

    def expires_in(self, now: float) -> float | None:
        """Return how long the credentials last. None: for ever."""
        return None if self.expires_at is None else self.expires_at - now


class Signatures:
    """
    Ask one question at a time, beside that for the spare.

    A question that is not waited for any more is forgotten, and its answer
    ignored. The spare is a signature of the PutMedia request that was last
    granted. Once the application has gone it opens further connections to the
    same endpoint. The start time in it is an old one then: times of fragments
    are absolute, and that header is the base of relative ones only.

    One thread's. Reads no clock.

    Args:
        say: Carries a message to the application.

    """

    def __init__(self, say: Callable[[dict[str, Any]], None]) -> None:
        self._say = say
        self._numbers = 0
        # The question that is waited for. 0: none.
        self._asked = 0
        self._spare_asked = 0
        self._spare_for: Request | None = None
        self._spare: Signature | None = None
        # When to ask for the next spare.
        self.wake_at: float | None = None
        self.app_has_gone = False

    def ask(self, request: Request, *, renew: bool) -> None:
        """Ask for a signature; the question before is forgotten."""
        self._asked = self._question(request, renew=renew)

    def forget(self) -> None:
        """Wait for no signature any more."""
        self._asked = 0

    def on_app_exit(self) -> bool:
        """Called when nobody answers any more. True: somebody waited for an answer."""
        self.app_has_gone = True
        self.wake_at = None
        asked, self._asked = self._asked, 0
        return asked > 0

    def take(self, message: Signed, now: float) -> Signature | str | None:
        """
        Take an answer.

        Returns:
            The signature, or why there is none. None: it was not waited for,
            or is the spare one.

        """
        if message.number == self._spare_asked:
            self._spare_asked = 0
            if message.head:
                self._spare = Signature.of(message, now)
            return None
        if message.number != self._asked:
            return None
        self._asked = 0
        if message.head:
            return Signature.of(message, now)
        return message.trouble or "The application could not sign."

    def keep_spare(self, request: Request, now: float) -> None:
        """Have a spare for a request, from now on."""
        if self._spare_for is None or self._spare_for.endpoint != request.endpoint:
            self._spare = None
            self.wake_at = now
        self._spare_for = request
        self.tick(now)

    def tick(self, now: float) -> None:
        """Ask for another spare if it is time for it."""
        if self._spare_for is None or self.app_has_gone:
            return
        if self.wake_at is not None and now >= self.wake_at:
            self._spare_asked = self._question(self._spare_for, renew=False)
            self.wake_at = now + SPARE_SECONDS

    def spare(self, endpoint: str, now: float) -> Signature | None:
        """Return the spare signature if the application is gone, and it is good there."""
        spare, request = self._spare, self._spare_for
        if not self.app_has_gone or spare is None or request is None:
            return None
        return spare if request.endpoint == endpoint and spare.is_good(now) else None

    def _question(self, request: Request, *, renew: bool) -> int:
        self._numbers += 1
        self._say(write_message(Sign.of(self._numbers, request, renew=renew)))
        return self._numbers
