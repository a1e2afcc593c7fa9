"""List what streaming needs of a machine, and the packages that hold it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from backpack.gst.elements import ELEMENTS, Element

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ALL_ELEMENTS", "BASICS", "NAMESPACES", "READING", "apt_line"]

READING: Final[tuple[Element, ...]] = (
    Element("uridecodebin", "gstreamer1.0-plugins-base", "serve: files and rtsp:// sources"),
    Element("rtspsrc", "gstreamer1.0-plugins-good", "serve: rtsp:// sources"),
    Element("v4l2src", "gstreamer1.0-plugins-good", "serve: cameras"),
    Element("jpegdec", "gstreamer1.0-plugins-good", "serve: cameras that give JPEG"),
    Element("avdec_h264", "gstreamer1.0-libav", "serve: H.264 files and streams"),
)
"""What ``spyglass serve`` reads with; the library itself does without."""

ALL_ELEMENTS: Final = ELEMENTS + READING

BASICS: Final = (
    "python3-gi",
    "python3-gst-1.0",
    "gir1.2-gstreamer-1.0",
    "gir1.2-gst-plugins-base-1.0",
    "gir1.2-gst-rtsp-server-1.0",
    "gstreamer1.0-plugins-base",
    "gstreamer1.0-plugins-good",
    "gstreamer1.0-plugins-bad",
    "gstreamer1.0-plugins-ugly",
    "libyuv0",
)
"""What to install where there is nothing yet."""

NAMESPACES: Final = {
    "Gst": "gir1.2-gstreamer-1.0",
    "GstApp": "gir1.2-gst-plugins-base-1.0",
    "GstVideo": "gir1.2-gst-plugins-base-1.0",
}
"""Introspection data that PyGObject names when it is missing."""

_APT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.+-]+")


def apt_line(packages: Iterable[str]) -> str | None:
    """Give the one line that installs packages; what apt does not have is left out."""
    names = sorted({name for name in packages if _APT_NAME.fullmatch(name)})
    return f"sudo apt install {' '.join(names)}" if names else None
