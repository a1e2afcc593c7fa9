"""Keep memory for pictures, so that no picture costs page faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._gst.gi import Gst

if TYPE_CHECKING:
    from backpack._worker.encoding.colour import Layout


class PicturePool:
    """
    Buffers of one layout that come back when the encoder is done with them.

    Fresh memory for every picture would cost a page fault for every 4 KiB.
    Any thread may call `close`, one thread the rest.

    Args:
        layout: How the pixels lie.

    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.caps = Gst.Caps.from_string(layout.caps)
        self._pool = Gst.BufferPool.new()
        config = self._pool.get_config()
        # No upper end: how many are in use is bounded by who takes them.
        Gst.BufferPool.config_set_params(config, self.caps, layout.size, 2, 0)
        self._pool.set_config(config)
        self._pool.set_active(True)

    def take(self) -> Gst.Buffer | None:
        """Take a buffer; it returns by itself. None once the pool is closed."""
        result, buffer = self._pool.acquire_buffer(None)
        return buffer if result == Gst.FlowReturn.OK else None

    def close(self) -> None:
        """Release the memory once the last buffer has returned."""
        self._pool.set_active(False)
