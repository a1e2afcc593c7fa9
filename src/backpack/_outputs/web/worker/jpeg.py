"""Read what a snapshot says about itself."""

from __future__ import annotations

import re

_SOI_AND_COMMENT = b"\xff\xd8\xff\xfe"
_CAPTURED = re.compile(rb"captured_ns=(\d{1,20})")


def captured_ns(jpeg: bytes) -> int | None:
    """Return when a snapshot's frame was captured, since the epoch; None where it does not say."""
    if not jpeg.startswith(_SOI_AND_COMMENT):
        return None
    length = int.from_bytes(jpeg[4:6], "big")
    found = _CAPTURED.search(jpeg[6 : 4 + length])
    return int(found[1]) if found else None
