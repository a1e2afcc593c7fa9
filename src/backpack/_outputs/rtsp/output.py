"""Serve a stream at a path of a server: the output as the application names it."""

from __future__ import annotations

from backpack._outputs.rtsp.server import KIND, RTSPServer
from backpack._outputs.serving.output import ServedOutput
from backpack._outputs.serving.place import place_of, running_server


class RTSPOutput(ServedOutput[RTSPServer]):
    """
    Serve a stream at one path of one server.

    Args:
        server: The server.
        path: The path, with or without its slash.
        starts_server: Whether the server runs exactly as long as streams need
            it. False: the application starts and stops it.
        required: Whether starting the server raises where nothing can stream.

    """


def output_from_url(
    url: str, *, allow_anonymous: bool = False, required: bool = False
) -> RTSPOutput:
    """
    Make the output that ``rtsp://[user:password@]host[:port]/path`` stands for.

    The same host and port are the same server.

    Raises:
        SettingsError: The URL cannot be listened on.

    """
    place = place_of(url, KIND)
    server = running_server(place, RTSPServer) or RTSPServer(
        place.port, address=place.address, users=place.users, allow_anonymous=allow_anonymous
    )
    return RTSPOutput(server, place.path, starts_server=True, required=required)
