"""Speak TLS without a socket: what is to be sent and what has come are bytes in memory."""

from __future__ import annotations

import ssl

_PORTION_BYTES = 64 * 1024


def make_context(ca_bundle: str | None) -> ssl.SSLContext:
    """
    Decide whom to trust.

    Args:
        ca_bundle: A PEM file of authorities that stands in for the system's.

    """
    context = ssl.create_default_context(cafile=ca_bundle)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Secure:
    """
    One TLS connection, as its client.

    In memory a write is never refused halfway, and a frame of many records
    goes to the socket in one piece.

    Args:
        context: See `make_context`.
        host: Whose certificate is expected.

    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        # Whether the far side has shown who it is.
        self.ready = False

    def greet(self) -> None:
        """
        Begin, or go on, until the far side has to say something.

        Raises:
            OSError: It is not who it should be, or speaks no TLS.

        """
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return
        self.ready = True

    def seal(self, data: bytes) -> None:
        """Encrypt something; `outgoing` gives it."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]

    def outgoing(self) -> bytes:
        """Return what is to be sent."""
        return self._outgoing.read()

    def open(self, data: bytes) -> tuple[bytes, bool]:
        """
        Decrypt what has come.

        Returns:
            What it says, and whether that was the last.

        Raises:
            OSError: It is no TLS.

        """
        self._incoming.write(data)
        if not self.ready:
            self.greet()
            if not self.ready:
                return b"", False
        parts = []
        try:
            while part := self._tls.read(_PORTION_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts), False
        except ssl.SSLZeroReturnError:
            pass
        return b"".join(parts), True
