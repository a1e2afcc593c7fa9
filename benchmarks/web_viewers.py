"""
Be many viewers in browsers, without a browser: a WebSocket each, as the page uses it.

Runs as a process of its own. Every picture is acknowledged the moment it is
there; nothing is decoded, which is work of other machines.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qs, urlsplit

import aiohttp

from backpack._outputs.web.worker.protocol import HEADER, SHOWN
from benchmarks.remote import Answer, Inbox, serve

if TYPE_CHECKING:
    from collections.abc import Coroutine

FIRST_PICTURE_LIMIT_SECONDS = 20.0
PING_SECONDS = 2.0

_Result = TypeVar("_Result")


class Viewer:
    """
    Watch over one WebSocket. The loop's thread only, except for the numbers.

    Attributes:
        shown: Pictures that came and were acknowledged.
        missing: Pictures in between that were not sent.
        received: Bytes of pictures.

    """

    def __init__(self) -> None:
        self.shown = 0
        self.missing = 0
        self.received = 0
        self._first = asyncio.Event()
        self._sequence = 0
        self._task: asyncio.Task[None] | None = None

    async def open(self, session: aiohttp.ClientSession, url: str) -> None:
        """Connect, and wait for the first picture."""
        # max_msg_size: a key frame may be larger than aiohttp thinks right.
        ws = await session.ws_connect(url, max_msg_size=0)
        self._task = asyncio.create_task(self._run(ws))
        await asyncio.wait_for(self._first.wait(), FIRST_PICTURE_LIMIT_SECONDS)

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        ping = asyncio.create_task(self._ping(ws))
        try:
            async for message in ws:
                if message.type == aiohttp.WSMsgType.BINARY:
                    sequence = HEADER.unpack_from(message.data)[3]
                    await ws.send_bytes(SHOWN.pack(sequence))
                    self._count(sequence, len(message.data))
        finally:
            ping.cancel()
            await ws.close()

    async def _ping(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            said = {"type": "ping", "sent": time.monotonic() * 1000, "round_trip_ms": None}
            await ws.send_str(json.dumps(said))
            await asyncio.sleep(PING_SECONDS)

    def _count(self, sequence: int, size: int) -> None:
        if self._sequence:
            self.missing += sequence - self._sequence - 1
        self._sequence = sequence
        self.shown += 1
        self.received += size
        self._first.set()


class Viewers:
    """Carry out what the directing process asks for, on a loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._session: aiohttp.ClientSession | None = None
        self._viewers: list[Viewer] = []

    def watch(self, url: str, count: int) -> Answer:
        """Open viewers and wait until each has its first picture."""
        self._do(self._watch(url, count))
        return {}

    def counted(self) -> Answer:
        """Tell for each viewer how many pictures it has shown, and what it lacks."""
        return {
            "shown": [one.shown for one in self._viewers],
            "missing": [one.missing for one in self._viewers],
            "bytes": [one.received for one in self._viewers],
        }

    def leave(self) -> Answer:
        """Close all viewers."""
        self._do(self._leave())
        return {}

    def close(self) -> None:
        """End everything."""
        self._do(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _watch(self, url: str, count: int) -> None:
        parts = urlsplit(url)
        token = parse_qs(parts.query)["token"][0]
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(limit=0),
        )
        self._viewers = [Viewer() for _ in range(count)]
        address = f"ws://{parts.netloc}{parts.path}/ws"
        await asyncio.gather(*(one.open(self._session, address) for one in self._viewers))

    async def _leave(self) -> None:
        await asyncio.gather(*(one.close() for one in self._viewers))
        self._viewers = []
        if self._session is not None:
            await self._session.close()
        self._session = None


def main() -> None:
    """Serve the directing process."""
    viewers = Viewers()
    serve({"watch": viewers.watch, "counted": viewers.counted, "leave": viewers.leave}, Inbox(0))
    viewers.close()


if __name__ == "__main__":
    main()
