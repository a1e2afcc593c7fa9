"""Upload a stream to Kinesis Video Streams: a reader of its hub, and one of its outputs."""

from __future__ import annotations

import contextlib
import os
import random
import time
from typing import TYPE_CHECKING, Any

from backpack._gst.main_loop import in_background
from backpack._media.output import opened
from backpack._media.queue import DropPolicy, UnitQueue
from backpack._outputs.kvs.settings import UploadSettings
from backpack._outputs.kvs.worker.producer.commands import ProducerState, ProducerStatus
from backpack._outputs.kvs.worker.producer.journal import Journal
from backpack._outputs.kvs.worker.producer.matroska import SEGMENT_UID_BYTES
from backpack._outputs.kvs.worker.producer.producer import Producer
from backpack._outputs.kvs.worker.report import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future

    from backpack._ipc.settings import StreamSettings
    from backpack._media.access_unit import AccessUnit
    from backpack._media.hub import Hub
    from backpack._media.output import StreamSource, WorkerOutput
    from backpack._outputs.kvs.worker.http.resolver import Lookup
    from backpack._outputs.kvs.worker.uploader import Uploader

_MOST_UNITS = 300
_MOST_BYTES = 16 << 20
"""Between two threads of one process: passed on at once unless the machine is starved."""

_SEGMENT_UID = os.urandom(SEGMENT_UID_BYTES)
"""Of everything that this process sends."""


class KVSUpload:
    """
    Take a stream's pictures, and bring them to AWS on a thread of its own.

    `push` is called on the encoder's thread, everything else on the main one.

    Args:
        hub: The stream.
        settings: What to send where.
        say: Carries a message (`messages`) to the application, from
            any thread.
        on_stats_changed: Called, on any thread, when the numbers are worth telling.
        lookup: See `Resolver`.

    Raises:
        SettingsError: Which setting cannot be.

    """

    takes_repeats = False
    opening = False

    def __init__(
        self,
        hub: Hub,
        settings: UploadSettings,
        *,
        say: Callable[[dict[str, Any]], None],
        on_stats_changed: Callable[[], None],
        lookup: Lookup | None = None,
    ) -> None:
        self._hub = hub
        self._settings = settings
        self._say = say
        self._on_stats_changed = on_stats_changed
        self._lookup = lookup
        # Looks at the settings. The one that decides is made on the thread.
        with self._producing(None):
            pass
        self._units = UnitQueue(DropPolicy(_MOST_UNITS, _MOST_BYTES), on_room=hub.request_key_frame)
        self._report = Report(settings.stream_name)
        self._uploader: Uploader | None = None

    def open(self) -> None:
        """
        Start the thread, and take a place in the hub. Waits for no network.

        Raises:
            SettingsError: Nothing can be kept in ``buffer_path``.
            MissingDependencyError: h11 is not installed for this Python.

        """
        # Only here: it loads h11, and whoever uses kvssink needs none of it.
        from backpack._outputs.kvs.worker.uploader import Uploader  # noqa: PLC0415

        settings = self._settings
        with contextlib.ExitStack() as undo:
            journal = None
            if settings.buffer_path is not None:
                journal = Journal(settings.buffer_path, settings.region, settings.stream_name)
                undo.callback(journal.close)
            # Before it starts: it may be answered before `start` returns.
            self._uploader = Uploader(
                self._producing(journal),
                settings,
                self._units,
                report=self._report,
                say=self._say,
                want_key=self._hub.request_key_frame,
                on_stats_changed=self._news,
                lookup=self._lookup,
            )
            self._uploader.start()
            undo.pop_all()
        self._hub.subscribe(self)

    @contextlib.contextmanager
    def _producing(self, journal: Journal | None) -> Iterator[Producer]:
        """Decide for as long as it lasts, and let go of what is on disk then."""
        with journal or contextlib.nullcontext():
            yield Producer(
                self._settings, segment_uid=_SEGMENT_UID, random=random.random, journal=journal
            )

    def push(self, unit: AccessUnit) -> None:
        """Hand one picture to the thread, or lose it up to the next key frame. Never waits."""
        if self._units.put(unit) and self._uploader is not None:
            self._uploader.wake(key=unit.key)

    def on_lost(self, error: Exception) -> None:
        """Called when the hub has let us go. Encoder's thread."""
        self._report.crashed(error)
        self._on_stats_changed()

    @property
    def viewers(self) -> int:
        """Whether the stream is to be encoded for us: 1 or 0."""
        return int(
            self._uploader is not None and not self._uploader.is_over and not self._units.closed
        )

    @property
    def lost(self) -> int:
        """How many pictures AWS will never get."""
        queue = self._status.queue
        return self._lost_before + queue.frames_dropped + queue.frames_skipped

    @property
    def trouble(self) -> str:
        """What keeps it from sending, and what helps."""
        return self._report.trouble

    @property
    def failed(self) -> bool:
        """Whether it has given up for good."""
        return self._report.gave_up

    def numbers(self) -> dict[str, Any]:
        """Return what there is to tell, as JSON would take it."""
        status, since = (self._status, 0.0) if self._uploader is None else self._uploader.status
        age = status.last_fragment_age_seconds
        if age is not None:
            age += time.monotonic() - since
        return {
            "state": self._report.state,
            "trouble": self._report.trouble,
            "buffered_seconds": round(status.buffered_seconds, 3),
            "buffered_bytes": status.buffered_bytes,
            "buffered_frames": status.buffered_frames,
            "last_fragment": status.last_fragment,
            "last_fragment_age_seconds": _rounded(age),
            "latency_seconds": _rounded(status.latency_seconds),
            "frames_stored": status.frames_stored,
            "counters": self._counters(status),
        }

    def on_message(self, body: dict[str, Any]) -> None:
        """Take a message of the application."""
        if self._uploader is not None:
            self._uploader.on_message(body)

    def on_app_exit(self) -> None:
        """Called when the application has gone: what is signed already has to do."""
        if self._uploader is not None:
            self._uploader.on_app_exit()

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """
        Take no more pictures, and send what there is.

        Args:
            seconds: How long that may take.
            longest_seconds: How long it may take while fragments are being
                persisted.

        """
        self._hub.unsubscribe(self)
        self._units.close()
        if self._uploader is not None:
            self._uploader.stop(seconds, longest_seconds)

    @property
    def finished(self) -> bool:
        """Whether it is over, whatever has become of it."""
        return self._uploader is None or self._uploader.is_over

    def close(self) -> Future[None] | None:
        """End the thread and close every connection, whatever is left. Idempotent."""
        self._hub.unsubscribe(self)
        self._units.close()
        uploader = self._uploader
        if uploader is None:
            return None
        uploader.leave()
        return in_background(uploader.join, "spyglass-kvs-end")

    @property
    def _status(self) -> ProducerStatus:
        if self._uploader is None:
            return ProducerStatus(ProducerState.IDLE)
        return self._uploader.status[0]

    @property
    def _lost_before(self) -> int:
        """How many pictures have joined no fragment."""
        return self._units.lost + self._status.frames_lost

    def _counters(self, status: ProducerStatus) -> dict[str, Any]:
        queue = status.queue
        return {
            "fragments_sent": status.fragments_sent,
            "fragments_persisted": queue.fragments_persisted,
            "fragments_resent": status.fragments_resent,
            "fragments_dropped": queue.fragments_dropped,
            "fragments_recovered": queue.fragments_recovered,
            "fragments_skipped": queue.fragments_skipped,
            "frames_taken": queue.frames_taken,
            "frames_persisted": queue.frames_persisted,
            "frames_dropped": queue.frames_dropped,
            "frames_skipped": queue.frames_skipped,
            "frames_lost": self._lost_before,
            "reconnects": dict(status.reconnects),
        }

    def _news(self) -> None:
        """Called by the thread when something is new."""
        if self.failed:
            # Nobody has to encode for us any more.
            self._hub.unsubscribe(self)
        self._on_stats_changed()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def open_output(
    description: Mapping[str, Any], source: StreamSource, settings: StreamSettings
) -> WorkerOutput:
    """
    Open the output that the application has described.

    Raises:
        SettingsError: A setting is invalid.

    """
    described = {name: value for name, value in description.items() if name != "producer"}
    if description.get("producer") == "kvssink":
        # Only here: whoever uses the native producer needs none of it.
        from backpack._outputs.kvs.worker.kvssink import output as kvssink  # noqa: PLC0415

        return kvssink.open_output(described, source, settings)
    upload = UploadSettings.from_dict(described)
    peer = source.peer
    return opened(KVSUpload(source.hub, upload, say=peer.send, on_stats_changed=peer.stats_changed))
