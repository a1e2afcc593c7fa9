"""Streams that are sent to somewhere else through a GStreamer pipeline."""

from __future__ import annotations

from backpack._outputs.gst.output import GstSink

__all__ = ["GstSink"]
