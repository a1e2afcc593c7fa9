"""Say what a person must see, also in an application that has configured no logging."""

from __future__ import annotations

import contextlib
import logging
import sys

__all__ = ["notify"]


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
    if not _shows(logger, level if always else logging.CRITICAL) and sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(f"SpyGlass: {text}\n")


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
