"""
Open the door to GStreamer's WebRTC, apart from the rest.

A module of its own, because everything else works without it: its parts are
packages of their own in every distribution.

Raises:
    MissingDependencyError: An element, a library or its introspection data is
        missing.

"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from backpack._gst.factory import exists
from backpack._lib.packages import install_hint
from backpack.errors import MissingDependencyError

try:
    import gi

    gi.require_version("GstSdp", "1.0")
    gi.require_version("GstWebRTC", "1.0")
    from gi.repository import GstSdp, GstWebRTC
except (ImportError, ValueError, AttributeError) as _cause:
    _missing: str | None = str(_cause)
else:
    _NEEDED = ("webrtcbin", "nicesink", "dtlssrtpenc", "srtpenc", "rtprtxsend", "rtph264pay")
    _absent = [name for name in _NEEDED if not exists(name)]
    _missing = f"GStreamer has no {', '.join(_absent)}" if _absent else None

if TYPE_CHECKING:
    from backpack._gst.gi import Gst

_PACKAGES = ("gstreamer1.0-plugins-bad", "gstreamer1.0-nice", "gir1.2-gst-plugins-bad-1.0")

__all__ = ["GstSdp", "GstWebRTC", "ice_agent"]

if _missing is not None:
    raise MissingDependencyError(
        f"WebRTC is missing a part: {_missing}. {install_hint(*_PACKAGES)}"
    )


def ice_agent(webrtcbin: Gst.Element) -> Any:  # noqa: ANN401 - GstWebRTCNice has no introspection
    """
    Return a webrtcbin's ICE agent.

    GStreamer 1.22 keeps it by a floating reference, which Python takes for one
    that was given to it: later both let go of the same one. So it is given one.
    """
    agent = webrtcbin.get_property("ice-agent")
    if agent.__grefcount__ == 1:
        _gobject.g_object_ref(ctypes.c_void_p(hash(agent)))
    return agent


_gobject = ctypes.CDLL("libgobject-2.0.so.0")
_gobject.g_object_ref.restype = ctypes.c_void_p
_gobject.g_object_ref.argtypes = [ctypes.c_void_p]
