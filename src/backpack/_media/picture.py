"""Raw pixels, wherever they lie in memory."""

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
