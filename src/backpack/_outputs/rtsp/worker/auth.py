"""Decide who may watch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from backpack._gst.gi import Gst
from backpack._gst.rtsp import GstRtsp, GstRtspServer
from backpack._outputs.serving.worker.throttle import LoginThrottle

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.rtsp.settings import RTSPServerSettings
    from backpack._outputs.serving.worker.connections import Connection

_VIEWER = "viewer"

_BEFORE_ALL = "auth.check.url"
"""GST_RTSP_AUTH_CHECK_URL: asked before a request is looked into."""

_FOR_MEDIA = "auth.check.media.factory.access"
"""GST_RTSP_AUTH_CHECK_MEDIA_FACTORY_ACCESS."""

MOST_REFUSED = 16
"""Logins of one connection that are answered without a look at them, before it is closed."""


class Auth(GstRtspServer.RTSPAuth):
    """
    Ask every request but OPTIONS for the login, whichever path it names.

    Left alone, gst-rtsp-server (1.22) asks when a path has been found, and for
    DESCRIBE and SETUP only: who has no login learns which paths there are, and may
    pause or end a session whose number it has seen. A connection that has logged
    in need not say so again: not all players do with each request.

    Passwords go out as digests only (RFC 7616); the basic scheme would send
    them in clear.

    All is asked on the clients' thread, of which there is one.
    """

    def __init__(self, door: str, on_wrong: Callable[[], object]) -> None:
        super().__init__()
        self.throttle = LoginThrottle(door)
        self._on_wrong = on_wrong
        # Client's hash, which is the object's address → its connection. The clients
        # themselves would be kept alive.
        self._connections: dict[int, Connection] = {}
        self._clock: Callable[[], float] = time.monotonic

    def know(self, client: GstRtspServer.RTSPClient, connection: Connection) -> None:
        """Note by which connection a client comes. Main thread, before its first request."""
        self._connections[hash(client)] = connection

    def forget(self, client: GstRtspServer.RTSPClient) -> None:
        """Called when a client is gone. Idempotent."""
        self._connections.pop(hash(client), None)

    def do_check(self, context: GstRtspServer.RTSPContext, check: str) -> bool:
        """Let a request pass, or have it answered with 401."""
        if check != _BEFORE_ALL:
            return bool(GstRtspServer.RTSPAuth.do_check(self, context, check))
        if context.method == GstRtsp.RTSPMethod.OPTIONS:
            return True
        connection = self._connections.get(hash(context.client))
        if connection is None:
            return False
        return connection.is_logged_in or self._log_in(context, connection)

    def _log_in(self, context: GstRtspServer.RTSPContext, connection: Connection) -> bool:
        guessed = bool(
            context.request.parse_auth_credentials(GstRtsp.RTSPHeaderField.AUTHORIZATION)
        )
        now = self._clock()
        if guessed and self.throttle.is_shut_out(connection.address, now):
            return self._refuse(context, connection)
        GstRtspServer.RTSPAuth.do_authenticate(self, context)
        token: object | None = context.token
        if token is not None:
            connection.is_logged_in = True
            return True
        if guessed:
            self.throttle.wrong(connection.address, now)
            self._on_wrong()
        # Answers with 401 and a challenge, since there is no login.
        GstRtspServer.RTSPAuth.do_check(self, context, _FOR_MEDIA)
        return False

    def _refuse(self, context: GstRtspServer.RTSPContext, connection: Connection) -> bool:
        """Do not even compare a login with what is right, and ask for none."""
        connection.refused += 1
        if connection.refused > MOST_REFUSED:
            connection.close()
            return False
        # A request cannot be changed from Python. What no method is supported for fails;
        # without a challenge players give up, and say why.
        self.set_supported_methods(GstRtsp.RTSPAuthMethod.NONE)
        try:
            GstRtspServer.RTSPAuth.do_check(self, context, _FOR_MEDIA)
        finally:
            self.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        return False


def make_auth(
    settings: RTSPServerSettings, port: int, on_wrong: Callable[[], object]
) -> Auth | None:
    """
    Make what the server asks about every client. Main thread.

    Args:
        settings: They name the users.
        port: Where it listens; for the log.
        on_wrong: Called after a wrong login. On the clients' thread.

    Returns:
        None: anybody may watch.

    """
    if not settings.users:
        return None
    auth = Auth(f"the RTSP server on port {port}", on_wrong)
    auth.set_realm("SpyGlass")
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", _VIEWER)
    for name, password in settings.users.items():
        auth.add_digest(name, password, token)
    return auth


def grant(factory: GstRtspServer.RTSPMediaFactory) -> None:
    """Let those that `make_auth` lets in watch this factory's media."""
    role = Gst.Structure.new_empty(_VIEWER)
    role.set_value("media.factory.access", True)  # noqa: FBT003 - GStreamer's own call
    role.set_value("media.factory.construct", True)  # noqa: FBT003
    factory.add_role_from_structure(role)
