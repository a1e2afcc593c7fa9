"""Draw a moving scene that looks like what an application annotates."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from backpack._app.font import GLYPH_HEIGHT, text_mask
from backpack._cli.run import EndOfSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from backpack._cli.stop import StopRequest

    Frame = NDArray[np.uint8]
    Colour = tuple[int, int, int]

_INK: Final = (20, 20, 20)
_WHITE: Final = (240, 240, 240)


@dataclass(frozen=True)
class _Thing:
    """
    Something that moves and bounces off the edges.

    Attributes:
        label: What a detector would say of it.
        size: Width and height, as parts of the picture's height.
        start: Where it is at first, as parts of the way it has.
        speed: Ways a second, across and down.
        colour: Of its box, BGR.

    """

    label: str
    size: tuple[float, float]
    start: tuple[float, float]
    speed: tuple[float, float]
    colour: Colour


_THINGS: Final = (
    _Thing("PERSON 0.97", (0.14, 0.36), (0.1, 0.7), (0.09, 0.05), (80, 220, 80)),
    _Thing("DOG 0.88", (0.20, 0.14), (0.6, 0.9), (0.16, 0.11), (60, 170, 250)),
    _Thing("BIKE 0.74", (0.26, 0.22), (0.3, 0.4), (0.21, 0.07), (240, 190, 70)),
    _Thing("PERSON 0.91", (0.12, 0.32), (0.8, 0.5), (0.06, 0.13), (80, 220, 80)),
)


def bounce(start: float, speed: float, seconds: float) -> float:
    """Return where between 0 and 1 something is that goes to and fro."""
    way = (start + speed * seconds) % 2.0
    return 2.0 - way if way > 1.0 else way


class Scene:
    """
    Draw boxes that bounce, each with a label, and a clock.

    Reads no clock: what it shows depends on its arguments alone. Used by one
    thread.

    Args:
        width: Pixels in a row.
        height: Rows.

    """

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._scale = max(1, height // 180)
        shade = np.linspace(70, 130, height).astype(np.uint8)[:, None, None]
        self._background = np.broadcast_to(shade, (height, width, 3)).copy()
        self._background[int(height * 0.75) :] //= 2
        self._frame: Frame = self._background.copy()

    def draw(self, seconds: float, clock: str) -> Frame:
        """
        Draw the scene as it is at a time; valid until the next call.

        Args:
            seconds: Since the scene began.
            clock: What its clock shows.

        """
        np.copyto(self._frame, self._background)
        for thing in _THINGS:
            self._draw_thing(thing, seconds)
        margin = 4 * self._scale
        self._write(f"SPYGLASS TEST  {clock}", margin, margin, _WHITE, 2 * self._scale)
        return self._frame

    def _draw_thing(self, thing: _Thing, seconds: float) -> None:
        width, height = (max(4, int(part * self._size[1])) for part in thing.size)
        x = int(bounce(thing.start[0], thing.speed[0], seconds) * (self._size[0] - width))
        y = int(bounce(thing.start[1], thing.speed[1], seconds) * (self._size[1] - height))
        x, y = max(0, x), max(0, y)
        line = self._scale
        part = self._frame[y : y + height, x : x + width]
        part[:] = thing.colour
        part[line:-line, line:-line] = [value // 3 for value in thing.colour]
        top = max(0, y - (GLYPH_HEIGHT + 4) * self._scale)
        self._tag(thing, x, top)

    def _tag(self, thing: _Thing, x: int, y: int) -> None:
        margin = 2 * self._scale
        height, width = text_mask(thing.label, self._scale).shape
        self._frame[y : y + height + 2 * margin, x : x + width + 2 * margin] = thing.colour
        self._write(thing.label, x + margin, y + margin, _INK, self._scale)

    def _write(self, text: str, x: int, y: int, colour: Colour, scale: int) -> None:
        mask = text_mask(text, scale)
        part = self._frame[y : y + mask.shape[0], x : x + mask.shape[1]]
        part[mask[: part.shape[0], : part.shape[1]]] = colour


class SceneSource:
    """
    A source that draws a scene, at a steady rate.

    Args:
        width: Pixels in a row.
        height: Rows.
        fps: Frames a second.
        ending: Ends the wait for the next frame.

    """

    def __init__(self, width: int, height: int, fps: float, ending: StopRequest) -> None:
        self._scene = Scene(width, height)
        self._interval = 1 / fps
        self._ending = ending
        self._begin = self._due = time.monotonic()

    def read(self, use: Callable[[Frame], object], wait_seconds: float) -> None:
        """Draw the next frame when it is due; it is valid while ``use`` runs."""
        wait = self._due - time.monotonic()
        if wait > 0 and self._ending.wait(min(wait, wait_seconds)):
            raise EndOfSource
        now = time.monotonic()
        if now < self._due:
            return
        # What was missed is left out rather than hurried through.
        self._due = max(self._due + self._interval, now)
        wall = time.time()
        clock = time.strftime("%H:%M:%S", time.localtime(wall)) + f".{int(wall % 1 * 100):02}"
        use(self._scene.draw(now - self._begin, clock))

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
