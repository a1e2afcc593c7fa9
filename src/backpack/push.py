"""Send streams to somewhere else: what the application makes for it."""

from __future__ import annotations

from backpack._outputs.gst.output import GstSink

__all__ = ["GstSink"]
