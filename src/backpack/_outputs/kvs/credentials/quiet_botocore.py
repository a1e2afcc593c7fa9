"""
Keep botocore from writing secrets into the log of an application that debugs.

At DEBUG botocore logs what it sends and what it gets: the session token in the
request that is signed (`botocore.auth`), the keys in STS' answer
(`botocore.parsers`), and an answer of the metadata service that it could not
read (`botocore.utils`). An application that turns DEBUG on for everything
does not mean that.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# A filter of a parent does not see its children's records, so each is named.
_TALKERS: Final = (
    "auth",
    "client",
    "configloader",
    "credentials",
    "endpoint",
    "hooks",
    "httpsession",
    "parsers",
    "regions",
    "retryhandler",
    "retries.standard",
    "tokens",
    "utils",
)


class _Hush(logging.Filter):
    """Hold back what a quiet_botocore thread logs in detail, and keep the errors it logs."""

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.local()

    @contextmanager
    def here(self) -> Iterator[list[BaseException]]:
        """Hush the calling thread; what it says and is an error is collected."""
        before = self._errors
        errors: list[BaseException] = []
        self._thread.errors = errors
        try:
            yield errors
        finally:
            self._thread.errors = before

    @property
    def _errors(self) -> list[BaseException] | None:
        return getattr(self._thread, "errors", None)

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide about one record, on the thread that logs it."""
        errors = self._errors
        if errors is None:
            return True
        if record.levelno <= logging.DEBUG:
            return False
        if record.exc_info and record.exc_info[1] is not None:
            errors.append(record.exc_info[1])
            # The error may quote an answer; the signer tells it without.
            record.exc_info = None
        return True


_hush = _Hush()


@contextmanager
def quiet_botocore() -> Iterator[list[BaseException]]:
    """
    Keep botocore quiet on this thread: nothing at DEBUG, and no tracebacks.

    Other threads log as they did. The filter stays where it is once it is
    needed: taking it away while another thread logs could make that one skip it.

    Yields:
        The errors that botocore logs instead of raising them, as they come.

    """
    for name in _TALKERS:
        # Does nothing where it is already.
        logging.getLogger(f"botocore.{name}").addFilter(_hush)
    with _hush.here() as errors:
        yield errors
