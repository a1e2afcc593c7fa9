"""Decide, wake-up by wake-up, what the encoder gets next."""

from __future__ import annotations

import enum

_SECOND_NS = 1_000_000_000

REPEAT_NS = _SECOND_NS
"""How long viewers see nothing new before the last picture is sent again."""

GREETING_NS = 3 * _SECOND_NS // 2
GREETING_STEP_NS = _SECOND_NS // 20
"""
A new viewer to a silent application gets pictures so far apart for so long. Players
show nothing before they have seen some: ffmpeg waits for about twenty, which
took it half a minute at one a second; rtspsrc for two packets.
"""

KEY_PATIENCE_NS = _SECOND_NS // 10
"""How long a key frame that was asked for waits for a new frame."""

KEY_INTERVAL_NS = 2 * _SECOND_NS
"""How far apart key frames are where nobody asks for one."""


class Action(enum.Enum):
    """What the encoder gets."""

    NOTHING = enum.auto()
    FRAME = enum.auto()
    REPEAT = enum.auto()


class Cadence:
    """
    Turn frames that come when they like into pictures that viewers can rely on.

    A new frame is encoded at once. While there is none the last picture, or
    the placeholder, is repeated once a second; for a new viewer at once, and
    quickly for a moment.

    Reads no clock, holds no frame: the intake thread tells it the time. Times
    are nanoseconds of the monotonic clock.
    """

    def __init__(self) -> None:
        # When the encoder last got a picture. None: not since it was started.
        self._last_ns: int | None = None
        self._last_key_ns = 0
        # Until when the last new viewer is greeted.
        self._greet_until_ns = 0
        # The last picture was a repeat, and some output never saw it.
        self._after_repeat = False
        self._epoch: int | None = None

    def restart(self) -> None:
        """Begin anew: the next picture is the first of another encoder."""
        self._last_ns = None

    def decide(
        self, now_ns: int, *, fresh: bool, new_viewer: bool, key_due_ns: int | None = None
    ) -> Action:
        """
        Return what the encoder of a watched stream gets.

        Args:
            now_ns: The time.
            fresh: Whether a frame has come that was not encoded yet.
            new_viewer: Whether somebody waits for a picture.
            key_due_ns: When a key frame that was asked for may be made.

        """
        if new_viewer:
            self._greet_until_ns = now_ns + GREETING_NS
        if fresh:
            return Action.FRAME
        wake_ns = self.wake_at(key_due_ns)
        if new_viewer or wake_ns is None or now_ns >= wake_ns:
            return Action.REPEAT
        return Action.NOTHING

    def needs_key(
        self, pts_ns: int, action: Action, *, asked: bool, repeats_refused: bool, epoch: int
    ) -> bool:
        """
        Return whether the picture must be one that decoding can start at.

        Args:
            pts_ns: The picture's own time, for players and recordings count by it.
            action: What is about to be encoded.
            asked: Whether a viewer asks for a key frame.
            repeats_refused: Whether some output is not given repeats. What
                follows one must not refer to it.
            epoch: The frame's; grows when the wall clock stepped, which gets
                a new anchor at a key frame.

        """
        return (
            asked
            or self._last_ns is None
            or pts_ns - self._last_key_ns >= KEY_INTERVAL_NS
            or (action is Action.FRAME and self._after_repeat and repeats_refused)
            or (self._epoch is not None and epoch != self._epoch)
        )

    def done(self, now_ns: int, action: Action, *, key: bool, pts_ns: int, epoch: int) -> None:
        """Note that a picture with that time of its own went into the encoder."""
        self._last_ns = now_ns
        if key:
            self._last_key_ns = pts_ns
        self._after_repeat = action is Action.REPEAT
        self._epoch = epoch

    def wake_at(self, key_due_ns: int | None = None) -> int | None:
        """Return when a picture has to be repeated if nothing comes; None: now."""
        if self._last_ns is None:
            return None
        is_greeting = self._last_ns < self._greet_until_ns
        at_ns = self._last_ns + (GREETING_STEP_NS if is_greeting else REPEAT_NS)
        if key_due_ns is not None:
            # A moving picture brings its own next frame before that.
            at_ns = min(at_ns, max(key_due_ns, self._last_ns + KEY_PATIENCE_NS))
        return at_ns
