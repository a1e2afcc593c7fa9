"""Connections through a proxy: HTTP's CONNECT (RFC 9110, 9.3.6)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from backpack._outputs.kvs.shared.proxy import PROXY_VARIABLE
from backpack._outputs.kvs.worker.http.errors import CLOSED, UNREADABLE, cause_of
from backpack._outputs.kvs.worker.http.library import h11
from backpack._version import VERSION

if TYPE_CHECKING:
    from backpack._outputs.kvs.shared.proxy import Proxy

_GRANTED = range(200, 300)
_LOGIN_NEEDED = (407, 401)
"""The second is tinyproxy's word for a login that it does not take."""
_UNREACHED = range(500, 600)


class TunnelError(Exception):
    """
    A proxy does not connect.

    Args:
        cause: A few words that are the same each time.
        sentence: For the operator.

    """

    def __init__(self, cause: str, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause
        self.sentence = sentence


class Tunnel(asyncio.Protocol):
    """
    What is said to a proxy, and what it answers.

    Args:
        proxy: The proxy.
        host: To whom it is to connect.
        port: Where.

    """

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self._proxy = proxy
        self._host = host
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        login = proxy.authorization
        headers = [("Host", place), ("User-Agent", f"backpack-spyglass/{VERSION}")]
        headers += [("Proxy-Authorization", login)] if login else []
        self._http = h11.Connection(h11.CLIENT)
        self._request = h11.Request(method="CONNECT", target=place, headers=headers)
        self._answered: asyncio.Future[h11.Response] | None = None

    async def opened(self, loop: asyncio.AbstractEventLoop, line: asyncio.Transport) -> None:
        """
        Ask the proxy, and wait until the way is open.

        After that nothing comes from the far side before it is spoken to.

        Raises:
            TunnelError: It does not open it.

        """
        self._answered = loop.create_future()
        line.write(self._http.send(self._request) or b"")
        self._http.send(h11.EndOfMessage())
        status = (await self._answered).status_code
        if status not in _GRANTED:
            raise TunnelError(f"proxy answered {status}", self._why_not(status))

    def data_received(self, data: bytes) -> None:
        """Take what the proxy says."""
        try:
            self._http.receive_data(data)
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except h11.RemoteProtocolError:
            words = f"{self._named} does not answer as a proxy of HTTP does."
            self._fail(TunnelError(UNREADABLE, words))
            return
        waiting = self._waiting
        if isinstance(event, h11.Response) and waiting is not None:
            waiting.set_result(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """End with what has ended the connection."""
        cause = cause_of(exc) if isinstance(exc, OSError) else CLOSED
        self._fail(TunnelError(cause, unreached(self._proxy, cause)))

    def _fail(self, error: TunnelError) -> None:
        waiting = self._waiting
        if waiting is not None:
            waiting.set_exception(error)

    @property
    def _waiting(self) -> asyncio.Future[h11.Response] | None:
        """What `opened` waits for, if it still does."""
        answered = self._answered
        return None if answered is None or answered.done() else answered

    def _why_not(self, status: int) -> str:
        if status in _LOGIN_NEEDED:
            what = "wants a login, which is missing in"
            if self._proxy.authorization:
                what = "does not take the login that stands in"
            return f"{self._named} {what} {PROXY_VARIABLE}: http://user:password@host:port."
        if status in _UNREACHED:
            return f"{self._named} does not reach {self._host}: it answers {status}."
        return (
            f"{self._named} allows no connection to {self._host}: it answers {status}. Have "
            "whoever runs it allow AWS's hosts."
        )

    @property
    def _named(self) -> str:
        return f"The proxy {self._proxy.name}"


def unreached(proxy: Proxy, cause: str) -> str:
    """Say that a proxy itself is not reached."""
    return f"The proxy {proxy.name} ({PROXY_VARIABLE}) is not reached: {cause}."
