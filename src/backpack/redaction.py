"""How hidden regions look, and for how long they stay hidden."""

from __future__ import annotations

import math
from dataclasses import dataclass

from backpack.errors import SettingsError

__all__ = ["Redaction"]

_STYLES = ("fill", "pixelate", "blur")


@dataclass(frozen=True)
class Redaction:
    """
    How hidden regions look, and for how long they stay hidden.

    Only ``"fill"`` shows nothing at all of what is hidden. The other two show the
    means of at most 8 x 8 cells of each region, none of them smaller than 8 x 8
    pixels; who watches a region that moves for long may learn more than one frame
    tells.

    Attributes:
        style: ``"fill"``, ``"pixelate"`` or ``"blur"``.
        color: Blue, green and red of ``"fill"`` and of blanked frames, 0 to 255 each.
        margin: What is hidden around each box of ``put(redact=...)`` as well: a share of
            its width on the left and on the right, of its height above and below.
        hold_frames: For how many calls of `put` a region stays hidden that is no longer
            given: a detection that fails once shows nothing. It grows by how fast it moved.
        hold_seconds: The same, in seconds. It stays as long as either of them says.

    Raises:
        SettingsError: A value is invalid.

    """

    style: str = "fill"
    color: tuple[int, int, int] = (0, 0, 0)
    margin: float = 0.1
    hold_frames: int = 5
    hold_seconds: float = 0.25

    def __post_init__(self) -> None:
        """Check the values."""
        if self.style not in _STYLES:
            raise SettingsError(f"style={self.style!r} is none of {', '.join(_STYLES)}.")
        color = tuple(self.color)
        if len(color) != 3 or not all(  # noqa: PLR2004 - blue, green, red
            isinstance(part, int) and 0 <= part <= 255  # noqa: PLR2004
            for part in color
        ):
            raise SettingsError(
                f"color={self.color!r} must be blue, green and red, each from 0 to 255."
            )
        for name, most in (("margin", 10.0), ("hold_frames", 10_000), ("hold_seconds", 3600.0)):
            value = getattr(self, name)
            if not (
                isinstance(value, (int, float)) and math.isfinite(value) and 0 <= value <= most
            ):
                raise SettingsError(f"{name}={value!r} must lie between 0 and {most:g}.")
