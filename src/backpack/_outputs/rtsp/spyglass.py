"""A stream on an RTSP server that the application starts and stops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._outputs.serving.spyglass import ServedSpyGlass

if TYPE_CHECKING:
    import logging

    from backpack._outputs.rtsp.server import RTSPServer


class RTSPSpyGlass(ServedSpyGlass):
    """
    One video stream on an `RTSPServer`, which the application starts and stops.

    ::

        server = RTSPServer(8554)
        door = RTSPSpyGlass(server, "/door")
        door.start_streaming()
        server.start()

    Args:
        server: The server; it may serve any number of streams.
        path: Path of the stream.
        parent_logger: As in `SpyGlass`.
        gst_log_file: As in `SpyGlass`.
        gst_log_level: As in `SpyGlass`.
        dotenv_path: As in `SpyGlass`.
        settings: The other arguments of `SpyGlass`.

    Raises:
        SettingsError: A path or value is invalid.

    """

    def __init__(
        self,
        server: RTSPServer,
        path: str,
        parent_logger: logging.Logger | None = None,
        gst_log_file: str | None = None,
        gst_log_level: str | int | None = None,
        dotenv_path: str | None = None,
        **settings: Any,  # noqa: ANN401 - checked by SpyGlass
    ) -> None:
        super().__init__(
            server, path, parent_logger, gst_log_file, gst_log_level, dotenv_path, **settings
        )
        self.server = server
