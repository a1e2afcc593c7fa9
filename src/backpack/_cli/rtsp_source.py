"""Read an RTSP stream, and come back to it whenever it is lost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from backpack._app.output import mask
from backpack._cli.failure import Failure
from backpack._cli.player import Player, PlayerError, Trouble
from backpack._cli.sources import DECODERS
from backpack._gst.factory import make, set_property
from backpack._lib.timing import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._cli.stop import StopRequest
    from backpack._gst.gi import Gst

_SILENCE_SECONDS: Final = 15.0
"""How long a stream may be silent before it is taken for dead; UDP does not tell."""


class RtspSource:
    """
    Watch an RTSP stream, and come back to it whenever it is lost.

    Args:
        url: Where it is.
        login: Name and password; None: those of the URL, if any.
        say: Told when it is lost and when it is back.
        ending: Ends the wait for the next try.

    """

    def __init__(
        self,
        url: str,
        login: tuple[str, str] | None,
        say: Callable[[str], None],
        ending: StopRequest,
    ) -> None:
        parts = urlsplit(url)
        if login is None and parts.username:
            login = (unquote(parts.username), unquote(parts.password or ""))
        self._shown = mask(url)
        # Without the login: GStreamer's messages show the address.
        self._address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._login = login
        self._say = say
        self._ending = ending
        self._backoff = Backoff(0.5, 15.0)
        self._player: Player | None = None
        self._next_try = 0.0
        self._last_picture = 0.0
        self._was_seen = False
        self._is_lost = False

    def read(self, use: Callable[[Any], object], wait_seconds: float) -> None:
        """Pass the newest frame on; connect if it is time to."""
        if self._player is None:
            wait = self._next_try - time.monotonic()
            if wait > 0:
                self._ending.wait(min(wait, wait_seconds))
                return
            self._last_picture = time.monotonic()
            self._player = self._play()
        try:
            got = self._player.read(use, wait_seconds)
        except PlayerError as error:
            self._refuse_hopeless(error)
            self._lose(str(error))
            return
        now = time.monotonic()
        if got:
            self._note_picture(now)
        elif got is None:
            self._lose("it has ended")
        elif now - self._last_picture > _SILENCE_SECONDS:
            self._lose(f"no picture for {_SILENCE_SECONDS:.0f} s")

    def _play(self) -> Player:
        decoder = make("uridecodebin")
        decoder.set_property("uri", self._address)
        decoder.connect("source-setup", self._set_up)
        return Player([decoder], is_live=True)

    def _set_up(self, _decoder: Gst.Element, source: Gst.Element) -> None:
        """Set what a URI cannot say. On GStreamer's thread."""
        source.set_property("latency", 200)
        set_property(source, "drop-on-latency", value=True)
        if self._login is not None:
            source.set_property("user-id", self._login[0])
            source.set_property("user-pw", self._login[1])

    def _note_picture(self, now: float) -> None:
        if self._is_lost:
            self._say(f"{self._shown} is back.")
        self._is_lost = False
        self._was_seen = True
        self._last_picture = now
        self._backoff.reset()

    def _refuse_hopeless(self, error: PlayerError) -> None:
        """Stop where trying again would only repeat a mistake, or lock the account."""
        if error.trouble is Trouble.LOGIN:
            raise Failure(f"{self._shown} does not accept the login, or wants one.") from error
        if error.trouble is Trouble.NO_DECODER:
            raise Failure(f"{self._shown} cannot be shown: {error}. {DECODERS}") from error
        if error.trouble is Trouble.NO_VIDEO:
            raise Failure(f"{self._shown} cannot be shown: {error}.") from error
        if error.trouble is Trouble.NOT_THERE and not self._was_seen:
            raise Failure(f"{self._shown} is not served there: {error}.") from error

    def _lose(self, reason: str) -> None:
        self.close()
        wait = self._backoff.next_wait()
        self._next_try = time.monotonic() + wait
        self._is_lost = True
        self._say(f"{self._shown}: {reason}; trying again in {wait:.1f} s.")

    def close(self) -> None:
        """Hang up."""
        if self._player is not None:
            self._player.close()
        self._player = None
