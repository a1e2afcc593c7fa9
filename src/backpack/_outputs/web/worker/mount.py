"""One stream of the page, from its hub to everybody who watches it in a browser."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from backpack._outputs.web.worker.jpeg import captured_ns
from backpack._outputs.web.worker.protocol import Format, pack, read_format

if TYPE_CHECKING:
    from backpack._media.access_unit import AccessUnit
    from backpack._media.output import StreamSource
    from backpack._outputs.web.worker.bridge import LoopBridge
    from backpack._outputs.web.worker.viewer import WebSocketViewer

STILL_AFTER_SECONDS = 3.0
"""Without a new frame for so long a stream stands still."""

STILL_UNWATCHED_SECONDS = 8.0
"""The same while nobody watches: then the guard lets a frame through in five seconds."""

SNAPSHOT_SECONDS = 0.15
"""How old a snapshot may be that somebody else has just asked for."""

LOOK_SECONDS = 2.5
"""How long a stream that nobody watches is taken for what its last snapshot was."""

ANSWER_SECONDS = 5.0

_SMALL = 32

_Result = TypeVar("_Result")

logger = logging.getLogger(__name__)


class ExternalViewer(Protocol):
    """One who watches without a session here, over WebRTC."""

    @property
    def lost(self) -> int:
        """Count the pictures that it was too slow for."""


class Mount:
    """
    One stream at one path: a single reader of its hub, whoever watches.

    Each picture crosses to asyncio's thread once and is written once, however
    many there are. What is not said to run elsewhere runs on asyncio's thread.

    Args:
        path: The path.
        source: The stream.
        bridge: The way between the threads.

    """

    takes_repeats = True

    def __init__(self, path: str, source: StreamSource, bridge: LoopBridge) -> None:
        self.path = path
        self.hub = source.hub
        self._numbers = source.numbers
        self._snapshot = source.snapshot
        self._bridge = bridge
        # Replaced, never changed: the main thread counts it.
        self._viewers: tuple[WebSocketViewer, ...] = ()
        self._external_viewers: tuple[ExternalViewer, ...] = ()
        # Who looks at frames one by one, for whom nothing has to be encoded.
        self.snapshot_viewers = 0
        self._sequence = 0
        self._state = "waiting"
        # When the newest put frame was captured, since the epoch; None: not known.
        self._newest_wall_ns: int | None = None
        self._format: Format | None = None
        self._key_frame_sets = b""
        # Width → a snapshot that is being made, or was a moment ago.
        self._shots: dict[int, tuple[float, asyncio.Future[bytes | None]]] = {}
        # When a snapshot last told how old the newest frame is.
        self._looked = -LOOK_SECONDS
        # Kept: asyncio itself holds its tasks but weakly.
        self._search: asyncio.Future[None] | None = None
        self._lost_of_gone = 0
        self._skips_of_gone = 0

    # --- any thread -------------------------------------------------------------

    def push(self, unit: AccessUnit) -> None:
        """Take a picture from the encoder's thread."""
        self._bridge.call(self._on_unit, unit)

    def on_lost(self, error: Exception) -> None:
        """Called when the hub has let us go: the loop is closed, or this is a bug."""
        logger.debug("%s gets no more pictures: %s", self.path, error)

    @property
    def viewers(self) -> int:
        """Count who gets pictures now."""
        return len(self._viewers) + len(self._external_viewers) + self.snapshot_viewers

    @property
    def _takes_pictures(self) -> bool:
        return bool(self._viewers or self._external_viewers)

    @property
    def lost(self) -> int:
        """Count the pictures that viewers were too slow for."""
        of_guests = sum(guest.lost for guest in self._external_viewers)
        return self._lost_of_gone + of_guests + sum(one.flow.lost for one in self._viewers)

    @property
    def skips(self) -> int:
        """Count how often a viewer fell behind."""
        return self._skips_of_gone + sum(session.flow.skips for session in self._viewers)

    # --- viewers ------------------------------------------------------------------

    def hello(self) -> dict[str, Any]:
        """Return what a page must know first."""
        shape = self._format
        return {
            "type": "hello",
            "path": self.path,
            **self.state(),
            "codec": None if shape is None else shape.codec,
            "width": 0 if shape is None else shape.width,
            "height": 0 if shape is None else shape.height,
        }

    def join(self, session: WebSocketViewer) -> None:
        """Send a viewer pictures from now on, the first of them at once."""
        is_first = not self._takes_pictures
        self._viewers = (*self._viewers, session)
        session.say(self.hello())
        self._attach(is_first=is_first)

    def leave(self, session: WebSocketViewer) -> None:
        """Send a viewer no more pictures."""
        if session not in self._viewers:
            return
        self._viewers = tuple(one for one in self._viewers if one is not session)
        self._lost_of_gone += session.flow.lost
        self._skips_of_gone += session.flow.skips
        session.flow.lost = session.flow.skips = 0
        self._detach()

    def welcome(self, guest: ExternalViewer) -> None:
        """Count a guest, and have frames come."""
        is_first = not self._takes_pictures
        self._external_viewers = (*self._external_viewers, guest)
        self._attach(is_first=is_first)

    def dismiss(self, guest: ExternalViewer) -> None:
        """Count a guest out again."""
        self._external_viewers = tuple(one for one in self._external_viewers if one is not guest)
        self._lost_of_gone += guest.lost
        self._detach()

    def _attach(self, *, is_first: bool) -> None:
        if is_first:
            self.hub.subscribe(self)
        else:
            self.hub.request_picture()

    def _detach(self) -> None:
        if not self._takes_pictures:
            self.hub.unsubscribe(self)

    def end(self) -> None:
        """End; the viewers are told by the site."""
        if self._takes_pictures:
            self.hub.unsubscribe(self)

    # --- pictures ---------------------------------------------------------------

    def _on_unit(self, unit: AccessUnit) -> None:
        self._sequence += 1
        if unit.key:
            self._note_format(unit)
        if unit.number and not unit.repeat:
            self._newest_wall_ns = unit.wall_ns
        self._note_state(unit)
        message = pack(unit, self._sequence)
        for session in self._viewers:
            session.offer(message, self._sequence, unit.pts_ns // 1000, key=unit.key)

    def _note_format(self, unit: AccessUnit) -> None:
        # Parameter sets come first and hardly ever change: they are read when they do.
        sets = unit.data[:64]
        if sets == self._key_frame_sets:
            return
        self._key_frame_sets = sets
        shape = read_format(unit.data)
        if shape is not None and shape != self._format:
            self._format = shape
            said = {
                "type": "format",
                "codec": shape.codec,
                "width": shape.width,
                "height": shape.height,
            }
            self._broadcast(said)

    def _note_state(self, unit: AccessUnit) -> None:
        state = "live"
        if not unit.number:
            state = "waiting"
        elif unit.repeat and self._is_still(STILL_AFTER_SECONDS):
            state = "still"
        if state != self._state:
            self._state = state
            self._broadcast({"type": "state", **self.state()})
            if state == "still" and self._newest_wall_ns is None:
                self._search = asyncio.ensure_future(self._find_age())

    async def _find_age(self) -> None:
        """Ask a snapshot for the age: who came to a silent application has seen no new frame."""
        if await self.shot(_SMALL) is not None:
            self._broadcast({"type": "state", **self.state()})

    def _broadcast(self, message: dict[str, Any]) -> None:
        for session in self._viewers:
            session.say(message)

    def _is_still(self, after_seconds: float) -> bool:
        age = self._age()
        return age is None or age > after_seconds

    def _age(self) -> float | None:
        if self._newest_wall_ns is None:
            return None
        return max(0.0, (time.time_ns() - self._newest_wall_ns) / 1e9)

    def state(self) -> dict[str, Any]:
        """Return whether frames come: waiting, live or still, and how old the newest one is."""
        state = self._state
        age = self._age()
        if not self._takes_pictures and age is not None:
            state = "still" if self._is_still(STILL_UNWATCHED_SECONDS) else "live"
        return {"state": state, "age_ms": None if age is None else round(age * 1000)}

    # --- what the main thread is asked for --------------------------------------

    async def numbers(self) -> dict[str, Any]:
        """Return the stream's numbers, none where the main thread does not answer."""
        numbers = self._numbers
        asked: asyncio.Future[dict[str, Any]] = self._bridge.ask(lambda answer: answer(numbers()))
        return await self._answer(asked) or {}

    async def look(self) -> None:
        """Find out how old the newest frame is, where neither viewers nor thumbnails have."""
        if not self._takes_pictures and time.monotonic() - self._looked > LOOK_SECONDS:
            await self.shot(_SMALL)

    async def shot(self, width: int) -> bytes | None:
        """
        Return a JPEG of the newest frame, at most so wide; None where there is none.

        Those who ask for the same at the same time share one.
        """
        now = time.monotonic()
        self._shots = {
            wide: (made, future)
            for wide, (made, future) in self._shots.items()
            if now - made < (SNAPSHOT_SECONDS if future.done() else ANSWER_SECONDS)
        }
        if width not in self._shots:
            snapshot = self._snapshot
            asked: asyncio.Future[bytes | None] = self._bridge.ask(
                lambda answer: snapshot(width, answer)
            )
            self._shots[width] = (now, asked)
        made = await self._answer(asyncio.shield(self._shots[width][1]))
        if made is None:
            # There may be one in a moment.
            self._shots.pop(width, None)
            return None
        self._looked = now
        taken_ns = captured_ns(made)
        if taken_ns is not None:
            self._newest_wall_ns = taken_ns
        return made

    async def _answer(self, asked: asyncio.Future[_Result]) -> _Result | None:
        try:
            return await asyncio.wait_for(asked, ANSWER_SECONDS)
        except asyncio.TimeoutError:
            logger.warning("%s: the main thread has not answered in time.", self.path)
        except Exception:
            logger.exception("%s cannot be asked.", self.path)
        return None
