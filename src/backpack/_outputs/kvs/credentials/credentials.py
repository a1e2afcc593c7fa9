"""AWS credentials, checked once."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field, replace
from typing import Final

from backpack._lib.secrets import Secret
from backpack.errors import SettingsError

# They go into headers and into a file of words: nothing that ends a line or a word.
_WORD: Final = re.compile(r"[\x21-\x7e]+")
# The name of the scope that is signed for has its parts between slashes, and ends at a comma.
_ACCESS_KEY: Final = re.compile(r"[\x21-\x2b\x2d\x2e\x30-\x7e]+")
_SHOWN: Final = 4
_SAME_SECONDS: Final = 1.0
_SOURCES: Final = {
    "env": "the environment (AWS_ACCESS_KEY_ID)",
    "inline": "the arguments",
    "shared-credentials-file": "a profile of ~/.aws/credentials",
    "config-file": "a profile of ~/.aws/config",
}
"""How sentences name what botocore calls so."""
_LAST_TIME: Final = 253_402_300_799
"""The end of the year 9999, where Python's calendar ends."""


@dataclass(frozen=True, repr=False)
class Credentials:
    """
    An access key and its secret. `of` takes plain texts.

    Attributes:
        access_key: Access key ID. Logs and errors show its first four letters
            only, which say whether it is a lasting one (AKIA) or not (ASIA).
        secret_key: What requests are signed with.
        session_token: Belongs to temporary credentials.
        expires_at: Seconds since the epoch. None if it is not known, or never.
        source: Where they were found, in botocore's words ("iam-role").

    Raises:
        SettingsError: A value is empty, or contains an invalid character.

    """

    access_key: str
    secret_key: Secret
    session_token: Secret | None = None
    expires_at: float | None = None
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Refuse what would be refused by AWS with an error that says less."""
        if not isinstance(self.access_key, str) or not _ACCESS_KEY.fullmatch(self.access_key):
            raise SettingsError("aws_access_key_id: it is empty, or no access key.")
        _check("aws_secret_access_key", self.secret_key)
        if self.session_token is not None:
            _check("aws_session_token", self.session_token)
        if self.expires_at is not None:
            real = isinstance(self.expires_at, (int, float))
            if not real or not 0 <= self.expires_at <= _LAST_TIME:
                raise SettingsError(
                    f"expires_at={self.expires_at!r}: give seconds since the epoch, or None."
                )

    @classmethod
    def of(
        cls,
        access_key: str,
        secret_key: str,
        session_token: str | None = None,
        expires_at: dt.datetime | float | None = None,
        *,
        source: str = "",
    ) -> Credentials:
        """
        Make credentials from plain strings, such as those of `AssumeRole`.

        Args:
            access_key: ``AccessKeyId``.
            secret_key: ``SecretAccessKey``.
            session_token: ``SessionToken``, if there is one.
            expires_at: ``Expiration``: a time with a time zone, or seconds
                since the epoch.
            source: Where they come from; shown in logs and numbers.

        Raises:
            SettingsError: A value is invalid.

        """
        if isinstance(expires_at, dt.datetime):
            if expires_at.tzinfo is None:
                raise SettingsError("expires_at: give a time that has a time zone.")
            expires_at = expires_at.timestamp()
        token = Secret(session_token) if session_token else None
        return cls(access_key, Secret(secret_key), token, expires_at, source)

    @property
    def shown_key(self) -> str:
        """As much of the access key as may be printed."""
        return f"{self.access_key[:_SHOWN]}…"

    @property
    def lasting_source(self) -> str:
        """Where they came from if nobody is known to renew them. Empty: they are renewed."""
        if self.expires_at is not None:
            return ""
        return _SOURCES.get(self.source, self.source) or "get_credentials()"

    def expires_in_seconds(self, now: float) -> float | None:
        """Return how much longer they are good, at ``now`` since the epoch; not below 0."""
        return None if self.expires_at is None else max(self.expires_at - now, 0.0)

    def is_good(self, now: float) -> bool:
        """Return whether they have not run out."""
        return self.expires_at is None or now < self.expires_at

    def is_same(self, other: Credentials | None) -> bool:
        """Return whether both are the same, and expire in the same second or so."""
        if other is None or (self.expires_at is None) != (other.expires_at is None):
            return False
        # What is found out by asking botocore is exact to a tenth.
        return abs((self.expires_at or 0.0) - (other.expires_at or 0.0)) <= _SAME_SECONDS and (
            replace(self, expires_at=None) == replace(other, expires_at=None)
        )

    def environment(self) -> dict[str, str]:
        """Return what AWS's programs read from their environment. It holds the secrets."""
        variables = {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key.reveal(),
        }
        if self.session_token is not None:
            variables["AWS_SESSION_TOKEN"] = self.session_token.reveal()
        return variables

    def __repr__(self) -> str:
        token = "" if self.session_token is None else f", session_token={self.session_token}"
        return (
            f"Credentials(access_key={self.shown_key!r}, secret_key={self.secret_key}{token}, "
            f"expires_at={self.expires_at}, source={self.source!r})"
        )


def _check(name: str, secret: Secret) -> None:
    text = secret.reveal() if isinstance(secret, Secret) else secret
    if not isinstance(text, str) or not text:
        raise SettingsError(f"{name}: it is empty, or no text.")
    if not isinstance(secret, Secret):
        raise SettingsError(f"{name}: give a Secret, or make the credentials with Credentials.of.")
    if not _WORD.fullmatch(text):
        raise SettingsError(
            f"{name}: there is a space, a line end or a letter in it that no {name} has."
        )
