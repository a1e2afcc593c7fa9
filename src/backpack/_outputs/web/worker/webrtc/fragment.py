"""Read what a viewer tells of its candidates later (RFC 8840, 9)."""

from __future__ import annotations

from backpack._outputs.web.worker.webrtc.offer import OfferError, split_lines


def read_fragment(body: bytes) -> str | None:
    """
    Read a fragment.

    Returns:
        ICE's user name fragment that it is for; None: it does not say.

    Raises:
        OfferError: It is none.

    """
    lines = split_lines(body)
    users = {line.partition(":")[2] for line in lines if line.startswith("a=ice-ufrag:")}
    if len(users) > 1:
        raise OfferError("The candidates are for more than one session of ICE.")
    return users.pop() if users else None
