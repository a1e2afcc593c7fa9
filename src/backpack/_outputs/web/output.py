"""Show a stream at a path of a web server: the output as the application names it."""

from __future__ import annotations

from backpack._outputs.serving.output import ServedOutput
from backpack._outputs.serving.place import place_of, running_server
from backpack._outputs.web.server import KIND, WebServer


class WebOutput(ServedOutput[WebServer]):
    """
    Show a stream at one path of one web server.

    Args:
        server: The server.
        path: The path, with or without its slash.
        starts_server: Whether the server runs exactly as long as streams need
            it. False: the application starts and stops it.
        required: Whether starting the server raises where nothing can stream.

    """


def output_from_url(
    url: str, *, allow_anonymous: bool = False, required: bool = False
) -> WebOutput:
    """
    Make the output that ``http://[user:password@]host[:port]/path`` stands for.

    The same host and port are the same server.

    Raises:
        SettingsError: The URL cannot be listened on.

    """
    place = place_of(url, KIND)
    server = running_server(place, WebServer) or WebServer(
        place.port, address=place.address, users=place.users, allow_anonymous=allow_anonymous
    )
    return WebOutput(server, place.path, starts_server=True, required=required)
