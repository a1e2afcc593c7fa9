"""Keep the viewers of one server together: who opens one knows that it ends."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from backpack._gst.main_loop import in_background
from backpack._outputs.web.worker.webrtc.peer import Peer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from concurrent.futures import Future

    from backpack._media.hub import Hub
    from backpack._outputs.web.worker.webrtc.offer import Offer
    from backpack._outputs.web.worker.webrtc.settings import IceSettings
    from backpack.errors import PipelineError


logger = logging.getLogger(__name__)


class Peers:
    """Open and close peers. Main thread only."""

    def __init__(self) -> None:
        self._peers: set[Peer] = set()
        # Of those that are being stopped.
        self._threads: list[threading.Thread] = []

    def __len__(self) -> int:
        return len(self._peers)

    def open(
        self,
        hub: Hub,
        offer: Offer,
        ice: IceSettings,
        *,
        on_answer: Callable[[str | PipelineError], None],
        on_connected: Callable[[], None],
        on_gone: Callable[[], None],
    ) -> Peer:
        """
        Begin to answer an offer.

        Args:
            hub: The stream.
            offer: The offer.
            ice: Where to listen.
            on_answer: Called once, with the answer or with why there is none.
            on_connected: Called when pictures begin to go out.
            on_gone: Called when the viewer has gone by itself.

        Raises:
            PipelineError: GStreamer cannot make what is needed.

        """

        def gone() -> None:
            self.close_one(peer)
            on_gone()

        peer = Peer(hub, offer, ice, on_answer=on_answer, on_connected=on_connected, on_gone=gone)
        self._peers.add(peer)
        peer.open()
        return peer

    def close_one(self, peer: Peer) -> None:
        """Close one; it stops on a thread of its own. Idempotent."""
        self._peers.discard(peer)
        thread = peer.close()
        self._threads = [one for one in self._threads if one.is_alive()]
        if thread is not None:
            self._threads.append(thread)

    def close(self, seconds: float) -> Future[None]:
        """Close all. Returns what is done once they have stopped, or after so many seconds."""
        for peer in list(self._peers):
            self.close_one(peer)
        threads, self._threads = self._threads, []

        def wait() -> None:
            end = time.monotonic() + seconds
            for thread in threads:
                thread.join(max(0.0, end - time.monotonic()))
            if any(thread.is_alive() for thread in threads):
                logger.warning("WebRTC hangs and cannot be stopped; a thread is left behind.")

        return in_background(wait, "spyglass-webrtc-end")
