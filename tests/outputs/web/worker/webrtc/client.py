"""Watch over WebRTC with a client that is not ours: aiortc."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from tests.streams import read_number

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.outputs.web.rig import Answer, Serving

SDP = {"Content-Type": "application/sdp"}


class Loop:
    """Run asyncio on a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="aiortc", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, Any], seconds: float = 30) -> Any:
        """Do something there, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def close(self) -> None:
        """End what runs there, and the thread."""
        self.run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class RefusedError(Exception):
    """The server did not take the offer."""


class Viewer:
    """
    One viewer.

    Args:
        loop: Where it lives.
        serving: The server.
        path: What it watches.
        rewrite: Changes the answer before it is followed.

    """

    def __init__(
        self,
        loop: Loop,
        serving: Serving,
        path: str = "/cam",
        *,
        rewrite: Callable[[str], str] = lambda answer: answer,
    ) -> None:
        self._loop = loop
        self.serving = serving
        # Number of each picture that was decoded, and when it was.
        self.seen: list[tuple[int, int]] = []
        # The capture time that came with it, in ticks of 90 kHz since the first one.
        self.ticks: list[int] = []
        self.answer: Answer | None = None
        self._peer: Any = None
        self._reading: Any = None
        offer = loop.run(self._offer())
        self.answer = serving.ask(f"{path}/whep", method="POST", headers=SDP, body=offer.encode())
        if self.answer.status != 201:
            self.close()
            raise RefusedError(self.answer.text)
        loop.run(self._follow(rewrite(self.answer.text)))

    @property
    def location(self) -> str:
        """The session's address."""
        assert self.answer is not None
        return str(self.answer.headers["Location"])

    @property
    def state(self) -> str:
        """How its connection is."""
        return str(self._peer.connectionState)

    def numbers(self) -> list[int]:
        """Give the numbers that it has seen."""
        return [number for number, _ in list(self.seen)]

    def lose_picture(self) -> None:
        """Tell the server that a picture was lost."""
        self._loop.run(self._lose_picture())

    def close(self) -> None:
        """Go, by the way of DTLS."""
        self._loop.run(self._close())

    async def _offer(self) -> str:
        self._peer = RTCPeerConnection()
        self._peer.addTransceiver("video", direction="recvonly")
        self._peer.on("track", self._on_track)
        await self._peer.setLocalDescription(await self._peer.createOffer())
        return str(self._peer.localDescription.sdp)

    async def _follow(self, answer: str) -> None:
        await self._peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    def _on_track(self, track: Any) -> None:
        self._reading = asyncio.ensure_future(self._read(track))

    async def _read(self, track: Any) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            plane = frame.planes[0]
            self.ticks.append(frame.pts)
            self.seen.append((read_number(bytes(plane), plane.line_size), time.monotonic_ns()))

    async def _lose_picture(self) -> None:
        receiver = self._peer.getReceivers()[0]
        await receiver._send_rtcp_pli(receiver.getSynchronizationSources()[0].source)

    async def _close(self) -> None:
        await self._peer.close()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
