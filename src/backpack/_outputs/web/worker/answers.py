"""Make responses that give a browser nothing to go wrong with."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backpack._outputs.web.worker.aio import web

if TYPE_CHECKING:
    from collections.abc import Mapping

# Nothing but what this server itself has to give: no inline code, no third
# party, no frame around it. Blobs are snapshots and the video of Media Source.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)

_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cache-Control": "no-store",
    # aiohttp would name itself with its version, and Python's.
    "Server": "SpyGlass",
}

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


def dress(response: web.StreamResponse) -> None:
    """Add the headers that every answer has, where it has none of its own."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def json_answer(content: Any, status: int = 200) -> web.Response:  # noqa: ANN401 - JSON
    """Answer with JSON."""
    return web.Response(text=json.dumps(content), status=status, content_type="application/json")


def refuse(status: int, text: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """Answer with a line that says what is wrong and what to do."""
    return web.Response(text=text + "\n", status=status, headers=headers)


class Files:
    """
    Hold the files of the page, which come with the package.

    They are read once: a request names one of these, and no path.
    """

    def __init__(self) -> None:
        folder = Path(__file__).parent / "static"
        self._files = {
            path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in _TYPES
        }

    def page(self, name: str, status: int = 200) -> web.Response:
        """Return a page."""
        return web.Response(
            body=self._files[name], status=status, content_type="text/html", charset="utf-8"
        )

    def answer(self, name: str, known: str | None) -> web.Response:
        """Return a file, or say that the browser has it: ``known`` is its If-None-Match."""
        body = self._files.get(name)
        if body is None:
            return refuse(404, "There is no such file.")
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if known == tag:
            return web.Response(status=304, headers=headers)
        kind = _TYPES[Path(name).suffix]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
