"""Serve one viewer over one WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from backpack._outputs.web.worker.aio import aiohttp, web
from backpack._outputs.web.worker.pacing import Flow
from backpack._outputs.web.worker.protocol import SHOWN

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.web.worker.mount import Mount

LARGEST_MESSAGE_BYTES = 4096
"""That a page may send."""

MOST_WAITING = 1000
"""Messages that wait to be sent. Pictures are far fewer; somebody asks without reading."""

# RFC 6455, 7.4.1
_NORMAL = 1000
_POLICY_VIOLATION = 1008


class WebSocketViewer:
    """
    One page that watches one path. Asyncio's thread only.

    It lives as long as its WebSocket; whether a stream is there at present is
    another question, and `mount` the answer.

    Args:
        ws: The WebSocket, open.
        path: What it watches.

    """

    def __init__(self, ws: web.WebSocketResponse, path: str) -> None:
        self._ws = ws
        self.path = path
        self.flow = Flow()
        self._mount: Mount | None = None
        # Whether the page wants pictures now: it is neither paused nor hidden.
        self._plays = True
        # Whether we are among the mount's viewers.
        self._is_watching = False
        # Set to the code to close with.
        self._end: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._outbox: deque[str | bytes] = deque()
        self._filled = asyncio.Event()
        self._answers: dict[str, Callable[[dict[str, Any]], None]] = {
            "ping": self._on_ping,
            "pause": self._on_pause,
            "play": self._on_play,
            "resync": self._on_resync,
        }

    @property
    def is_watching(self) -> bool:
        """Whether it gets pictures."""
        return self._is_watching

    async def run(self) -> None:
        """Serve until either side closes."""
        tasks = [asyncio.create_task(work) for work in (self._hear(), self._send())]
        ends: list[asyncio.Future[Any]] = [*tasks, self._end]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.mounted(None)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        # From here alone: two who close at the same time confuse aiohttp.
        code = self._end.result() if self._end.done() else _NORMAL
        with contextlib.suppress(ConnectionError, RuntimeError):
            await self._ws.close(code=code)

    # --- for the site and the mount ---------------------------------------------

    def mounted(self, mount: Mount | None) -> None:
        """Called when a stream is there now, or none any more."""
        self._watch(wanted=False)
        self._mount = mount
        self.flow.restart()
        if mount is not None:
            self._watch(wanted=self._plays)

    def say(self, message: dict[str, Any]) -> None:
        """Send a JSON message, in line with the pictures."""
        self._put(json.dumps(message))

    def offer(self, message: bytes, sequence: int, pts_us: int, *, key: bool) -> None:
        """Send a picture, if this viewer is to have it."""
        now_us = time.monotonic_ns() // 1000
        if self.flow.admit(sequence, pts_us, key=key, now_us=now_us):
            self._put(message)
        elif self.flow.is_stalled(now_us):
            self._watch(wanted=False)
        elif self._mount is not None and self.flow.take_key_request(now_us):
            self._mount.hub.request_key_frame()

    def close(self, code: int) -> None:
        """Have the WebSocket closed, soon."""
        if not self._end.done():
            self._end.set_result(code)

    # --- what the page says -----------------------------------------------------

    async def _hear(self) -> None:
        async for message in self._ws:
            if not self._take(message):
                self.close(_POLICY_VIOLATION)
                return

    def _take(self, message: aiohttp.WSMessage) -> bool:
        """Follow a message; False: no page of ours would send that."""
        if message.type == aiohttp.WSMsgType.BINARY:
            if len(message.data) != SHOWN.size:
                return False
            self._on_shown(SHOWN.unpack(message.data)[0])
            return True
        if message.type != aiohttp.WSMsgType.TEXT:
            return False
        try:
            said = json.loads(message.data)
            answer = self._answers.get(said["type"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        if answer is not None:
            answer(said)
        return len(self._outbox) < MOST_WAITING

    def _on_shown(self, sequence: int) -> None:
        self.flow.shown(sequence)
        self._watch(wanted=self._plays)
        if self._mount is not None and self.flow.take_key_request(time.monotonic_ns() // 1000):
            self._mount.hub.request_key_frame()

    def _on_ping(self, said: dict[str, Any]) -> None:
        round_trip_ms = said.get("round_trip_ms")
        if isinstance(round_trip_ms, (int, float)) and 0 <= round_trip_ms < 1e6:  # noqa: PLR2004 - NaN and worse
            self.flow.note_round_trip(int(round_trip_ms * 1000))
        sent = said.get("sent")
        if isinstance(sent, (int, float)):
            now_ns = time.monotonic_ns()
            self.say({"type": "pong", "sent": sent, "mono_us": now_ns // 1000})

    def _on_pause(self, _said: dict[str, Any]) -> None:
        self._plays = False
        self._watch(wanted=False)

    def _on_play(self, _said: dict[str, Any]) -> None:
        self._plays = True
        self._watch(wanted=True)

    def _on_resync(self, _said: dict[str, Any]) -> None:
        """Begin again at a key frame: the page's decoder has."""
        if self._mount is None or not self._is_watching:
            self._watch(wanted=self._plays)
            return
        self.flow.resync()
        self.say(self._mount.hello())
        if self.flow.take_key_request(time.monotonic_ns() // 1000):
            self._mount.hub.request_picture()

    def _watch(self, *, wanted: bool) -> None:
        if self._mount is None or wanted == self._is_watching:
            return
        self._is_watching = wanted
        if wanted:
            self.flow.restart()
            self._mount.join(self)
        else:
            self._mount.leave(self)

    # --- sending ----------------------------------------------------------------

    def _put(self, message: str | bytes) -> None:
        self._outbox.append(message)
        self._filled.set()

    async def _send(self) -> None:
        """Send what waits, in order, as fast as the connection takes it."""
        ws, outbox = self._ws, self._outbox
        # What a closed connection raises differs by version; the reading side ends the session.
        with contextlib.suppress(ConnectionError, RuntimeError):
            while True:
                await self._filled.wait()
                self._filled.clear()
                while outbox:
                    message = outbox.popleft()
                    if isinstance(message, bytes):
                        await ws.send_bytes(message)
                    else:
                        await ws.send_str(message)
