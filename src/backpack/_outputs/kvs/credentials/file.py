"""Keep the file through which AWS's own producer gets its credentials."""

from __future__ import annotations

import datetime as dt
import math
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from backpack._lib.timing import Backoff

if TYPE_CHECKING:
    import logging

    from backpack._outputs.kvs.credentials.credentials import Credentials

_UNKNOWN_EXPIRY_SECONDS: Final = 60 * 60.0
"""What is written where nobody says when a token runs out. kvssink counts on 40 minutes at most."""

_REWRITE_SECONDS: Final = 30 * 60.0
_MOST_KEY: Final = 128
_MOST_TOKEN: Final = 2048


def write_line(credentials: Credentials, *, wall: float) -> str:
    """
    Write credentials as kvssink reads them.

    It takes three words, or five: a time of expiry goes with a token and only
    with one, and must be in exactly this form (kvs-producer-c, FileCredentialProvider.c).

    Args:
        credentials: What to write.
        wall: Seconds since the epoch.

    Raises:
        ValueError: kvssink would refuse it.

    """
    key, secret, token = credentials.access_key, credentials.secret_key, credentials.session_token
    if len(key) > _MOST_KEY or len(secret.reveal()) > _MOST_KEY:
        raise ValueError(f"kvssink takes keys of {_MOST_KEY} letters at most")
    if token is None:
        return f"CREDENTIALS {key} {secret.reveal()}\n"
    if len(token.reveal()) > _MOST_TOKEN:
        raise ValueError(f"kvssink takes session tokens of {_MOST_TOKEN} letters at most")
    expires_at = credentials.expires_at
    if expires_at is None:
        expires_at = wall + _UNKNOWN_EXPIRY_SECONDS
    expiry = dt.datetime.fromtimestamp(int(expires_at), dt.timezone.utc)
    return (
        f"CREDENTIALS {key} {expiry.strftime('%Y-%m-%dT%H:%M:%SZ')} "
        f"{secret.reveal()} {token.reveal()}\n"
    )


def write_environment(credentials: Credentials, *, wall: float) -> str:  # noqa: ARG001 - a `Form`
    """Write credentials as variables, a line each, for who puts them into its environment."""
    return "".join(f"{name}={value}\n" for name, value in credentials.environment().items())


class Form(Protocol):
    """How credentials are written: `write_line` or `write_environment`."""

    def __call__(self, credentials: Credentials, *, wall: float) -> str:
        """Write them."""


class CredentialsFile:
    """
    Write credentials to a file of this user's, whole or not at all.

    kvssink reads it 38 to 3 seconds before the expiry that it holds, and ends
    for good if it finds nothing newer. So it is written as soon as credentials
    are renewed, which is minutes ahead. `open` and `close` are called by who
    uses it; `keep` by one thread in the background.

    Args:
        path: Where. None: in a directory of its own, which only this user can
            enter and which is deleted with it.
        form: How they are written; by default as kvssink reads them.

    """

    def __init__(self, path: str | None = None, *, form: Form = write_line) -> None:
        self._form = form
        self._given = None if path is None else Path(path)
        self._directory: Path | None = None
        # What is in it, and when that is to be written again.
        self._written: Credentials | None = None
        self._rewrite_at = math.inf
        self._backoff = Backoff(1.0, 30.0)
        self._not_before = -math.inf
        self._failures = 0
        self._trouble = ""

    def open(self) -> str:
        """
        Make the directory, where there is none of somebody else's.

        Returns:
            The path, at which there is nothing before credentials are found.

        Raises:
            OSError: It cannot be made.

        """
        if self._given is None and self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="spyglass-kvs-"))
        return self.path

    @property
    def path(self) -> str:
        """Where it is; empty before it is open."""
        if self._given is not None:
            return str(self._given)
        return "" if self._directory is None else str(self._directory / "credentials")

    @property
    def temporary_directory(self) -> str | None:
        """Which directory goes with it. None: it is in somebody else's, or not open."""
        return None if self._directory is None else str(self._directory)

    @property
    def is_written(self) -> bool:
        """Whether there is anything in it."""
        return self._written is not None

    @property
    def trouble(self) -> str:
        """Why it could not be written last time; empty if it could."""
        return self._trouble

    def keep(
        self, credentials: Credentials, *, wall: float, now: float, logger: logging.Logger
    ) -> float:
        """
        Write them if they are not what is in the file.

        Args:
            credentials: The present ones.
            wall: Seconds since the epoch.
            now: Seconds, monotonic.
            logger: Told if it cannot be written.

        Returns:
            Seconds until this is to be called again.

        """
        if self._is_written_with(credentials, wall):
            return self._rewrite_at - wall
        if now < self._not_before:
            return self._not_before - now
        try:
            self._write(self._form(credentials, wall=wall))
        except (OSError, ValueError) as error:
            return self._fail(error, now, logger)
        self._backoff.reset()
        self._trouble = ""
        self._written = credentials
        lasts = credentials.session_token is None or credentials.expires_at is not None
        self._rewrite_at = math.inf if lasts else wall + _REWRITE_SECONDS
        return self._rewrite_at - wall

    def close(self) -> None:
        """Delete the file, if its directory is ours. Idempotent."""
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)
        self._written = None

    def numbers(self) -> dict[str, Any]:
        """Return what goes into the statistics. Any thread."""
        return {
            "credentials_file_failures": self._failures,
            "credentials_file_trouble": self._trouble,
        }

    def _is_written_with(self, credentials: Credentials, wall: float) -> bool:
        return credentials.is_same(self._written) and wall < self._rewrite_at

    def _write(self, line: str) -> None:
        path = Path(self.path)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Readable by this user only, and under a name that nobody could guess and prepare.
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(line)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _fail(self, error: OSError | ValueError, now: float, logger: logging.Logger) -> float:
        wait = self._backoff.next_wait()
        self._not_before = now + wait
        self._failures += 1
        reason = error.strerror if isinstance(error, OSError) else str(error)
        self._trouble = f"credentials_path {self.path!r} cannot be written: {reason}."
        logger.warning("%s Trying again in %.0f s.", self._trouble, wait)
        return wait
