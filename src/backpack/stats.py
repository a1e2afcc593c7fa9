"""What was counted and measured: what it costs to be watched."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Stats"]


@dataclass(frozen=True)
class Stats:
    """
    What a SpyGlass has done since it was made, and what it has cost.

    Attributes:
        state: Name of the state.
        reason: Why it is in that state. Empty if there is nothing to explain.
        put: Calls of `put`.
        accepted: Frames that went into the ring.
        not_wanted: Frames that were not copied because nobody watches.
        not_due: Frames that were not copied because they came faster than fps.
        away: Frames put while the streaming process was not there.
        stopped: Frames put while not streaming.
        stale: Frames whose timestamp was not newer than the last one's.
        redacted: Frames that went into the ring with something hidden.
        blanked: Frames that went into the ring hidden as a whole: it was not known what
            to hide in them.
        put_seconds: Time spent in `put`, all calls together.
        put_ms_p50: Median of the last 512 calls, milliseconds.
        put_ms_p99: 99th percentile of the last 512 calls, milliseconds.
        put_ms_max: Longest of the last 512 calls, milliseconds.
        encoded: Put frames that were encoded.
        repeated: Pictures that were made for viewers while the app was silent.
        replaced: Frames that a newer one replaced before they were taken.
        torn: Frames that were overwritten while being read, and thrown away.
        lost: Pictures that outputs could not take in time.
        viewers: Viewers connected now, and remote ends that video is sent to.
        fps: Pictures encoded in the last seconds, a second.
        bitrate_kbps: What came out of the encoder in the last seconds.
        encoder: GStreamer element that encodes. None while nothing is encoded.
        width: Width of the video in pixels; 0 before it is known.
        height: Height of the video in pixels; 0 before it is known.
        streamer_pid: Process id of the streaming process, if there is one.
        streamer_cpu_seconds: CPU time that it has used, all streams together.
        starts: How often a streaming process was started.
        error: The last error. None if there was none.
        outputs: Numbers of each output, in the order in which outputs were given.

    """

    state: str = "STOPPED"
    reason: str = ""
    put: int = 0
    accepted: int = 0
    not_wanted: int = 0
    not_due: int = 0
    away: int = 0
    stopped: int = 0
    stale: int = 0
    redacted: int = 0
    blanked: int = 0
    put_seconds: float = 0.0
    put_ms_p50: float = 0.0
    put_ms_p99: float = 0.0
    put_ms_max: float = 0.0
    encoded: int = 0
    repeated: int = 0
    replaced: int = 0
    torn: int = 0
    lost: int = 0
    viewers: int = 0
    fps: float = 0.0
    bitrate_kbps: float = 0.0
    encoder: str | None = None
    width: int = 0
    height: int = 0
    streamer_pid: int | None = None
    streamer_cpu_seconds: float = 0.0
    starts: int = 0
    error: str | None = None
    outputs: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return all numbers as a plain dictionary, ready for JSON."""
        return asdict(self)
