"""The servers of this process: URLs with the same host and port share one."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from backpack._outputs.serving.server import ListeningServer

_Server = TypeVar("_Server", bound="ListeningServer")

# Room, address and port → the server that listens there, or is to; also one
# that the application has made.
_servers: weakref.WeakValueDictionary[tuple[str, str, int], ListeningServer] = (
    weakref.WeakValueDictionary()
)
_servers_lock = threading.Lock()
_instances: weakref.WeakSet[ListeningServer] = weakref.WeakSet()


def register(server: ListeningServer) -> None:
    """Note a server; once more when its port is known. The first one at a port stands for it."""
    _instances.add(server)
    if server.port:
        with _servers_lock:
            _servers.setdefault(_place(server, server.address, server.port), server)


def server_at(server_class: type[_Server], address: str, port: int) -> _Server | None:
    """Return the server of a class that listens there, or is to, so that URLs can share it."""
    with _servers_lock:
        found = _servers.get(_place(server_class, address, port))
    return found if isinstance(found, server_class) else None


def _place(
    server: ListeningServer | type[ListeningServer], address: str, port: int
) -> tuple[str, str, int]:
    return (server._kind.type.name, address, port)  # noqa: SLF001 - of this room


def _after_fork_in_child() -> None:
    global _servers_lock  # noqa: PLW0603 - another thread may have held it at the fork
    _servers_lock = threading.Lock()
    _servers.clear()
    for server in list(_instances):
        server._become_forked_copy()  # noqa: SLF001 - of this room


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
