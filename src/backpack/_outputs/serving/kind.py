"""How the servers differ for the application: names, paths and ports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._registry import OutputType


@dataclass(frozen=True)
class Kind:
    """
    A kind of server.

    Attributes:
        type: The type of output, with schemes and ports.
        server: What people call it: ``RTSP server``.
        class_name: The class that the application uses.
        article: What stands before the name of the class.
        check_path: Returns a path that starts with a slash, or raises `SettingsError`.

    """

    type: OutputType
    server: str
    class_name: str
    article: str
    check_path: Callable[[str], str]

    def checked_path(self, path: str) -> str:
        """
        Return a path with its slash.

        Raises:
            SettingsError: No stream can have it.

        """
        return self.check_path(path if path.startswith("/") else f"/{path}")
