"""Web pages with live video: a server that shows streams in browsers."""

from __future__ import annotations

from backpack._outputs.web.server import WebServer
from backpack._outputs.web.spyglass import WebSpyGlass

__all__ = ["WebServer", "WebSpyGlass"]
