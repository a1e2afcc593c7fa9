"""Why connections end, in few fixed words, by which they are counted."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final

CLOSED: Final = "closed by the service"
ANSWERS_ENDED: Final = "answers ended"
UNREADABLE: Final = "unreadable answer"
NO_NAME: Final = "name not found"
NO_CONNECTION: Final = "no connection in time"
NO_PROGRESS: Final = "no progress"
"""Neither sent nor answered: the line hangs, and nobody says so."""
CERTIFICATE: Final = "certificate refused"

_CAUSES: Final = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EPIPE: "connection reset",
    errno.ECONNABORTED: "connection reset",
    errno.ETIMEDOUT: "connection timed out",
    errno.ENETUNREACH: "network unreachable",
    errno.EHOSTUNREACH: "network unreachable",
    errno.ENETDOWN: "network unreachable",
    errno.EADDRNOTAVAIL: "network unreachable",
    errno.EMFILE: "too many open files",
    errno.ENFILE: "too many open files",
}


def cause_of(error: OSError) -> str:
    """Name an error of a socket, or of TLS."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CERTIFICATE
    if isinstance(error, ssl.SSLError):
        return "TLS failed"
    if isinstance(error, socket.gaierror):
        return NO_NAME
    if isinstance(error, ConnectionError) and not error.errno:
        # asyncio's own, and no system call's.
        return "connection reset"
    return _CAUSES.get(error.errno or 0, "connection failed")


def sentence_of(cause: str, host: str, error: OSError | None = None) -> str:
    """Return what is wrong and what helps; nothing where trying again is all that does."""
    if cause == CERTIFICATE:
        why = getattr(error, "verify_message", "") or "it cannot be verified"
        return (
            f"The certificate of {host} is not trusted ({why}): name the file of the authority "
            "that signed it in AWS_CA_BUNDLE, look at this machine's clock, or find out who stands "
            "between here and AWS."
        )
    if cause == "TLS failed":
        return f"{host} does not speak TLS 1.2 or newer: something else stands in the way."
    if cause == NO_NAME:
        return f"The name {host} cannot be found: look at the network, its DNS and the region."
    return ""
