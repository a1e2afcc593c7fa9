"""Find out why a host that a pipeline sends to does not answer."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

_CONNECT_SECONDS: Final = 3.0
_URL: Final = re.compile(r"\b[a-z][a-z0-9+]*://[^\s\"']+", re.IGNORECASE)
_TCP_PORTS: Final = {
    "http": 80,
    "https": 443,
    "rtmp": 1935,
    "rtmps": 443,
    "rtsp": 554,
    "rtsps": 322,
}
_SERVING: Final = re.compile(r"mode=\"?(?:listener|rendezvous)|serversink", re.IGNORECASE)


@dataclass(frozen=True)
class FarSide:
    """
    A host that a pipeline sends to.

    Attributes:
        host: Name or address.
        port: Port; 0: unknown.
        is_tcp: Whether it takes TCP connections.

    """

    host: str
    port: int
    is_tcp: bool

    def __str__(self) -> str:
        """Return host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


def far_sides(pipeline: str) -> list[FarSide]:
    """
    Return the hosts that a pipeline's text names: in URLs, and as ``host=`` and ``port=``.

    A socket that listens, such as that of ``srt://:9000?mode=listener``, has none.
    """
    found = []
    for element in pipeline.split("!"):
        if _SERVING.search(element):
            continue
        for url in _URL.findall(element):
            found += _from_url(url)
        host = re.search(r"\bhost=\"?([^\s\"]+)", element)
        port = re.search(r"\bport=\"?(\d+)", element)
        if host is not None:
            number = int(port[1]) if port is not None else 0
            found.append(FarSide(host[1], number, is_tcp="tcpclientsink" in element))
    return found


def _from_url(url: str) -> list[FarSide]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return []
    default = _TCP_PORTS.get(parts.scheme.lower(), 0)
    return [] if not host else [FarSide(host, port or default, is_tcp=bool(default))]


def explain(pipeline: str) -> str:
    """
    Return why a host of the pipeline does not answer, or "" where nothing is found.

    Resolves each name and, for TCP, connects once: to where the pipeline itself
    connects, and nowhere else. Blocks, for as long as a name server takes and
    three seconds for each address; call it on a thread of its own.
    """
    for far_side in far_sides(pipeline):
        reason = _try(far_side)
        if reason:
            return reason
    return ""


def _try(far_side: FarSide) -> str:
    kind = socket.SOCK_STREAM if far_side.is_tcp else socket.SOCK_DGRAM
    try:
        addresses = socket.getaddrinfo(far_side.host, far_side.port or None, type=kind)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return f"the name {far_side.host} cannot be resolved ({why})"
    if not far_side.is_tcp or not far_side.port:
        return ""
    reason = ""
    for family, _, _, _, address in addresses:
        with socket.socket(family, kind) as sock:
            sock.settimeout(_CONNECT_SECONDS)
            try:
                sock.connect(address)
            except ConnectionRefusedError:
                reason = f"{far_side} refuses the connection"
            except TimeoutError:
                reason = f"{far_side} does not answer"
            except OSError as error:
                reason = f"{far_side} cannot be reached ({error.strerror})"
            else:
                return ""
    return reason
