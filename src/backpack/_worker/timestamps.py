"""Decide which times, number and epoch a picture of a stream carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backpack._ipc.ring import RingFrame

_STEP_NS = 1_000
_MOST_INSIDE = 64


@dataclass(frozen=True)
class Tag:
    """
    What is known of a picture besides its pixels.

    Attributes:
        pts_ns: Its time on the monotonic clock; strictly increasing.
        mono_ns: The monotonic time that ``wall_ns`` belongs to.
        wall_ns: Its time since the epoch.
        number: The number of the put frame that it shows; 0 for the placeholder.
        repeat: Whether it was made by us for viewers.
        epoch: Grows when the wall clock stepped.

    """

    pts_ns: int
    mono_ns: int
    wall_ns: int
    number: int
    repeat: bool
    epoch: int


class PictureTimes:
    """
    Times of frames: put frames have their own, repeats go on from there.

    A repeat is as late as its frame was: a viewer's clock does not jump when
    the application falls silent or comes back. Reads no clock. Intake's thread.
    """

    def __init__(self) -> None:
        self._last_pts_ns = 0
        # Of the last put frame: number, its times, and when it was encoded.
        self._number = 0
        self._mono_ns = 0
        self._wall_ns = 0
        self._encoded_ns = 0
        self._epoch = 0

    def is_new(self, frame: RingFrame) -> bool:
        """Return whether a frame was not encoded yet."""
        return frame.number > self._number

    def replaced_by(self, frame: RingFrame) -> int:
        """Count the frames before this one that were never taken."""
        return max(0, frame.number - self._number - 1)

    def pass_over(self, number: int) -> None:
        """Pass over frames up to a number: what nobody was there to see was not replaced."""
        self._number = max(self._number, number)

    def of_frame(self, frame: RingFrame) -> Tag:
        """Tag a frame that is shown when it comes."""
        return Tag(
            self._not_before_last(frame.mono_ns),
            frame.mono_ns,
            frame.wall_ns,
            frame.number,
            repeat=False,
            epoch=frame.epoch,
        )

    def of_old_frame(self, frame: RingFrame, now_ns: int, wall_now_ns: int) -> Tag:
        """Tag a frame of long ago: it is shown as if it were of now, from now on."""
        pts_ns = self._repeat_ns(now_ns)
        return Tag(pts_ns, pts_ns, wall_now_ns, frame.number, repeat=True, epoch=frame.epoch)

    def of_repeat(self, now_ns: int, wall_now_ns: int) -> Tag:
        """Tag the last picture shown again, or the placeholder where there was none."""
        pts_ns = self._repeat_ns(now_ns)
        wall_ns = self._wall_ns + pts_ns - self._mono_ns if self._mono_ns else wall_now_ns
        return Tag(pts_ns, pts_ns, wall_ns, self._number, repeat=True, epoch=self._epoch)

    def went_in(self, tag: Tag, now_ns: int) -> None:
        """Note that the encoder took a picture."""
        self._last_pts_ns = tag.pts_ns
        if tag.number > self._number:
            self._number = tag.number
            self._mono_ns, self._wall_ns = tag.mono_ns, tag.wall_ns
            self._encoded_ns = now_ns
            self._epoch = tag.epoch

    def _repeat_ns(self, now_ns: int) -> int:
        late_ns = self._encoded_ns - self._mono_ns if self._number and self._mono_ns else 0
        pts_ns = now_ns - late_ns
        return self._not_before_last(pts_ns - pts_ns % _STEP_NS)

    def _not_before_last(self, pts_ns: int) -> int:
        return max(pts_ns, self._last_pts_ns + _STEP_NS)


class Tags:
    """
    Keep what an encoder does not carry, for the pictures inside it.

    Added to by the intake's thread, taken from by the encoder's: each call is
    one operation on a dictionary.
    """

    def __init__(self) -> None:
        self._inside: dict[int, Tag] = {}

    def add(self, tag: Tag) -> None:
        """Keep the tag of a picture that is about to go in."""
        self._inside[tag.pts_ns] = tag
        while len(self._inside) > _MOST_INSIDE:
            # What an encoder has dropped never comes out.
            self._inside.pop(next(iter(self._inside)), None)

    def take(self, pts_ns: int) -> Tag | None:
        """Return the tag of a picture that came out, or did not go in."""
        return self._inside.pop(pts_ns, None)
