"""What flows from an encoder to the outputs: an encoded picture, with its times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AccessUnit:
    """
    One encoded picture.

    Attributes:
        data: H.264 in Annex B form (ITU-T H.264, annex B). The parameter sets
            stand before every key frame.
        key: Whether decoding can start here (an IDR picture).
        pts_ns: Capture time on the monotonic clock, nanoseconds. Strictly
            increasing within a stream.
        wall_ns: Capture time since the epoch, nanoseconds.
        number: The number of the put frame. A repeat carries the number of
            the frame that it repeats, the placeholder has 0.
        repeat: Whether this picture was made for viewers while the
            application was silent. Such a picture belongs into no recording.
        epoch: Grows by one each time the wall clock has stepped.

    """

    data: bytes
    key: bool
    pts_ns: int
    wall_ns: int
    number: int
    repeat: bool = False
    epoch: int = 0
