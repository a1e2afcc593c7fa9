"""Listen on a TCP port, and say what is wrong where that cannot be."""

from __future__ import annotations

import errno
import socket

from backpack._lib.addresses import own_address
from backpack.errors import AddressInUseError, OutputError

LISTEN_BACKLOG = 128


def listen(address: str, port: int, *, other_port: int) -> socket.socket:
    """
    Listen on an address of this machine.

    Args:
        address: An IP address, or a name of one. ``::`` takes IPv4 clients, too.
        port: TCP port. 0: one that is free.
        other_port: Named as an example where the port is not permitted.

    Returns:
        The socket. It does not block.

    Raises:
        AddressInUseError: Another program listens there.
        OutputError: It cannot be listened on for another reason.

    """
    found = own_address(address)
    family = socket.AF_INET6 if ":" in found else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((found, port))
        sock.listen(LISTEN_BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - its own call
    except OSError as error:
        sock.close()
        raise _explain(error, f"{address}:{port}", other_port) from error
    return sock


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """
    Make two TCP sockets that are connected to each other, over this machine's loopback.

    For libraries that take TCP sockets only; others are served by `socket.socketpair`.

    Raises:
        OSError: There are no descriptors or ports left.

    """
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        while True:
            near = socket.create_connection(listener.getsockname())
            try:
                far, peer = listener.accept()
            except OSError:
                near.close()
                raise
            # Another program of this machine may have been quicker.
            if peer == near.getsockname():
                return near, far
            near.close()
            far.close()


def _explain(error: OSError, where: str, other_port: int) -> OutputError:
    if error.errno == errno.EADDRINUSE:
        return AddressInUseError(
            f"Another program listens on {where}. Stop it, or give another port "
            "(port=0 takes a free one)."
        )
    if error.errno == errno.EACCES:
        return OutputError(
            f"Listening on {where} is not permitted. Ports below 1024 are for root: "
            f"give a higher one, for example {other_port}."
        )
    return OutputError(f"Cannot listen on {where}: {error}.")
