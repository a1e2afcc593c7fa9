"""Statistics of a stream to Kinesis Video Streams."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_REFUSED = ("FAILED", "STOPPED")


@dataclass(frozen=True)
class KVSStats:
    """
    State of the connection to KVS, and what was counted.

    Attributes:
        state: ``CONNECTING``, ``STREAMING``, ``IDLE`` (nothing to send),
            ``BUFFERING`` (no connection; video waits), ``UNAUTHORIZED`` (no
            credentials that are still good; video waits), ``FAILED``
            (somebody has to mend what `trouble` says: no stream, a KMS key; it is
            tried again every 30 to 60 s, and given up only where `trouble` does
            not say so) or ``STOPPED``.
        trouble: What keeps video from arriving, and what helps. Empty if nothing does.
        buffered_seconds: Video that is not persisted yet.
        buffered_bytes: The same in bytes.
        buffered_frames: The same in frames.
        last_fragment: KVS's number of the last fragment that was persisted.
        last_fragment_age_seconds: How long ago that was. None if it never was.
        latency_seconds: From the capture of that fragment's first frame to
            its being persisted. None if it is not known.
        fragments_sent: Fragments that were sent, repetitions included.
        fragments_resent: Fragments that were sent more than once.
        fragments_persisted: Fragments that KVS has persisted.
        fragments_dropped: Fragments that were dropped because the buffer was full.
        fragments_skipped: Fragments that KVS has refused.
        fragments_recovered: Fragments that were left in ``buffer_path`` by an earlier process.
        frames_stored: Frames that are also kept in ``buffer_path``.
        frames_taken: Frames that were put into a fragment.
        frames_persisted: Those of them that KVS has persisted.
        frames_dropped: Frames in fragments that were dropped.
        frames_skipped: Frames in fragments that KVS has refused.
        frames_lost: Frames that could not be put into a fragment.
        reconnects: How often a connection was lost or refused, by cause.
        credentials_source: Where the credentials were found, such as ``iam-role``.
        credentials_expire_in_seconds: How long they are valid. None if they
            do not expire, or there are none.
        credentials_renewed: How often they were renewed.
        credentials_trouble: Why the last attempt to get them failed. Empty if it did not.
        credentials_file_failures: How often they could not be written to their file.
        credentials_file_trouble: Why they could not the last time. Empty if they
            could, or if there is no file.

    """

    state: str = "STOPPED"
    trouble: str = ""
    buffered_seconds: float = 0.0
    buffered_bytes: int = 0
    buffered_frames: int = 0
    last_fragment: str = ""
    last_fragment_age_seconds: float | None = None
    latency_seconds: float | None = None
    fragments_sent: int = 0
    fragments_resent: int = 0
    fragments_persisted: int = 0
    fragments_dropped: int = 0
    fragments_skipped: int = 0
    fragments_recovered: int = 0
    frames_stored: int = 0
    frames_taken: int = 0
    frames_persisted: int = 0
    frames_dropped: int = 0
    frames_skipped: int = 0
    frames_lost: int = 0
    reconnects: dict[str, int] = field(default_factory=dict)
    credentials_source: str = ""
    credentials_expire_in_seconds: float | None = None
    credentials_renewed: int = 0
    credentials_trouble: str = ""
    credentials_file_failures: int = 0
    credentials_file_trouble: str = ""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> KVSStats:
        """Make them of what both ends of the output tell; what has no name here is left out."""
        known = {name: told[name] for name in cls.__annotations__ if name in told}
        stats = cls(**known)
        if told.get("producer") == "kvssink" and stats.trouble and stats.credentials_file_trouble:
            # It can only say that it gets none.
            known["trouble"] = f"{stats.credentials_file_trouble} {stats.trouble}"
            stats = cls(**known)
        out = not told.get("credentials_good", True) and bool(stats.credentials_trouble)
        if out and stats.state not in _REFUSED:
            known |= {"state": "UNAUTHORIZED", "trouble": stats.credentials_trouble}
            return cls(**known)
        return stats

    def to_dict(self) -> dict[str, Any]:
        """Return all as a plain dictionary, ready for JSON."""
        return asdict(self)
