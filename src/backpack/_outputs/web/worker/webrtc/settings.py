"""Where peers may listen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backpack._outputs.web.worker.webrtc.answer import Candidate


@dataclass(frozen=True)
class IceSettings:
    """
    Where peers may listen.

    Attributes:
        addresses: Of this machine, as numbers.
        ports: The first and the last UDP port; None: any that is free.

    """

    addresses: tuple[str, ...]
    ports: tuple[int, int] | None = None

    def allows(self, candidate: Candidate) -> bool:
        """Return whether a candidate is one that viewers may be told."""
        low, high = self.ports or (1, 65535)
        return candidate.address in self.addresses and low <= candidate.port <= high
