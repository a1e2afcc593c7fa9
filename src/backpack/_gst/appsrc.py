"""Feeds access units to an appsrc, whatever pipeline it is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backpack._gst.gi import Gst
from backpack._media.queue import DropPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._gst.gi import GstApp
    from backpack._media.access_unit import AccessUnit


def use_monotonic_clock(pipeline: Gst.Pipeline) -> None:
    """
    Make the pipeline's running time the monotonic clock itself.

    The time of a buffer is then the capture time of its frame, before and after a pause.
    """
    pipeline.use_clock(Gst.SystemClock.obtain())
    pipeline.set_start_time(Gst.CLOCK_TIME_NONE)
    pipeline.set_base_time(0)


def levels(source: GstApp.AppSrc) -> tuple[int, int]:
    """Return how many access units, and how many bytes, wait in an appsrc. Any thread."""
    units = int(source.get_property("current-level-buffers"))
    # After the last buffer has left, the bytes may be out of date for a moment.
    return units, int(source.get_property("current-level-bytes")) if units else 0


def push(source: GstApp.AppSrc, unit: AccessUnit, data: bytes | None = None) -> None:
    """
    Queue an access unit in an appsrc. Any thread. Does not block.

    A pipeline that is being taken down answers FLUSHING, and its end is noticed elsewhere.

    Args:
        source: The appsrc, in a pipeline that uses the monotonic clock.
        unit: The access unit.
        data: What to queue in place of the unit's own data.

    """
    buffer = Gst.Buffer.new_wrapped(unit.data if data is None else data)
    buffer.pts = buffer.dts = unit.pts_ns
    if not unit.key:
        buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
    source.emit("push-buffer", buffer)


class AppsrcFeed:
    """
    Decides which access units an appsrc takes.

    When too much waits in it, everything up to the next key frame is dropped, and
    one is asked for once half of that has gone. For one thread at a time.

    Args:
        max_units: Access units that may wait.
        max_bytes: Bytes that may wait.
        request_key_frame: Called when a key frame would let it go on.

    """

    def __init__(
        self, max_units: int, max_bytes: int, request_key_frame: Callable[[], None]
    ) -> None:
        self._max_units = max_units
        self._policy = DropPolicy(max_units, max_bytes)
        self._request_key_frame = request_key_frame

    @property
    def lost(self) -> int:
        """How many access units were dropped. Any thread."""
        return self._policy.lost

    @property
    def skipping(self) -> bool:
        """Whether only a key frame lets it go on."""
        return self._policy.skipping

    def admit(self, unit: AccessUnit, waiting: tuple[int, int], *, is_late: bool = False) -> bool:
        """
        Decide whether an access unit is to be queued.

        Args:
            unit: The access unit.
            waiting: What `levels` has returned.
            is_late: Whether what waits is too old, however little it is.

        """
        units, size = waiting
        if self._policy.admit(
            len(unit.data),
            key=unit.key,
            waiting_units=self._max_units if is_late else units,
            waiting_bytes=size,
        ):
            return True
        if self._policy.has_room(waiting_units=units, waiting_bytes=size):
            self._request_key_frame()
        return False
