"""Send JPEGs one after the other, for programs and pages that show nothing else."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from backpack.web.aio import web
from backpack.web.answers import dress

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack.web.mount import Mount

__all__ = ["send_pictures"]

INTERVAL_SECONDS = 0.2

AT_LEAST_SECONDS = 2.0
"""Between two pictures while the application is silent: a dead connection is found out so."""

SEND_SECONDS = 20.0
"""For one picture. Whoever takes longer has stopped reading."""

_BOUNDARY = "spyglass-frame"


class _Reader:
    """Be a guest that loses nothing: it is sent the newest frame whenever it has room."""

    lost = 0


async def send_pictures(
    request: web.BaseRequest, mount: Mount, width: int, is_there: Callable[[], bool]
) -> web.StreamResponse:
    """Send a stream's newest frames, five a second at most, until either side ends."""
    response = web.StreamResponse(
        headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"}
    )
    dress(response)
    # Made for other pages to show: they need the token, or a server that anybody may watch.
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    reader = _Reader()
    mount.welcome(reader)
    try:
        while is_there():
            soonest = asyncio.create_task(asyncio.sleep(INTERVAL_SECONDS))
            try:
                jpeg = await mount.shot(width)
                if jpeg is not None:
                    await asyncio.wait_for(response.write(_part(jpeg)), SEND_SECONDS)
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(mount.next_picture(), AT_LEAST_SECONDS)
                await soonest
            finally:
                soonest.cancel()
    except (ConnectionError, asyncio.TimeoutError):
        response.force_close()
    finally:
        mount.dismiss(reader)
    return response


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"
