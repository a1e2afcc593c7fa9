"""
Decide what of a picture may be seen: the one door between ring and encoder.

Every picture passes here before anything else looks at it, and the encoding
room takes nothing but what this room has let through: a `CleanPicture`, which
only `Redaction` makes. At present it lets everything through. A method that
hides faces or plates will stand here, and when it fails the picture is
withheld.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backpack._ipc.settings import PixelFormat


@dataclass(frozen=True)
class Picture:
    """
    Pixels that lie somewhere in memory; this object does not own them.

    Attributes:
        address: Address of the first byte of the first row.
        stride: Bytes from one row to the next.
        width: Pixels in a row.
        height: Rows.
        pixel_format: How the bytes of one pixel lie.

    """

    address: int
    stride: int
    width: int
    height: int
    pixel_format: PixelFormat


class CleanPicture(Picture):
    """A picture that may be encoded."""


class Redaction:
    """
    Let pictures through to the encoder.

    Used by one thread, the intake of one stream.
    """

    def clean(self, picture: Picture) -> CleanPicture:
        """Return the picture back as one that may be seen."""
        return CleanPicture(
            picture.address,
            picture.stride,
            picture.width,
            picture.height,
            picture.pixel_format,
        )
