"""The output of a stream through kvssink, in the streaming process."""

from __future__ import annotations

import logging
import os
import shutil
from typing import TYPE_CHECKING, Any, Final

from backpack._gst.main_loop import in_background
from backpack._media.output import opened
from backpack._media.queue import DropPolicy, UnitQueue
from backpack._outputs.kvs.shared.dotenv import read_dotenv
from backpack._outputs.kvs.worker.kvssink.environment import child_environment
from backpack._outputs.kvs.worker.kvssink.runner import KvssinkRunner
from backpack._outputs.kvs.worker.kvssink.settings import DEFAULT_FPS, SinkSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from backpack._ipc.settings import StreamSettings
    from backpack._media.access_unit import AccessUnit
    from backpack._media.hub import Hub
    from backpack._media.output import StreamSource

logger = logging.getLogger(__name__)

_BUFFERING_SECONDS: Final = 10.0
_SECOND_NS: Final = 1_000_000_000


class KVSSinkOutput:
    """
    Read a hub and have kvssink deliver what comes. An `WorkerOutput`.

    `push` is called on the encoder's thread, the rest on the main thread.

    Args:
        hub: The stream.
        settings: What the application has described.
        say: Not needed: a child says nothing to the application.
        on_stats_changed: Called on any thread: the numbers are worth telling.

    """

    takes_repeats = False

    def __init__(
        self,
        hub: Hub,
        settings: SinkSettings,
        *,
        say: Callable[[dict[str, Any]], None],
        on_stats_changed: Callable[[], None],
    ) -> None:
        del say
        self._hub = hub
        self._settings = settings
        self._on_stats_changed = on_stats_changed
        units = int(settings.buffer_seconds * (settings.fps or DEFAULT_FPS))
        self._queue = UnitQueue(
            DropPolicy(max(1, units), settings.buffer_bytes), on_room=hub.request_key_frame
        )
        self._runner: KvssinkRunner | None = None
        # Whether nobody but us deletes what the application has left.
        self._app_has_gone = False
        # Written by the encoder's thread: times of the newest picture, and of the one that
        # came to an empty queue last.
        self._newest_ns = 0
        self._queued_ns = 0

    def open(self) -> None:
        """
        Start a child, and take a place in the hub. Never waits.

        Whether kvssink can be loaded is known when `opening` is over: in a third
        of a second, but for the first time, when GStreamer looks at every
        plugin there is.

        Raises:
            SettingsError: The `.env` is missing or broken.

        """
        settings = self._settings
        dotenv = None if settings.dotenv_path is None else read_dotenv(settings.dotenv_path)
        runner = KvssinkRunner(
            settings,
            child_environment(os.environ, settings, dotenv),
            self._queue,
            request_key_frame=self._hub.request_key_frame,
            on_stats_changed=self._on_stats_changed,
            on_failed=self._on_failed,
        )
        self._runner = runner
        self._hub.subscribe(self)
        runner.start()

    @property
    def opening(self) -> bool:
        """Whether it is not known yet if kvssink can be loaded."""
        return self._runner is not None and not self._runner.decided.is_set()

    def push(self, unit: AccessUnit) -> None:
        """Queue one picture, or lose what comes until the next key frame. Never waits."""
        self._newest_ns = unit.wall_ns
        if not len(self._queue):
            self._queued_ns = unit.wall_ns
        if self._queue.put(unit) and self._runner is not None:
            self._runner.wake()

    def on_lost(self, error: Exception) -> None:
        """Called when the hub has let us go. Encoder's thread."""
        logger.error("KVS stream %s gets no more pictures: %s", self._settings.stream_name, error)

    @property
    def viewers(self) -> int:
        """Whether it is open: 1 or 0."""
        runner = self._runner
        return int(runner is not None and not runner.is_over)

    @property
    def lost(self) -> int:
        """How many pictures will not be delivered."""
        return self._queue.lost + (0 if self._runner is None else self._runner.frames_lost)

    @property
    def trouble(self) -> str:
        """What keeps it from delivering. Empty: nothing."""
        return "" if self._runner is None else self._runner.standing.trouble

    @property
    def failed(self) -> bool:
        """Whether it has given up for good."""
        return self._runner is not None and self._runner.standing.failed

    def numbers(self) -> dict[str, Any]:
        """Return what it can tell of itself; names as the native upload has them."""
        if self._runner is None:
            return {}
        numbers = self._runner.numbers()
        oldest_ns = numbers.pop("oldest_ns")
        queued = len(self._queue)
        if oldest_ns is None:
            oldest_ns = self._queued_ns if queued else self._newest_ns
        seconds = max(0, self._newest_ns - oldest_ns) / _SECOND_NS
        numbers["buffered_seconds"] = round(seconds, 3)
        numbers["buffered_bytes"] = numbers["kvssink"].get("buffered_bytes", 0)
        numbers["buffered_frames"] += queued
        if numbers["state"] == "STREAMING" and not numbers["buffered_frames"]:
            numbers["state"] = "IDLE"
        elif numbers["state"] == "STREAMING" and seconds > self._late_seconds:
            numbers["state"] = "BUFFERING"
        numbers["counters"]["frames_lost"] += self._queue.lost
        return {"producer": "kvssink", **numbers}

    def on_message(self, body: dict[str, Any]) -> None:
        """Do nothing: credentials come by their file."""

    def on_app_exit(self) -> None:
        """
        Called when the application has gone.

        The credentials that the child has are good for a while, and their file is
        needed until it ends; nobody else deletes it then.
        """
        self._app_has_gone = True

    def finish(self, seconds: float, longest_seconds: float = 0.0) -> None:
        """Begin to end: take nothing more, and deliver what there is."""
        self._hub.unsubscribe(self)
        if self._runner is not None:
            self._runner.finish(seconds, longest_seconds)

    @property
    def finished(self) -> bool:
        """Whether what `finish` has begun is over."""
        return self._runner is None or self._runner.is_over

    def close(self) -> Future[None]:
        """End at once, whatever is left. Idempotent."""
        self._hub.unsubscribe(self)
        self._queue.close()
        if self._runner is not None:
            self._runner.leave()
        return in_background(self._clean_up, "spyglass-kvssink-end")

    def _clean_up(self) -> None:
        if self._runner is not None:
            self._runner.join()
        temporary_path = self._settings.temporary_path
        if self._app_has_gone and temporary_path is not None and self.finished:
            shutil.rmtree(temporary_path, ignore_errors=True)

    @property
    def _late_seconds(self) -> float:
        """How much is undelivered while all goes well: a fragment, and the one before it."""
        return max(_BUFFERING_SECONDS, 3 * self._settings.fragment_seconds)

    def _on_failed(self) -> None:
        self._hub.unsubscribe(self)
        self._on_stats_changed()


def open_output(
    description: Mapping[str, Any], source: StreamSource, settings: StreamSettings
) -> KVSSinkOutput:
    """
    Open the output that the application has described.

    Raises:
        SettingsError: A setting is invalid.

    """
    # What it has to have room for.
    video = {"fps": settings.max_fps, "bitrate_kbps": settings.bitrate_kbps}
    asked = SinkSettings.from_dict({**video, **description})
    peer = source.peer
    return opened(
        KVSSinkOutput(source.hub, asked, say=peer.send, on_stats_changed=peer.stats_changed)
    )
