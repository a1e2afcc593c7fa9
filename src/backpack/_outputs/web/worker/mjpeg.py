"""Send JPEGs one after the other, for programs and pages that show nothing else."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

from backpack._outputs.web.worker.aio import web
from backpack._outputs.web.worker.answers import dress

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.web.worker.mount import Mount

INTERVAL_SECONDS = 0.2

AT_LEAST_SECONDS = 2.0
"""Between two pictures while the application is silent: a dead connection is found out so."""

SEND_SECONDS = 20.0
"""For one picture. Whoever takes longer has stopped reading."""

_BOUNDARY = "spyglass-frame"

_CARD = Path(__file__).with_name("waiting.jpg")
"""Says "waiting for frames", as `backpack._worker.placeholder` does to other viewers."""


async def send_pictures(
    request: web.BaseRequest, mount: Mount, width: int, is_there: Callable[[], bool]
) -> web.StreamResponse:
    """
    Send a stream's newest frames, five a second at most, until either side ends.

    Before the first frame a placeholder says that it is waited for.
    """
    response = web.StreamResponse(
        headers={"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"}
    )
    dress(response)
    # Made for other pages to show: they need the token, or a server that anybody may watch.
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    mount.snapshot_viewers += 1
    sent, sent_at = b"", 0.0
    try:
        while is_there() and not _has_gone(request):
            began = time.monotonic()
            jpeg = await mount.shot(width) or sent or _CARD.read_bytes()
            if jpeg != sent or began - sent_at > AT_LEAST_SECONDS:
                await asyncio.wait_for(response.write(_part(jpeg)), SEND_SECONDS)
                sent, sent_at = jpeg, began
            await asyncio.sleep(max(0.0, began + INTERVAL_SECONDS - time.monotonic()))
    except (ConnectionError, asyncio.TimeoutError):
        response.force_close()
    finally:
        mount.snapshot_viewers -= 1
    return response


def _has_gone(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


def _part(jpeg: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
    return head.encode() + jpeg + b"\r\n"
