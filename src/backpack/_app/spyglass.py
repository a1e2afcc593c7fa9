"""Hand frames over and go on: what the application holds."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from backpack._app import exit_hooks
from backpack._app.blocks import Blocks
from backpack._app.counters import as_stats
from backpack._app.output import OutputOptions, TwoWayOutput, as_output, report_failures
from backpack._app.predecessor import (
    PIPELINE,
    USE_LAST_VALUE,
    OldNames,
    tell_unused,
    warn_if_overwritten,
)
from backpack._app.put_counters import Outcome
from backpack._app.redaction.redactor import Redactor
from backpack._app.sink_methods import SinkMethods
from backpack._app.state import Phase
from backpack._app.state import State as _State
from backpack._app.stream import DRAIN_SECONDS, RemoteStream
from backpack._app.writer import FrameWriter
from backpack._ipc.settings import StreamSettings, is_disabled
from backpack.errors import StateError
from backpack.redaction import Redaction

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from backpack._app.output import Output
    from backpack._app.timeline import Timestamp
    from backpack.stats import Stats

_ACCEPTED = Outcome.ACCEPTED
_FORKED = Outcome.FORKED
_STREAMING = Phase.STREAMING

STOP_SECONDS = 3.0
"""How long a stop may take by default."""


class SpyGlass(SinkMethods, OldNames):
    """
    One video stream, made of the frames that an application puts.

    Encoding and streaming run in a process of their own. `put` copies the
    frame into shared memory if somebody watches and it is due. It does not
    block. A stream is encoded once, for any number of outputs.

    ::

        spyglass = SpyGlass("rtsp://127.0.0.1:8554/door")
        spyglass.start_streaming()
        while running:
            spyglass.put(frame)
        spyglass.stop_streaming()

    Any thread may call any method.

    Args:
        outputs: Where the stream goes: URLs such as
            ``rtsp://127.0.0.1:8554/door``, or objects such as `GstSink`.
            An ``rtsp://`` URL listens; its host is an address of this machine.
        parent_logger: Parent of the logger that is used. None: ``backpack.spyglass``.
        gst_log_file: File that GStreamer's debug log goes to. There is one
            streaming process and so one file; it must be named before the
            first start.
        gst_log_level: GStreamer's debug level, as in ``GST_DEBUG``.
        dotenv_path: Accepted for compatibility, and not read.
        fps: Most frames per second. None: 30.
        width: Width of the video, in pixels. None: that of the first frame encoded.
        height: Height of the video, in pixels. None: that of the first frame encoded.
        bitrate_kbps: Bit rate in kbit/s. None: chosen by size and rate.
        encoder: GStreamer element to encode with, for example ``"x264enc"``.
            None: the best one that passes a trial.
        linger_seconds: How long encoding goes on after the last viewer left.
        required: Whether `start_streaming` raises where streaming cannot run,
            or one of several outputs cannot be served because a package is
            missing. Otherwise that is logged and tried again, and shown by
            `state_reason` and `stats`.
        privacy_mask: Boxes ``(x0, y0, x1, y1)`` and polygons ``[(x, y), ...]`` that are
            hidden in every frame: in pixels, or in shares of the frame where no number
            is larger than 1.
        show_only: The same; everything else is hidden in every frame.
        require_redaction: Whether a frame is hidden as a whole that is put without
            ``redact=``.
        redaction: How hidden regions look, and for how long they stay hidden that are no
            longer given. None: ``Redaction()``.
        allow_anonymous: Whether a URL without a user may listen on an address
            that others can reach.

    Raises:
        SettingsError: A value or URL is invalid.

    """

    State: ClassVar[type[_State]] = _State

    _old_names = PIPELINE

    FPS_METER_WARMUP_FRAMES: ClassVar[int] = 0
    """How many frames are thrown away to measure the rate: none. Setting it changes nothing."""

    def __init__(  # noqa: PLR0913 - every setting has a name
        self,
        *outputs: str | Output,
        parent_logger: logging.Logger | None = None,
        gst_log_file: str | os.PathLike[str] | None = None,
        gst_log_level: str | int | None = None,
        dotenv_path: str | os.PathLike[str] | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
        bitrate_kbps: int | None = None,
        encoder: str | None = None,
        linger_seconds: float = 5.0,
        required: bool = False,
        privacy_mask: Sequence[Any] | None = None,
        show_only: Sequence[Any] | None = None,
        require_redaction: bool = False,
        redaction: Redaction | None = None,
        allow_anonymous: bool = False,
    ) -> None:
        super().__init__()
        warn_if_overwritten()
        name = type(self).__name__
        self.logger = (
            parent_logger.getChild(name)
            if parent_logger is not None
            else logging.getLogger("backpack.spyglass")
        )
        self._settings = StreamSettings(fps, width, height, bitrate_kbps, encoder, linger_seconds)
        options = OutputOptions(allow_anonymous=allow_anonymous, required=required)
        self._outputs = [as_output(given, options) for given in outputs]
        self._gst_log_file = None if gst_log_file is None else os.fspath(gst_log_file)
        self._gst_log_level = None if gst_log_level is None else str(gst_log_level)
        self.dotenv_path = None if dotenv_path is None else os.fspath(dotenv_path)
        if dotenv_path is not None:
            tell_unused(self.logger, "dotenv_path", "only kvssink needs one")
        self._required = required
        # Each has a lock of its own: `put` waits for no start and no stop.
        self._frames = FrameWriter(
            self._settings.max_fps,
            Redactor(
                redaction or Redaction(),
                privacy_mask=privacy_mask,
                show_only=show_only,
                required=require_redaction,
                logger=self.logger,
            ),
        )
        self._stream = RemoteStream(
            self._frames, self._outputs, self.logger, disabled=is_disabled()
        )
        # Held through a start or a stop, so that these come one after the other.
        self._life = threading.Lock()
        self._blocks = Blocks()
        exit_hooks.add(self)

    # --- life ------------------------------------------------------------------

    def start_streaming(
        self,
        fps: float | None = USE_LAST_VALUE,
        width: int | None = USE_LAST_VALUE,
        height: int | None = USE_LAST_VALUE,
    ) -> None:
        """
        Open the outputs. Frames that are put from now on can be watched.

        Blocks until the outputs are open: about half a second the first time,
        and at most ten seconds for the stream and for each server that it
        starts; what takes longer continues in the background. A running stream
        is stopped first. The size is fixed until the next start, and made even.

        Args:
            fps: Most frames per second. None, here and below: as if no value
                had been given before. ``USE_LAST_VALUE``: the value of the
                constructor or of an earlier start.
            width: Width of the video, in pixels.
            height: Height of the video, in pixels.

        Raises:
            SettingsError: A value is invalid.
            AddressInUseError: Another program listens on an output's address.
            OutputError: An output cannot be opened.
            MissingDependencyError: None of the outputs can be served here; or,
                with ``required=True``, one of them cannot, or streaming cannot
                run at all.
            StateError: The process was forked after this object was made.

        """
        self._check_fork("start_streaming")
        given = {"fps": fps, "width": width, "height": height}
        asked = {name: value for name, value in given.items() if value != USE_LAST_VALUE}
        with self._life:
            # Checked first: a mistake leaves a running stream as it was.
            settings = replace(self._settings, **asked)  # type: ignore[arg-type]
            self._stop(DRAIN_SECONDS)
            self._settings = settings
            if self._stream.phase is Phase.DISABLED:
                return
            with contextlib.ExitStack() as undo:
                for output in self._outputs:
                    output.acquire()
                    undo.callback(output.release)
                report_failures(self._outputs)
                self._stream.open(
                    settings,
                    required=self._required,
                    gst_log_file=self._gst_log_file,
                    gst_log_level=self._gst_log_level,
                )
                undo.pop_all()

    def stop_streaming(self, timeout: float | None = None) -> None:
        """
        Deliver the frames that were put before, and close the outputs.

        Does nothing if the stream is stopped. Viewers of servers in this
        process get them within a second. An output that sends video elsewhere,
        such as KVS, gets the whole time, and the log says what was not delivered.

        Args:
            timeout: Most seconds that the call takes. None: 3, or 5 with an
                output that sends video elsewhere.

        """
        if self._stream.phase is Phase.FORKED:
            return
        if timeout is None:
            timeout = max([STOP_SECONDS, *self._deliver_seconds()])
        # A start that still waits on another thread is not waited for.
        self._stream.give_up()
        with self._life:
            self._stop(timeout)

    def __enter__(self) -> Self:
        """Start streaming, unless a block around this one has."""
        self._blocks.enter(self.start_streaming, goes_on=self._stream.is_open)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop streaming at the end of the outermost block."""
        self._blocks.leave(self.stop_streaming)

    def _deliver_seconds(self) -> list[float]:
        """Return how long each output that sends far away asks for."""
        return [one.deliver_seconds for one in self._outputs if isinstance(one, TwoWayOutput)]

    def _stop(self, timeout: float) -> None:
        if not self._stream.is_open:
            return
        self._stream.close(timeout)
        for output in reversed(self._outputs):
            output.release()

    # --- frames ----------------------------------------------------------------

    def put(
        self,
        frame: NDArray[np.uint8],
        *,
        timestamp: Timestamp | None = None,
        redact: Any = None,  # noqa: ANN401 - what detectors give
    ) -> bool:
        """
        Hand over a frame to be streamed. Does not block.

        Args:
            frame: ``(height, width, 3)`` `uint8` in BGR order, any strides;
                also ``(height, width, 4)`` BGRA and ``(height, width)`` gray.
                It is copied, and may be changed afterwards.
            timestamp: Capture time: seconds since the epoch, or
                (seconds, microseconds). None: now.
            redact: What to hide in it, in pixels: boxes ``[(x0, y0, x1, y1), ...]``, an
                array (n, 4), supervision's `Detections`, polygons, `bool` masks
                (height, width) or (n, height, width). Hidden pixels are not copied. An
                empty list: nothing. None: nothing was looked for. What cannot be read,
                as a box with NaN, hides the whole frame, and is logged once.

        Returns:
            Whether the frame was taken. A newer one may still replace it
            before it is encoded. `stats` counts the frames that were not taken
            by cause: stopped, nobody watches, not due, streaming process away,
            not newer than the last one.

        Raises:
            FrameError: It is not a frame, or its timestamp lies in the future.
            StateError: The process was forked after this object was made.

        """
        outcome = self._frames.put(frame, timestamp, redact)
        if outcome is not _ACCEPTED:
            if outcome is _FORKED:
                self._check_fork("put")
            return False
        if self._stream.phase is not _STREAMING:
            self._stream.note_frame()
        return True

    # --- what can be asked -----------------------------------------------------

    @property
    def state(self) -> _State:
        """The state, a `State`."""
        return self._stream.state

    @property
    def state_reason(self) -> str:
        """Why it is in that state. Empty if there is nothing to explain."""
        return self._stream.reason

    def urls(self) -> list[str]:
        """
        Return the addresses at which the stream can be watched, without passwords.

        Outputs that could not be opened are left out.
        """
        return [url for output in self._outputs for url in output.urls()]

    def stats(self) -> Stats:
        """
        Return what was counted and measured until now. Does not block.

        The streaming process reports its numbers once a second while somebody
        watches, and whenever a viewer connects or leaves.
        """
        return as_stats(self._stream.numbers())

    @property
    def video_fps(self) -> float | None:
        """The frame rate that was asked for. None if none was."""
        return self._settings.fps

    @property
    def video_width(self) -> int | None:
        """Width of the video in pixels. None before the first `put`, if none was asked for."""
        return self._stream.video_size(self._settings)[0]

    @property
    def video_height(self) -> int | None:
        """Height of the video in pixels. None before the first `put`, if none was asked for."""
        return self._stream.video_size(self._settings)[1]

    def __repr__(self) -> str:
        """Show state and addresses."""
        return f"<{type(self).__name__} {self._stream.state.name} {' '.join(self.urls())}>"

    def _on_exit(self) -> None:
        """Deliver, where the application has not stopped what it has started."""
        if self._deliver_seconds():
            self.stop_streaming()

    def _become_forked_copy(self) -> None:
        """Let go of what belongs to the process that we were forked from."""
        # One that another thread held at the fork would be held for ever.
        self._life = threading.Lock()
        self._blocks = Blocks()
        self._stream.become_forked_copy()

    def _check_fork(self, call: str) -> None:
        if self._stream.phase is Phase.FORKED:
            raise StateError(
                f"{call}() was called in a process that was forked from the one that made this "
                "SpyGlass. Make a new SpyGlass in the forked process."
            )
