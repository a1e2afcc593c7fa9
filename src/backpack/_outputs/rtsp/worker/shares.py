"""Count who holds RTSP sessions, so that nobody takes all of them."""

from __future__ import annotations

import threading
from collections import Counter

from backpack._outputs.serving.worker.connections import is_own, network_of

MOST_OF_CONNECTION = 8
"""A player has one; a recorder of many streams makes a connection for each."""


class Shares:
    """
    Count the sessions of each network and of each connection. Any thread.

    A session over UDP outlives its connection for a while, so counting connections is
    not enough.

    Args:
        max_viewers: How many sessions there may be. One network has half of them at the
            most, but for this machine's own: behind a tunnel every viewer comes from there.

    """

    def __init__(self, max_viewers: int) -> None:
        self._most = (max_viewers + 1) // 2
        self._lock = threading.Lock()
        # Number of the session → its network, and what tells its connection from others.
        self._sessions: dict[str, tuple[str, int]] = {}

    def has_room(self, address: str, connection: int) -> bool:
        """Return whether one more session may be made."""
        network = network_of(address)
        with self._lock:
            networks = Counter(one for one, _ in self._sessions.values())
            connections = Counter(one for _, one in self._sessions.values())
        if connections[connection] >= MOST_OF_CONNECTION:
            return False
        return is_own(address) or networks[network] < self._most

    def sessions_of(self, connection: int) -> list[str]:
        """Return the numbers of a connection's sessions."""
        with self._lock:
            return [number for number, (_, one) in self._sessions.items() if one == connection]

    def add(self, session: str, address: str, connection: int) -> None:
        """Note a session that was made."""
        with self._lock:
            self._sessions[session] = (network_of(address), connection)

    def remove(self, session: str) -> None:
        """Forget a session that has ended. Idempotent."""
        with self._lock:
            self._sessions.pop(session, None)
