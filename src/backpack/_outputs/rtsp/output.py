"""A path of an RTSP server as an output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._outputs.rtsp.server import RTSPServer
from backpack._outputs.serving import output

if TYPE_CHECKING:
    from backpack._app.output import OutputOptions


def output_from_url(url: str, options: OutputOptions) -> output.ServedOutput:
    """
    Return the output that a URL of this scheme stands for.

    Raises:
        SettingsError: The URL cannot be listened on.

    """
    return output.output_from_url(url, RTSPServer, options)
