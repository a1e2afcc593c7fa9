"""Work out what being watched costs, from one moment to the next."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack.spyglass import SpyGlass
    from backpack.stats import Stats


class Bill:
    """
    What a SpyGlass does and costs, for the time since the last call.

    Args:
        spy: Whose costs.
        clock: Seconds that only go forward.
        cpu: CPU seconds that this process has used.

    """

    def __init__(
        self,
        spy: SpyGlass,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.process_time,
    ) -> None:
        self._spy = spy
        self._clock = clock
        self._cpu = cpu
        self._begin = clock()
        self._then = (self._begin, cpu(), spy.stats())

    def numbers(self) -> dict[str, Any]:
        """Return the numbers, under the names that ``spyglass serve --help`` explains."""
        now, cpu, stats = self._clock(), self._cpu(), self._spy.stats()
        then, cpu_then, stats_then = self._then
        self._then = (now, cpu, stats)
        span = max(now - then, 1e-3)
        # What the streaming process told last stands until it tells again,
        # which it does not while nobody watches.
        is_watched = stats.viewers > 0
        return {
            "time": round(time.time(), 3),
            "seconds": round(now - self._begin, 1),
            "state": stats.state,
            "frames": stats.put,
            "fps_in": round((stats.put - stats_then.put) / span, 1),
            "fps": round(stats.fps, 1) if is_watched else 0.0,
            "dropped": stats.replaced + stats.torn + stats.lost,
            "put_ms_p50": round(stats.put_ms_p50, 3),
            "put_ms_max": round(stats.put_ms_max, 3),
            "cpu_percent": round(100 * (cpu - cpu_then) / span, 1),
            "streamer_cpu_percent": round(100 * _streamer_cpu(stats, stats_then) / span, 1),
            "viewers": stats.viewers,
            "bitrate_kbps": round(stats.bitrate_kbps) if is_watched else 0,
            "encoder": stats.encoder,
            "width": stats.width,
            "height": stats.height,
            "error": stats.error,
        }


def _streamer_cpu(now: Stats, then: Stats) -> float:
    """Return the CPU seconds that the streaming process used; a new one begins at 0."""
    if now.streamer_pid == then.streamer_pid:
        return max(0.0, now.streamer_cpu_seconds - then.streamer_cpu_seconds)
    return now.streamer_cpu_seconds


def line_of(numbers: dict[str, Any]) -> str:
    """Say the numbers in one line, in the words of a person who wonders what it costs."""
    watching = "nobody watches"
    if numbers["viewers"]:
        watching = (
            f"{numbers['viewers']} watching, {numbers['fps']:.0f} fps, "
            f"{numbers['bitrate_kbps']:,} kbit/s"
        )
    parts = [
        watching,
        f"{numbers['fps_in']:.0f} fps read",
        f"{numbers['dropped']} dropped",
        f"put() {numbers['put_ms_p50']:.2f} ms",
        f"CPU {numbers['cpu_percent']:.0f} % here",
        f"{numbers['streamer_cpu_percent']:.0f} % streaming",
    ]
    if numbers["error"]:
        parts.insert(0, numbers["error"])
    return " | ".join(parts)
