"""Say in what the kinds of servers differ for the application: names, ports, paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Kind:
    """
    One kind of server.

    Attributes:
        room: The room it stands in. The streaming process knows it by this
            name, too.
        server: What people call it: ``RTSP server``.
        class_name: What the application makes.
        article: What stands before the name of the class.
        scheme: That of its URLs.
        secure_scheme: The same with TLS.
        port: Where it listens if nothing else is said.
        secure_port: Where one with TLS usually listens.
        check_path: Gives a path with its slash back, or raises `SettingsError`.

    """

    room: str
    server: str
    class_name: str
    article: str
    scheme: str
    secure_scheme: str
    port: int
    secure_port: int
    check_path: Callable[[str], str]

    def checked_path(self, path: str) -> str:
        """
        Give a path with its slash.

        Raises:
            SettingsError: No stream can stand there.

        """
        return self.check_path(path if path.startswith("/") else f"/{path}")
