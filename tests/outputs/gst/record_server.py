"""Take a stream by RTSP's ANNOUNCE and RECORD, decode it, and write a line for each picture."""

from __future__ import annotations

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions come first


def main(port: str, *login: str) -> None:
    """Listen at a port of 127.0.0.1 until the process is ended, perhaps for one login only."""
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_transport_mode(GstRtspServer.RTSPTransportMode.RECORD)
    factory.set_launch(
        "( rtph264depay name=depay0 ! h264parse ! avdec_h264 "
        "! fakesink name=sink sync=false async=false signal-handoffs=true )"
    )
    factory.connect("media-configure", _on_media)
    server = GstRtspServer.RTSPServer()
    if login:
        _protect(server, factory, *login)
    server.set_address("127.0.0.1")
    server.set_service(port)
    server.get_mount_points().add_factory("/door", factory)
    server.attach(None)
    GLib.MainLoop().run()


def _protect(
    server: GstRtspServer.RTSPServer,
    factory: GstRtspServer.RTSPMediaFactory,
    user: str,
    password: str,
) -> None:
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "user")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_role("user")
    permissions.add_permission_for_role("user", "media.factory.access", True)  # noqa: FBT003
    permissions.add_permission_for_role("user", "media.factory.construct", True)  # noqa: FBT003
    factory.set_permissions(permissions)
    server.set_auth(auth)


def _on_media(_: GstRtspServer.RTSPMediaFactory, media: GstRtspServer.RTSPMedia) -> None:
    sink = media.get_element().get_by_name("sink")
    sink.connect("handoff", _on_picture)


def _on_picture(*_: object) -> None:
    sys.stdout.write("picture\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
