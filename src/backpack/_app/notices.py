"""Messages that people must see, also in an application that has configured no logging."""

from __future__ import annotations

import contextlib
import logging
import os
import sys


def notify(logger: logging.Logger, level: int, text: str, *, always: bool = False) -> None:
    """
    Log a line; in an application that has configured no logging, write it to standard error.

    Any thread. The package's own handler shows nothing, so that logs go where
    the application wants them; an application that wants them nowhere in
    particular would leave its user without the address, or without the reason
    why there is none.

    Args:
        logger: Where the line belongs.
        level: Its level, such as ``logging.WARNING``.
        text: One line, without a name in front.
        always: Whether it is also written where logging is configured and
            leaves this level out.

    """
    logger.log(level, "%s", text)
    if not _shows(logger, level if always else logging.CRITICAL):
        with contextlib.suppress(OSError, ValueError):
            _write(f"SpyGlass: {text}\n")


def _write(text: str) -> None:
    """
    Write to standard error, or to what the application has put in its place, if anything.

    Past Python's own buffer: what cannot be written, since the descriptor is closed or
    nobody reads it, would stay there. At its end the application would write it into
    whatever has that descriptor by then, or end with status 120 (Python 3.13).
    """
    own = sys.__stderr__
    if own is not None and sys.stderr is own:
        own.flush()
        os.write(own.fileno(), text.encode(own.encoding, "backslashreplace"))
    elif sys.stderr is not None:
        sys.stderr.write(text)


def _shows(logger: logging.Logger, level: int) -> bool:
    """Whether a handler takes what is logged at this level."""
    if not logger.isEnabledFor(level):
        return False
    one: logging.Logger | None = logger
    while one is not None:
        for handler in one.handlers:
            if handler.level <= level and not isinstance(handler, logging.NullHandler):
                return True
        one = one.parent if one.propagate else None
    return False
