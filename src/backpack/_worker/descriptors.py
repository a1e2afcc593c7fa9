"""Take as many descriptors as this machine lets a process have: each viewer needs some."""

from __future__ import annotations

import contextlib
import resource


def raise_limit() -> None:
    """
    Raise the soft limit of open descriptors to the hard one.

    The soft limit is 1,024 by default, since select(2) takes no larger numbers. Nothing
    of ours, and nothing of GStreamer's or aiohttp's, uses it; an application may, so its
    own limit stays.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
