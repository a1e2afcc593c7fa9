"""Prints where a stream that is sent to a service can be watched, once it can."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from backpack.errors import BackpackError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from backpack._app.output import Output
    from backpack.spyglass import SpyGlass

_LOOK_SECONDS: Final = 0.5
_EXPIRES_SECONDS: Final = 12 * 3600


@runtime_checkable
class Playable(Protocol):
    """An output whose video a service plays back."""

    def urls(self) -> list[str]:
        """Return its own address, which is no address to watch at."""

    def playback_url(self, mode: str, *, expires_seconds: int, timeout: float) -> str:
        """Ask the service where the stream can be watched."""


class PlaybackTeller:
    """
    Wait, for the time of a block, until video has arrived, and ask where it can be watched.

    On a thread of its own: AWS may take its time.

    Args:
        spy: The stream.
        outputs: Its outputs.
        say: Takes each address.
        complain: Takes a sentence where there is none.

    """

    def __init__(
        self,
        spy: SpyGlass,
        outputs: Sequence[Output],
        say: Callable[[str], None],
        complain: Callable[[str], None],
    ) -> None:
        self._spy = spy
        self._waiting = {
            place: output for place, output in enumerate(outputs) if isinstance(output, Playable)
        }
        self._say = say
        self._complain = complain
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="playback", daemon=True)

    def __enter__(self) -> Self:
        if self._waiting:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()

    def _run(self) -> None:
        while self._waiting and not self._ended.wait(_LOOK_SECONDS):
            outputs = self._spy.stats().outputs
            for place in list(self._waiting):
                if outputs[place].get("fragments_persisted"):
                    self._tell(self._waiting.pop(place))

    def _tell(self, output: Playable) -> None:
        try:
            url = output.playback_url("LIVE", expires_seconds=_EXPIRES_SECONDS, timeout=10.0)
        except BackpackError as error:
            if not self._ended.is_set():
                self._complain(f"{output.urls()[0]} streams, but cannot be watched: {error}")
        else:
            self._say(url)
