"""A child process with kvssink, as the runner knows it: its video, and what is pending."""

from __future__ import annotations

import logging
import re
import select
from typing import TYPE_CHECKING, Any, Final

from backpack._outputs.kvs.worker.kvssink.complaints import Complaint, Complaints
from backpack._outputs.kvs.worker.kvssink.delivery_log import Pending
from backpack._outputs.kvs.worker.kvssink.log_sanitizer import LogSanitizer
from backpack._outputs.kvs.worker.kvssink.process import SinkProcess
from backpack._outputs.kvs.worker.kvssink.protocol import Kind, order, picture
from backpack._outputs.kvs.worker.producer.matroska import Track, frame_payload, track_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backpack._media.access_unit import AccessUnit
    from backpack._outputs.kvs.worker.kvssink.settings import SinkSettings

# Where what kvssink prints goes to.
logger = logging.getLogger("backpack.kvs.kvssink")

_AHEAD_BYTES: Final = 1 << 20
"""What waits for the child's socket, beyond which pictures stay in the queue."""

_STATUS: Final = re.compile(r"0x[0-9a-fA-F]{8}")


class Child:
    """
    One child, from its start to its end. The driver's thread's.

    Args:
        settings: What is streamed.
        environment: Its environment.
        now: Monotonic seconds.

    Raises:
        OSError: It cannot be started.

    """

    def __init__(
        self, settings: SinkSettings, environment: Mapping[str, str], *, now: float
    ) -> None:
        self._settings = settings
        self.process = SinkProcess(environment)
        self.started_at = now
        self.pending = Pending(
            settings.fragment_seconds, settings.buffer_seconds, keeps=settings.retention_hours > 0
        )
        # Whether it has kvssink.
        self.is_loaded = False
        # Whether kvssink has its stream and its endpoint.
        self.is_started = False
        # Whether it was told to deliver and end, and by when it is killed.
        self.is_ending = False
        self.give_up_at = 0.0
        # Its last words, if they were of an error.
        self.why = ""
        # What its video is; kvssink takes no other. None: nothing was sent to it.
        self._track: Track | None = None
        self._epoch = 0
        self._last_ns = 0
        self._sanitizer = LogSanitizer()
        self._complaints = Complaints()
        self._complained: list[Complaint] = []
        self._prints = True

    @property
    def cause(self) -> str:
        """A short name for the error that it told of; empty if it told of none."""
        found = _STATUS.search(self.why)
        return f"error {found[0]}" if found else "error" if self.why else ""

    @property
    def has_begun(self) -> bool:
        """Whether anything was sent to it."""
        return self._track is not None

    @property
    def has_room(self) -> bool:
        """Whether it takes more."""
        return self.process.pending_bytes < _AHEAD_BYTES

    def fits(self, unit: AccessUnit) -> bool:
        """
        Return whether it can go on with this key frame.

        kvssink reads the codec's parameters once, and takes no earlier time.
        """
        same = self._epoch == unit.epoch and unit.wall_ns > self._last_ns
        return same and self.has_begun and self._track == _track(unit)

    def begin(self, unit: AccessUnit) -> bool:
        """Have it start kvssink for what begins with this key frame; False if that is broken."""
        track = _track(unit)
        if track is None:
            return False
        body = {
            "properties": self._settings.properties,
            "environment_path": self._settings.environment_path,
            "stop_seconds": self._settings.stop_seconds,
            "video": {
                "width": track.width,
                "height": track.height,
                "codec_data": track.codec_private.hex(),
            },
        }
        self._track, self._epoch = track, unit.epoch
        self.process.send(order(Kind.BEGIN, body))
        return True

    def send(self, unit: AccessUnit) -> None:
        """Pass it a picture."""
        self._last_ns = unit.wall_ns
        self.process.send(picture(unit.wall_ns, frame_payload(unit.data), key=unit.key))

    def deliver(self, seconds: float) -> None:
        """Have it deliver what it has, and end."""
        self.is_ending = True
        self.process.send(order(Kind.END, {"seconds": seconds}))

    def register(self, poll: select.poll) -> None:
        """Say what is waited for."""
        waits = select.POLLOUT if self.process.pending_bytes else 0
        poll.register(self.process.sock, select.POLLIN | waits)
        if self._prints:
            poll.register(self.process.output, select.POLLIN)

    def listen(self, now: float) -> list[dict[str, Any]] | None:
        """Send what waits, log what it prints, and give what it says; None once it has gone."""
        self.process.flush()
        words = self.process.receive()
        printed = self.process.read_output()
        self._prints = printed is not None
        self._complained += self._complaints.feed(printed or b"")
        for line in self._sanitizer.feed(printed or b"", now):
            logger.info("%s", line)
        return words

    def take_complaints(self) -> list[Complaint]:
        """Return, once, what has not worked, in the order in which it was printed."""
        complained, self._complained = self._complained, []
        return complained


def _track(unit: AccessUnit) -> Track | None:
    try:
        return track_of(unit.data)
    except ValueError:
        return None
