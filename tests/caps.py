"""Read GStreamer's caps from their text: Python's own view of them differs between versions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backpack._gst.gi import Gst

__all__ = ["field"]


def field(caps: Gst.Caps, name: str) -> str:
    """Give a field of the first structure as text, empty where there is none."""
    found = re.search(rf'\b{name}=(?:\([a-z]+\))?"?([^,;"]*)', caps.to_string())
    return found.group(1).strip() if found else ""
