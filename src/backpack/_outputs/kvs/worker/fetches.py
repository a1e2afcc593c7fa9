"""Send what the application has signed itself, beside the stream and never in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backpack._outputs.kvs.messages import Fetched, write_message
from backpack._outputs.kvs.worker.http.exchange import Exchange
from backpack.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from backpack._outputs.kvs.messages import Fetch
    from backpack._outputs.kvs.worker.http.connection import Network
    from backpack._outputs.kvs.worker.http.exchange import Answer

FETCH_SECONDS = 10.0
MOST_AT_ONCE = 8


class Fetches:
    """
    Carry requests for the application. One thread's.

    Args:
        network: The thread's.
        say: Carries a message to the application.
        check_endpoint: See `ProducerSettings`.

    """

    def __init__(
        self,
        network: Network,
        say: Callable[[dict[str, Any]], None],
        *,
        check_endpoint: Callable[[str], str],
    ) -> None:
        self._network = network
        self._say = say
        self._check_endpoint = check_endpoint
        self._running: dict[_Fetch, float] = {}

    def start(self, message: Fetch, now: float) -> None:
        """Send a request; it is answered in any case, in ten seconds at most."""
        try:
            endpoint = self._check_endpoint(message.endpoint)
        except SettingsError as error:
            self._answer(Fetched(message.number, trouble=str(error)))
            return
        if len(self._running) >= MOST_AT_ONCE:
            self._answer(Fetched(message.number, trouble="Too many requests at once."))
            return
        request = message.head.encode("latin-1") + message.body.encode()
        fetch = _Fetch(message.number, self._done)
        self._running[fetch] = now + FETCH_SECONDS
        fetch.start(self._network, endpoint, request)

    @property
    def wake_at(self) -> float | None:
        """When to call `tick`. None: nothing is under way."""
        return min(self._running.values(), default=None)

    def tick(self, now: float) -> None:
        """Do what it is time for."""
        for fetch, deadline in list(self._running.items()):
            if now >= deadline:
                fetch.broke("no answer", "")

    def close(self) -> None:
        """Break everything off."""
        for fetch in list(self._running):
            fetch.broke("the stream was closed", "")

    def _done(self, fetch: _Fetch, message: Fetched) -> None:
        self._running.pop(fetch, None)
        self._answer(message)

    def _answer(self, message: Fetched) -> None:
        self._say(write_message(message))


class _Fetch:
    """One of them; hears what becomes of its exchange."""

    def __init__(self, number: int, done: Callable[[_Fetch, Fetched], None]) -> None:
        self._number = number
        self._done = done
        self._exchange: Exchange | None = None

    def start(self, network: Network, endpoint: str, request: bytes) -> None:
        self._exchange = Exchange(network, endpoint, request, self, goes_on=False)

    def answered(self, answer: Answer) -> None:
        body = answer.body.decode(errors="replace")
        self._done(
            self,
            Fetched(self._number, answer.status, answer.error_type, body, answer.skew_seconds),
        )

    def more(self, data: bytes) -> None:
        """Never comes: the answer is told as a whole."""

    def broke(self, cause: str, sentence: str) -> None:
        if self._exchange is not None:
            self._exchange.close()
        self._done(
            self, Fetched(self._number, trouble=sentence or f"There was no answer: {cause}.")
        )
