"""Connections through a proxy: HTTP's CONNECT (RFC 9110, 9.3.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._outputs.kvs.shared.proxy import PROXY_VARIABLE
from backpack._outputs.kvs.worker.http.errors import UNREADABLE
from backpack._outputs.kvs.worker.http.response import AnswerError, AnswerReader, Head
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


class Tunnel:
    """
    What is said to a proxy, and what it answers. Knows no socket.

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
        lines = [
            f"CONNECT {place} HTTP/1.1",
            f"Host: {place}",
            f"User-Agent: backpack-spyglass/{VERSION}",
            *([f"Proxy-Authorization: {login}"] if login else []),
        ]
        self.request = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._reader = AnswerReader()

    def feed(self, data: bytes) -> bool:
        """
        Take what the proxy says, and tell whether the way is open.

        After that nothing comes from the far side before it is spoken to.

        Raises:
            TunnelError: It does not open it.

        """
        try:
            head = next((one for one in self._reader.feed(data) if isinstance(one, Head)), None)
        except AnswerError:
            raise TunnelError(
                UNREADABLE, f"{self._named} does not answer as a proxy of HTTP does."
            ) from None
        if head is None:
            return False
        if head.status not in _GRANTED:
            raise TunnelError(f"proxy answered {head.status}", self._why_not(head.status))
        return True

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
