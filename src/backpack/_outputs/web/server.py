"""Show streams in browsers: the web server as the application makes it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, ClassVar

from backpack._lib.tls import absolute_path
from backpack._lib.validation import DEFAULT_MAX_VIEWERS, port_number
from backpack._outputs.serving.kind import Kind
from backpack._outputs.serving.server import ListeningServer
from backpack._outputs.web.settings import (
    DEFAULT_PORT,
    WebServerSettings,
    check_stream_path,
)
from backpack._registry import type_named

if TYPE_CHECKING:
    import logging
    import os
    from collections.abc import Iterable, Mapping, Sequence

    from typing_extensions import Self

    from backpack._app.output import OutputOptions
    from backpack._outputs.serving.place import Place

KIND = Kind(
    type=type_named("web"),
    server="web server",
    class_name="WebServer",
    article="a",
    check_path=check_stream_path,
)

_TOKEN_BYTES = 24
"""192 bits, 32 characters: nobody throttle that, however fast they may try."""


class WebServer(ListeningServer):
    """
    A server for browsers, with any number of streams on one TCP port.

    The server itself runs in the streaming process. It listens on this
    machine's loopback address unless another one is given. The address that
    `url` returns contains a token, without which nobody may watch. The token
    is the same for as long as this object exists.

    Any thread may call any method.

    Args:
        port: TCP port. 0: a free one; `port` is its number once started.
        parent_logger: Parent of the logger that is used. None: ``backpack.web``.
        address: Address of this machine to listen on; ``"0.0.0.0"`` for all.
        token: The token. None: one is made.
        users: Names and passwords that are accepted instead of the token.
        certificate: File with a TLS certificate (PEM), which makes it HTTPS.
        key: File with the certificate's private key (PEM). None: it is in
            the same file.
        allow_anonymous: Whether anybody who reaches the address may watch. No
            token is made then.
        allowed_hosts: Host names that browsers may use for it, besides this
            machine's own.
        max_viewers: Most viewers at a time.
        udp_ports: First and last UDP port for WebRTC. None: any.
        required: Whether `start` raises where streaming cannot run at all.
            Otherwise that is logged and tried again.

    Raises:
        SettingsError: A value is invalid.

    """

    _kind: ClassVar[Kind] = KIND
    _has_secret_address: ClassVar[bool] = True
    _settings: WebServerSettings

    def __init__(  # noqa: PLR0913 - every setting has a name
        self,
        port: str | int = DEFAULT_PORT,
        parent_logger: logging.Logger | None = None,
        *,
        address: str = "127.0.0.1",
        token: str | None = None,
        users: Mapping[str, str] | None = None,
        certificate: str | os.PathLike[str] | None = None,
        key: str | os.PathLike[str] | None = None,
        allow_anonymous: bool = False,
        allowed_hosts: Iterable[str] = (),
        max_viewers: int = DEFAULT_MAX_VIEWERS,
        udp_ports: tuple[int, int] | None = None,
        required: bool = False,
    ) -> None:
        # One that was given is known already, and is never told again.
        self._tells_token = token is None
        if token is None and not allow_anonymous:
            token = _new_token()
        settings = WebServerSettings(
            address=address,
            port=port_number(port),
            token=token,
            users=dict(users or {}),
            certificate=absolute_path(certificate),
            key=absolute_path(key),
            allow_anonymous=allow_anonymous,
            # A plain text would come apart into letters.
            allowed_hosts=(allowed_hosts,)
            if isinstance(allowed_hosts, str)
            else tuple(allowed_hosts),
            max_viewers=max_viewers,
            udp_ports=udp_ports,
        )
        super().__init__(settings, parent_logger, required=required)

    @classmethod
    def _listening_at(cls, place: Place, options: OutputOptions) -> Self:
        # One that was given is not announced.
        is_quiet = not options.announces and not options.allow_anonymous
        return cls(
            place.port,
            address=place.address,
            token=_new_token() if is_quiet else None,
            users={**options.users, **place.users},
            certificate=options.certificate if place.is_secure else None,
            key=options.key if place.is_secure else None,
            allow_anonymous=options.allow_anonymous,
            allowed_hosts=options.allowed_hosts,
        )

    @property
    def token(self) -> str | None:
        """The token. None if anybody may watch."""
        return self._settings.token

    @property
    def streams(self) -> list[str]:
        """The paths that are shown."""
        return list(self._paths)

    def url(self, path: str = "/", host: str | None = None) -> str:
        """Return the address of the list of streams, or of one stream, with the token."""
        secret = "" if self.token is None else f"?token={self.token}"
        return f"{super().url(path, host)}{secret}"

    def __repr__(self) -> str:
        """Show where it listens, and not its token."""
        return f"<{type(self).__name__} {self._origin()} streams={self.streams}>"

    def _announcement(self, hosts: Sequence[str]) -> str:
        # As Jupyter does: nobody else knows a token that was just made. Once, so that a log
        # that is kept does not get it with every start.
        if not self._tells_token:
            return ""
        self._tells_token = False
        return f"watch at {self.url('/', hosts[0])}"


def _new_token() -> str:
    return secrets.token_urlsafe(_TOKEN_BYTES)
