"""Send streams to somewhere else: what the application makes for it."""

from __future__ import annotations

from backpack.push.sink import GstSink

__all__ = ["GstSink"]
