"""A SpyGlass whose stream is at a path of a server that the application starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._app.spyglass import SpyGlass
from backpack._outputs.serving.output import ServedOutput

if TYPE_CHECKING:
    import logging

    from backpack._outputs.serving.server import ListeningServer


class ServedSpyGlass(SpyGlass):
    """
    Stream to one path of a server.

    Args:
        server: The server.
        path: The path of the stream.
        parent_logger: As in `SpyGlass`.
        gst_log_file: As in `SpyGlass`.
        gst_log_level: As in `SpyGlass`.
        dotenv_path: As in `SpyGlass`.
        settings: The other settings of `SpyGlass`.

    Raises:
        SettingsError: A path or value is invalid.

    """

    def __init__(
        self,
        server: ListeningServer,
        path: str,
        parent_logger: logging.Logger | None = None,
        gst_log_file: str | None = None,
        gst_log_level: str | int | None = None,
        dotenv_path: str | None = None,
        **settings: Any,  # noqa: ANN401 - checked by SpyGlass
    ) -> None:
        output = ServedOutput(server, path, starts_server=False)
        super().__init__(
            output,
            parent_logger=parent_logger,
            gst_log_file=gst_log_file,
            gst_log_level=gst_log_level,
            dotenv_path=dotenv_path,
            **settings,
        )
        self.path = output.path
