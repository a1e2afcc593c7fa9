"""
Open the door to GStreamer's RTSP server, apart from the rest.

A module of its own, because encoding works without it: the library is a
package of its own in every distribution.

Raises:
    MissingDependencyError: The library or its introspection data is missing.

"""

from __future__ import annotations

from backpack.errors import MissingDependencyError
from backpack.gst import gi as _gi

try:
    import gi

    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GstRtsp, GstRtspServer
except (ImportError, ValueError) as _cause:
    raise MissingDependencyError(
        _gi.explain(
            f"The RTSP server cannot be loaded: {_cause}. It also needs the packages "
            "gir1.2-gst-rtsp-server-1.0 and gstreamer1.0-rtsp."
        )
    ) from _cause

__all__ = ["GstRtsp", "GstRtspServer"]
