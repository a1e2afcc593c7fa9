"""A path of a server as an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._outputs.serving.place import need_certificate, place_of, running_server

if TYPE_CHECKING:
    from backpack._app.output import OutputOptions
    from backpack._outputs.serving.server import ListeningServer
    from backpack.errors import BackpackError


class ServedOutput:
    """
    Serve a stream at one path of one server.

    Args:
        server: The server.
        path: The path, with or without its slash.
        starts_server: Whether the server runs exactly as long as streams need
            it. False: the application starts and stops it.
        required: Whether starting the server raises where nothing can stream.

    Raises:
        SettingsError: No stream can stand at this path.

    """

    def __init__(
        self, server: ListeningServer, path: str, *, starts_server: bool, required: bool = False
    ) -> None:
        self.server = server
        self.path = server._kind.checked_path(path)  # noqa: SLF001 - of this room
        self._starts_server = starts_server
        self._required = required
        self._server_id = 0

    def describe(self) -> dict[str, Any]:
        """Return what the streaming process needs."""
        kind = self.server._kind  # noqa: SLF001
        return {"kind": kind.type.name, "server": self._server_id, "path": self.path}

    def acquire(self) -> None:
        """Take the path, and start the server where it is ours to start."""
        self._server_id = self.server._acquire(  # noqa: SLF001
            self.path, self, start=self._starts_server, required=self._required
        )

    def release(self) -> None:
        """Release the path, and stop the server where nobody needs it."""
        self.server._release(self.path, stop=self._starts_server)  # noqa: SLF001

    @property
    def failure(self) -> BackpackError | None:
        """Why its server does not listen though the streaming process runs. None: it may."""
        return self.server.failure

    def tell_failure(self) -> None:
        """Log `failure`, if there is one."""
        self.server._tell_failure()  # noqa: SLF001 - of this room

    def urls(self) -> list[str]:
        """Return the addresses of this stream with all that lets people in; none if not served."""
        if self.server._problem is not None:  # noqa: SLF001
            return []
        hosts = self.server._hosts()  # noqa: SLF001
        return [self.server.url(self.path, host) for host in hosts]


def output_from_url(
    url: str, server_class: type[ListeningServer], options: OutputOptions
) -> ServedOutput:
    """
    Return the output that ``scheme://[user:password@]host[:port]/path`` stands for.

    The same host and port are the same server.

    Raises:
        SettingsError: The URL cannot be listened on.

    """
    kind = server_class._kind  # noqa: SLF001 - of this room
    place = place_of(url, kind)
    users = {**options.users, **place.users}
    server = running_server(place, server_class, users)
    if server is None:
        if place.is_secure and options.certificate is None:
            raise need_certificate(place, kind)
        server = server_class._listening_at(place, options)  # noqa: SLF001
    return ServedOutput(server, place.path, starts_server=True, required=options.required)
