"""Decide who may watch, and whether anybody else on the way can."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from backpack.errors import MissingDependencyError, SettingsError
from backpack.gst.gi import Gio, GLib, Gst
from backpack.gst.rtsp import GstRtsp, GstRtspServer
from backpack.packages import install_hint

if TYPE_CHECKING:
    from backpack.rtsp.settings import RTSPServerSettings

__all__ = ["grant", "make_auth"]

_VIEWER = "viewer"


def make_auth(settings: RTSPServerSettings) -> GstRtspServer.RTSPAuth | None:
    """
    Make what the server asks about every client. Main thread.

    Passwords go out as digests only (RFC 7616); the basic scheme would send
    them in clear.

    Returns:
        None: anybody may watch, in clear.

    Raises:
        SettingsError: The certificate or its key cannot be used.
        MissingDependencyError: GLib has no TLS here.

    """
    if not settings.users and not settings.secure:
        return None
    auth = GstRtspServer.RTSPAuth.new()
    auth.set_realm("SpyGlass")
    token = _token()
    if settings.users:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        for name, password in settings.users.items():
            auth.add_digest(name, password, token)
    else:
        auth.set_default_token(token)
    if settings.certificate is not None:
        auth.set_tls_certificate(_load_certificate(settings.certificate, settings.key))
    return auth


def grant(factory: GstRtspServer.RTSPMediaFactory) -> None:
    """Let those that `make_auth` lets in watch this factory's media."""
    role = Gst.Structure.new_empty(_VIEWER)
    role.set_value("media.factory.access", True)  # noqa: FBT003 - GStreamer's own call
    role.set_value("media.factory.construct", True)  # noqa: FBT003
    factory.add_role_from_structure(role)


def _token() -> GstRtspServer.RTSPToken:
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", _VIEWER)
    return token


def _load_certificate(certificate: str, key: str | None) -> Gio.TlsCertificate:
    if not Gio.TlsBackend.get_default().supports_tls():
        raise MissingDependencyError(
            f"rtsps:// needs TLS for GLib, which is missing. {install_hint('glib-networking')}"
        )
    try:
        if key is not None:
            return Gio.TlsCertificate.new_from_files(certificate, key)
        text = Path(certificate).read_text(encoding="ascii")
        return Gio.TlsCertificate.new_from_pem(text, len(text))
    except (GLib.Error, OSError, ValueError) as error:
        raise SettingsError(
            f"certificate={certificate!r} cannot be used for RTSPS: {error}. Give PEM files."
        ) from error
