"""List GStreamer's elements and introspection data that `spyglass doctor` looks for."""

from __future__ import annotations

from typing import Final

from backpack._gst.elements import ELEMENTS, Element

READING: Final[tuple[Element, ...]] = (
    Element("uridecodebin", "gstreamer1.0-plugins-base", "serve: files and rtsp:// sources"),
    Element("rtspsrc", "gstreamer1.0-plugins-good", "serve: rtsp:// sources"),
    Element("v4l2src", "gstreamer1.0-plugins-good", "serve: cameras"),
    Element("jpegdec", "gstreamer1.0-plugins-good", "serve: cameras that give JPEG"),
    Element("avdec_h264", "gstreamer1.0-libav", "serve: H.264 files and streams"),
)
"""What ``spyglass serve`` reads with; the library itself does without."""

ALL_ELEMENTS: Final = ELEMENTS + READING

NAMESPACES: Final = {
    "Gst": "gir1.2-gstreamer-1.0",
    "GstApp": "gir1.2-gst-plugins-base-1.0",
    "GstVideo": "gir1.2-gst-plugins-base-1.0",
}
"""Introspection data that PyGObject names when it is missing."""
