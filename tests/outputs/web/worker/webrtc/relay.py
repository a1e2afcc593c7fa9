"""Relay UDP, and lose of it what is asked for."""

from __future__ import annotations

import asyncio
import random
import re
import threading
from typing import Any

RTP_VERSION = 0x80
RTCP_TYPES = range(192, 224)


class UdpRelay:
    """
    Stand between a viewer and one UDP port of a server.

    Args:
        seed: Which packets are lost.

    """

    def __init__(self, seed: int = 7) -> None:
        # What part of the video's packets on the way to the viewer is lost. Any thread.
        self.loss = 0.0
        # Everything, both ways.
        self.is_cut = False
        self.lost = 0
        self.passed = 0
        self.port = 0
        # Its own, both sides.
        self.ports: list[int] = []
        self._random = random.Random(seed)
        self._server: tuple[str, int] | None = None
        self._viewer: Any = None
        self._near: Any = None
        self._far: Any = None
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="udp relay")
        self._thread.start()
        assert self._started.wait(10)

    def through(self, answer: str) -> str:
        """Lead an answer's viewer through the relay."""
        found = re.search(r"a=candidate:\S+ 1 UDP \d+ (\S+) (\d+) typ host", answer)
        assert found
        self._server = found[1], int(found[2])
        return answer.replace(f" {found[2]} typ host", f" {self.port} typ host")

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        make = self._loop.create_datagram_endpoint
        run = self._loop.run_until_complete
        near, _ = run(make(lambda: _End(self._from_viewer), local_addr=("127.0.0.1", 0)))
        far, _ = run(make(lambda: _End(self._from_server), local_addr=("127.0.0.1", 0)))
        self._near, self._far = near, far
        self.ports = [end.get_extra_info("sockname")[1] for end in (near, far)]
        self.port = self.ports[0]
        self._started.set()
        self._loop.run_forever()
        near.close()
        far.close()
        run(asyncio.sleep(0))
        self._loop.close()

    def _from_viewer(self, data: bytes, address: Any) -> None:
        self._viewer = address
        if not self.is_cut and self._server:
            self._far.sendto(data, self._server)

    def _from_server(self, data: bytes, _: Any) -> None:
        if self.is_cut or (_is_video(data) and self._random.random() < self.loss):
            self.lost += 1
        elif self._viewer:
            self.passed += 1
            self._near.sendto(data, self._viewer)


class _End(asyncio.DatagramProtocol):
    def __init__(self, take: Any) -> None:
        self.datagram_received = take


def _is_video(data: bytes) -> bool:
    return data[0] & 0xC0 == RTP_VERSION and data[1] not in RTCP_TYPES
