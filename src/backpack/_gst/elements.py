"""List the GStreamer elements that are used, and the packages that hold them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Element:
    """
    One element of GStreamer.

    Attributes:
        name: What GStreamer calls it.
        package: The package of Debian and its kin that holds it, or where
            else it comes from.
        needed_for: What does not work without it.
        required: Whether nothing is streamed without it.

    """

    name: str
    package: str
    needed_for: str
    required: bool = False


_BASE = "gstreamer1.0-plugins-base"
_GOOD = "gstreamer1.0-plugins-good"
_BAD = "gstreamer1.0-plugins-bad"
_UGLY = "gstreamer1.0-plugins-ugly"

ELEMENTS: tuple[Element, ...] = (
    Element("capsfilter", "libgstreamer1.0-0", "encoding", required=True),
    Element("appsrc", _BASE, "encoding and serving", required=True),
    Element("appsink", _BASE, "encoding", required=True),
    Element("h264parse", _BAD, "encoding", required=True),
    Element("videoconvert", _BASE, "colour conversion where libyuv is missing"),
    Element("videoscale", _BASE, "scaling where libyuv is missing"),
    Element("rtph264pay", _GOOD, "RTSP"),
    Element("rtpbin", _GOOD, "RTSP"),
    Element("udpsink", _GOOD, "RTSP over UDP"),
    Element("jpegenc", _GOOD, "snapshots on a page"),
    Element("webrtcbin", _BAD, "WebRTC"),
    Element("nicesrc", "gstreamer1.0-nice", "WebRTC"),
    Element("dtlssrtpenc", _BAD, "WebRTC"),
    Element("srtpenc", _BAD, "WebRTC"),
    Element("rtprtxsend", _GOOD, "WebRTC"),
    Element("rtspclientsink", "gstreamer1.0-rtsp", "pushing to an RTSP server"),
    Element("x264enc", _UGLY, "encoding in software"),
    Element("openh264enc", _BAD, "encoding in software where x264enc is missing"),
    Element("nvv4l2h264enc", "NVIDIA JetPack", "encoding on a Jetson"),
    Element("nvvidconv", "NVIDIA JetPack", "encoding on a Jetson"),
    Element("nvh264enc", _BAD, "encoding on an NVIDIA card"),
    Element("nvcudah264enc", _BAD, "encoding on an NVIDIA card"),
    Element("vah264enc", _BAD, "encoding on Intel and AMD graphics"),
    Element("vah264lpenc", _BAD, "encoding on Intel graphics"),
    Element("vaapih264enc", "gstreamer1.0-vaapi", "encoding on Intel and AMD graphics"),
    Element("qsvh264enc", _BAD, "encoding on Intel graphics"),
    Element("v4l2h264enc", _GOOD, "encoding on a Raspberry Pi and other boards"),
    Element("mpph264enc", "gstreamer1.0-rockchip1 of the board's maker", "encoding on Rockchip"),
    Element("vtenc_h264_hw", "GStreamer's own packages for macOS", "encoding on a Mac"),
)

_PACKAGES = {element.name: element.package for element in ELEMENTS}


def package_of(name: str) -> str | None:
    """Return where the element ``name`` comes from, None if the table does not know."""
    return _PACKAGES.get(name)
