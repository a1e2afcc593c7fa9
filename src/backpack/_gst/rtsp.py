"""
Open the door to GStreamer's RTSP server, apart from the rest.

A module of its own, because encoding works without it: the library is a
package of its own in every distribution.

Raises:
    MissingDependencyError: The library or its introspection data is missing.

"""

from __future__ import annotations

from backpack._lib.packages import install_hint
from backpack.errors import MissingDependencyError

try:
    import gi

    # Where there is no GStreamer at all, this says so.
    import backpack._gst.gi  # noqa: F401

    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GstRtsp, GstRtspServer
except (ImportError, ValueError, AttributeError) as _cause:
    raise MissingDependencyError(
        f"RTSP needs GStreamer's RTSP server, which cannot be loaded: {_cause}. "
        + install_hint("gir1.2-gst-rtsp-server-1.0")
    ) from _cause

__all__ = ["GstRtsp", "GstRtspServer"]
